"""The Fréchet distance of two given means and covariances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

import numpy as np
from torch import Tensor

from genmetrics.accumulators.moments import Moments
from genmetrics.errors import StatisticsError
from genmetrics.metrics.frechet import frechet_distance
from genmetrics.stats.formats.checks import FileChecks

__all__ = ["calculate_frechet_distance"]

#: What an array is made of.
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
        eps: not needed, and taken so that calls fit: pytorch-fid adds it to both covariances where SciPy finds no
            finite root of their product. What is computed here is finite for any covariances.

    Raises:
        StatisticsError: if the sizes differ, or a matrix is no covariance: NaN, not symmetric, or with a negative
            eigenvalue that is no rounding error. There pytorch-fid says "Imaginary component", or gives NaN.

    Matches: pytorch-fid 0.3.0 to 1e-6 relative at full rank; tests/compat/pytorch_fid/test_distance.py.
    """
    del eps
    first, second = _moments(mu1, sigma1, "1"), _moments(mu2, sigma2, "2")
    if first.width != second.width:
        raise StatisticsError(
            f"calculate_frechet_distance: mu1 has {first.width} values and mu2 has {second.width}; expected two sets "
            "of one feature, such as of the same --dims"
        )
    return np.float64(frechet_distance(first, second))


class _ArgumentChecks(FileChecks):
    """The checks of statistics in a file, of arguments."""

    what: ClassVar[str] = "array"

    def fail(self, message: str) -> NoReturn:
        raise StatisticsError(f"{self._path}: {message}")


def _moments(mu: Values, sigma: Values, number: str) -> Moments:
    mean, covariance = np.atleast_1d(_floats(mu)), np.atleast_2d(_floats(sigma))
    return _ArgumentChecks("calculate_frechet_distance").moments(
        mean, covariance, None, (f"mu{number}", f"sigma{number}")
    )


def _floats(values: Values) -> np.ndarray:
    array = np.asarray(values)
    return array.astype(np.float64) if array.dtype.kind in "iub" else array
