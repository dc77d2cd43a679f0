"""What every statistic from a file must be before a number is computed from it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, NoReturn

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.moments import Moments
from genmetrics.errors import StatisticsError

__all__ = ["FileChecks", "listed"]

#: Relative to the largest entry or eigenvalue: what a covariance made in float32 stays within.
_TOLERANCE = 1e-5
_FLOATS = "float16, float32 or float64"


def listed(keys: Iterable[object]) -> str:
    """Keys that were found, for a message."""
    names = sorted(str(key) for key in keys)
    return (", ".join(repr(name) for name in names[:10]) + (", …" if len(names) > 10 else "")) or "nothing"


class FileChecks:
    """Checks whose errors name the file. Keys in them are those of the file.

    Args:
        path: the file, as the user gave it.

    Attributes:
        what: what holds the statistics, for messages.
    """

    what: ClassVar[str] = "file"

    def __init__(self, path: object) -> None:
        self._path = path

    def fail(self, message: str) -> NoReturn:
        """Raise a ``StatisticsError`` that names the file."""
        raise StatisticsError(f"statistics file '{self._path}': {message}")

    def count(self, value: Any, key: str) -> int:
        """How many samples statistics are of: a whole number of at least 2."""
        if isinstance(value, np.ndarray) and value.ndim == 0:
            value = value.item()
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            self.fail(f"{key!r} is {_shown(value)}, expected a whole number of images")
        if value < 2:
            self.fail(f"{key!r} is {value}; a mean and covariance need at least 2 images")
        return int(value)

    def floats(self, value: Any, key: str, ndim: int, expected: str) -> np.ndarray:
        """Floats of the expected number of dimensions, all finite.

        Args:
            value: what the file holds.
            key: where.
            ndim: how many dimensions it must have.
            expected: the shape in words, such as ``a vector (d,)``.
        """
        if not isinstance(value, np.ndarray):
            self.fail(f"{key!r} is {_shown(value)}, expected {expected} of {_FLOATS}")
        array = np.asarray(value)
        what = f"{key!r} is {array.dtype} of shape {array.shape}"
        if array.dtype.hasobject:
            self.fail(f"{what}: Python objects, which are never loaded; expected {expected} of {_FLOATS}")
        if array.dtype.kind == "c":
            self.fail(f"{what}: complex numbers, which an imaginary matrix root leaves; expected {expected}, real")
        if array.dtype.kind != "f" or array.ndim != ndim or 0 in array.shape:
            self.fail(f"{what}, expected {expected} of {_FLOATS}")
        if not np.isfinite(array).all():
            bad = int(np.size(array) - np.isfinite(array).sum())
            self.fail(f"{key!r} holds NaN or infinity in {bad} of its {array.size:,} values; {self._again()}")
        return array

    def moments(
        self,
        mu: Any,
        sigma: Any,
        num_samples: int | None,
        keys: tuple[str, str] = ("mu", "sigma"),
        width: int | None = None,
    ) -> Moments:
        """Moments of a mean and a sample covariance (ddof 1), checked for being one.

        Args:
            mu: the mean.
            sigma: the covariance.
            num_samples: how many samples they are of; None if the file does not say.
            keys: where in the file they stand.
            width: how wide the feature is that the file says they are of.
        """
        mean = self.floats(mu, keys[0], 1, "a vector (d,)").astype(np.float64)
        matrix = self.floats(sigma, keys[1], 2, "a matrix (d, d)").astype(np.float64)
        d = mean.shape[0]
        if matrix.shape != (d, d):
            self.fail(f"{keys[0]!r} has {d} values and {keys[1]!r} is of shape {matrix.shape}, expected ({d}, {d})")
        self.width(d, width, keys[0])
        covariance = self._symmetric(torch.from_numpy(np.ascontiguousarray(matrix)), keys[1])
        self._positive(covariance, keys[1])
        return Moments.from_covariance(torch.from_numpy(np.ascontiguousarray(mean)), covariance, num_samples)

    def features(self, value: Any, key: str, width: int | None = None, indices: Any = None) -> FeatureBank:
        """A bank of features (n, d), at least 2 samples.

        Args:
            value: the features.
            key: where in the file they stand.
            width: how wide the feature is that the file says they are of.
            indices: the samples' indices; None for 0, 1, …
        """
        rows = self.floats(value, key, 2, "features (n, d)")
        if rows.shape[0] < 2:
            self.fail(f"{key!r} holds the features of 1 image; statistics need at least 2")
        self.width(rows.shape[1], width, key)
        if rows.dtype.itemsize > 4 and float(np.abs(rows).max()) > float(np.finfo(np.float32).max):
            self.fail(f"{key!r} holds values beyond float32, in which features are kept; {self._again()}")
        bank = FeatureBank(rows.shape[1])
        bank.update(
            torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32)),
            torch.arange(rows.shape[0]) if indices is None else torch.from_numpy(np.array(indices, dtype=np.int64)),
        )
        return bank

    def width(self, found: int, stated: int | None, key: str) -> None:
        """That a feature is as wide as the one that the file says it is."""
        if stated is not None and found != stated:
            self.fail(
                f"{key!r} is {found} wide, and by the file's format it is of a feature {stated} wide; the file is "
                "damaged or holds something else"
            )

    def _again(self) -> str:
        return f"make the {self.what} again"

    def _no_covariance(self) -> str:
        return f"it cannot be a covariance. The {self.what} is damaged or holds something else; make it again"

    def _symmetric(self, matrix: Float64[Tensor, "d d"], key: str) -> Float64[Tensor, "d d"]:
        gap = float((matrix - matrix.T).abs().max())
        largest = float(matrix.abs().max())
        if gap > _TOLERANCE * largest:
            self.fail(
                f"{key!r} is not symmetric (by {gap:.3g}, where its largest value is {largest:.3g}): "
                f"{self._no_covariance()}"
            )
        return (matrix + matrix.T) / 2

    def _positive(self, matrix: Float64[Tensor, "d d"], key: str) -> None:
        # A Cholesky factor exists where all eigenvalues are positive, and is much cheaper than they are. Their mean
        # is at most the largest of them, so that what passes here is within the tolerance.
        size = matrix.shape[0]
        allowed = _TOLERANCE * float(matrix.trace()) / size
        if float(matrix.diagonal().min()) >= -allowed:
            shifted = matrix + max(allowed, 0.0) * torch.eye(size, dtype=torch.float64)
            if int(torch.linalg.cholesky_ex(shifted)[1]) == 0:
                return
        try:
            values = torch.linalg.eigvalsh(matrix)
        except RuntimeError as error:
            self.fail(f"{key!r} has no eigenvalues that can be computed ({error}): {self._no_covariance()}")
        smallest, largest = float(values[0]), float(values[-1])
        if smallest < -_TOLERANCE * max(largest, 0.0):
            self.fail(
                f"{key!r} is not positive semidefinite (its eigenvalues run from {smallest:.3g} to {largest:.3g}): "
                f"{self._no_covariance()}"
            )


def _shown(value: object) -> str:
    """A value that is no array, for a message."""
    if not isinstance(value, str | bytes | int | float | None):
        # A small file can hold a container without end.
        return f"a {type(value).__name__}"
    text = repr(value)
    return f"a {type(value).__name__}" + (f" ({text})" if len(text) <= 40 and "\n" not in text else "")
