"""The distances of two sets of features, or of their means and covariances."""

from __future__ import annotations

import warnings
from typing import NoReturn

import numpy as np
import torch

from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.moments import Moments
from genmetrics.compat.frechet import Values, given_floats, given_moments
from genmetrics.errors import GenmetricsWarning, StatisticsError, UsageError
from genmetrics.metrics.base import require_samples
from genmetrics.metrics.frechet import few_samples, moments_of_rows
from genmetrics.metrics.frechet import frechet_distance as distance_of_moments
from genmetrics.metrics.kernel import kernel_distances
from genmetrics.stats.formats.checks import FileChecks

__all__ = ["DEFAULT_SEED", "fid_from_feats", "frechet_distance", "kernel_distance", "moments_distance"]

#: Of the draws of KID's subsets, unless another is given: genmetrics' own.
DEFAULT_SEED = 2020
_CPU = torch.device("cpu")


def frechet_distance(mu1: Values, sigma1: Values, mu2: Values, sigma2: Values, eps: float = 1e-6) -> float:
    """|mu1 - mu2|² + tr(sigma1 + sigma2 - 2 (sigma1 sigma2)^½), in float64 and without a matrix square root.

    Args:
        mu1: a mean (d,); a number stands for d = 1.
        sigma1: its covariance (d, d).
        mu2: the other mean.
        sigma2: its covariance.
        eps: is taken and not needed: the distance is finite for any covariances.

    Raises:
        StatisticsError: if the sizes differ, or a matrix is no covariance.
    """
    name = "frechet_distance"
    first, second = given_moments(mu1, sigma1, name, "1"), given_moments(mu2, sigma2, name, "2")
    return moments_distance(first, second)


def fid_from_feats(feats1: np.ndarray, feats2: np.ndarray) -> float:
    """The Fréchet distance of two sets of features, exact for few of them too.

    Args:
        feats1: (n, d) features.
        feats2: (m, d) features.

    Raises:
        StatisticsError: if they are no features, of unlike widths, or fewer than two on a side.
    """
    first, second = (_bank(feats, number).rows() for feats, number in ((feats1, "1"), (feats2, "2")))
    gen, ref = (moments_of_rows(rows, torch.arange(len(rows))) for rows in (first, second))
    return moments_distance(gen, ref)


def kernel_distance(
    feats1: np.ndarray,
    feats2: np.ndarray,
    num_subsets: int = 100,
    max_subset_size: int = 1000,
    *,
    seed: int = DEFAULT_SEED,
) -> float:
    """The kernel distance of two sets of features: the mean of the unbiased estimate over random subsets.

    The draws are those of clean-fid after ``numpy.random.seed(seed)``; NumPy's own generator is left as it is.

    Args:
        feats1: (n, d) features.
        feats2: (m, d) features, of which each subset is drawn first.
        num_subsets: how many pairs of subsets.
        max_subset_size: samples in each, or as many as the smaller side has.
        seed: of the draws.

    Raises:
        StatisticsError: if they are no features, of unlike widths, or fewer than two on a side.
        UsageError: if the numbers cannot be meant.
    """
    for name, value, least in (("num_subsets", num_subsets, 1), ("max_subset_size", max_subset_size, 2)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UsageError(f"{name} is {value!r}, expected a whole number of at least {least}")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise UsageError(f"seed is {seed!r}, expected a whole number, 0..2**32-1")
    first, second = _bank(feats1, "1"), _bank(feats2, "2")
    _check_widths(first.width, second.width)
    require_samples("kid", 2, first.num_samples, second.num_samples)
    size = min(first.num_samples, second.num_samples, max_subset_size)
    # Of each pair of subsets the second set's is drawn first.
    return float(kernel_distances(second.rows(), first.rows(), num_subsets, size, seed).mean())


def moments_distance(gen: Moments, ref: Moments, device: torch.device = _CPU) -> float:
    """The Fréchet distance of moments, with a warning where a side has no more images than dimensions.

    Raises:
        StatisticsError: if the widths differ, or the distance cannot be had.
    """
    _check_widths(gen.width, ref.width)
    for text in few_samples(gen, ref):
        warnings.warn(text, GenmetricsWarning, stacklevel=3)
    return distance_of_moments(gen, ref, device if device.type == "cuda" else _CPU)


def _check_widths(first: int, second: int) -> None:
    if first != second:
        raise StatisticsError(
            f"the features of one side are {first} wide and those of the other {second}; expected the features of one "
            "network: look at model_name, mode and custom_feat_extractor"
        )


class _ArgumentChecks(FileChecks):
    """The checks of what a file of statistics holds, of arguments."""

    def fail(self, message: str) -> NoReturn:
        raise StatisticsError(message)


def _bank(feats: np.ndarray, number: str) -> FeatureBank:
    return _ArgumentChecks("").features(given_floats(feats), f"feats{number}")
