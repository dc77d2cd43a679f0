"""The Fréchet distance of two given means and covariances, as TTUR's function and its descendants take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
from torch import Tensor

from genmetrics.accumulators.moments import Moments
from genmetrics.errors import StatisticsError
from genmetrics.metrics.frechet import frechet_distance
from genmetrics.stats.formats.checks import FileChecks

__all__ = ["Values", "calculate_frechet_distance", "given_moments"]

#: A mean or covariance as scripts have them; a number where there is none, or for one dimension.
Values = np.ndarray | Tensor | Sequence[Any] | float | int


def calculate_frechet_distance(
    mu1: Values, sigma1: Values, mu2: Values, sigma2: Values, eps: float = 1e-6
) -> np.float64:
    """|mu1 - mu2|² + tr(sigma1 + sigma2 - 2 (sigma1 sigma2)^½), in float64 and without a matrix square root.

    Args:
        mu1: a mean (d,); a number stands for d = 1.
        sigma1: its covariance (d, d).
        mu2: the other mean.
        sigma2: its covariance.
        eps: taken so that calls fit, and not needed: the original adds it to both covariances where SciPy finds no
            finite root of their product.

    Raises:
        StatisticsError: if the sizes differ, or a matrix is no covariance.

    Matches: SciPy's matrix square root to 1e-6 relative at full rank; tests/compat/is_fid_pytorch/test_functions.py.
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
    mean, covariance = np.atleast_1d(_floats(mu)), np.atleast_2d(_floats(sigma))
    return _ArgumentChecks(caller).moments(mean, covariance, None, (f"mu{number}", f"sigma{number}"))


class _ArgumentChecks(FileChecks):
    """The checks of statistics in a file, of arguments."""

    def fail(self, message: str) -> NoReturn:
        raise StatisticsError(f"{self._path}: {message}")


def _floats(values: Values) -> np.ndarray:
    array = np.asarray(values)
    return array.astype(np.float64) if array.dtype.kind in "iub" else array
