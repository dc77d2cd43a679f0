"""The Fréchet distance of two given means and covariances, as TTUR's function and its descendants take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

import numpy as np
from torch import Tensor

from genmetrics.accumulators.moments import Moments
from genmetrics.errors import StatisticsError
from genmetrics.metrics.frechet import frechet_distance
from genmetrics.stats.formats.checks import FileChecks

__all__ = ["Values", "calculate_frechet_distance", "given_floats", "given_moments"]

#: A mean or covariance as scripts have them; a number where there is none, or for one dimension.
Values = np.ndarray | np.generic | Tensor | Sequence[Any] | float | int


def calculate_frechet_distance(
    mu1: Values, sigma1: Values, mu2: Values, sigma2: Values, eps: float = 1e-6
) -> np.float64:
    """|mu1 - mu2|² + tr(sigma1 + sigma2 - 2 (sigma1 sigma2)^½), in float64 and without a matrix square root.

    Args:
        mu1: a mean (d,); a number stands for d = 1.
        sigma1: its covariance (d, d).
        mu2: the other mean.
        sigma2: its covariance.
        eps: not needed, and taken so that calls fit: the originals add it to both covariances where SciPy finds no
            finite root of their product. What is computed here is finite for any covariances.

    Raises:
        StatisticsError: if the sizes differ, or a matrix is no covariance: NaN, not symmetric, or with a negative
            eigenvalue that is no rounding error. There the originals say "Imaginary component", or give NaN.

    Matches: pytorch-fid 0.3.0, and SciPy's matrix square root, to 1e-6 relative at full rank;
    tests/compat/pytorch_fid/test_distance.py.
    """
    del eps
    name = "calculate_frechet_distance"
    first, second = given_moments(mu1, sigma1, name, "1"), given_moments(mu2, sigma2, name, "2")
    if first.width != second.width:
        raise StatisticsError(
            f"{name}: mu1 has {first.width} values and mu2 has {second.width}; expected two sets of one feature"
        )
    return np.float64(frechet_distance(first, second))


def given_moments(mu: Values, sigma: Values, caller: str, number: str = "1") -> Moments:
    """Moments of a mean and covariance that are a function's arguments ``mu1`` and ``sigma1``.

    Args:
        mu: the mean.
        sigma: the covariance.
        caller: the function, for messages.
        number: what the arguments' names end in.

    Raises:
        StatisticsError: if they do not fit together, or are no mean and covariance.
    """
    mean, covariance = np.atleast_1d(given_floats(mu)), np.atleast_2d(given_floats(sigma))
    return _ArgumentChecks(caller).moments(mean, covariance, None, (f"mu{number}", f"sigma{number}"))


def given_floats(values: Values) -> np.ndarray:
    """An array of floats, of the precision that they have."""
    array = np.asarray(values)
    return array.astype(np.float64) if array.dtype.kind in "iub" else array


class _ArgumentChecks(FileChecks):
    """The checks of statistics in a file, of arguments."""

    what: ClassVar[str] = "array"

    def fail(self, message: str) -> NoReturn:
        raise StatisticsError(f"{self._path}: {message}")
