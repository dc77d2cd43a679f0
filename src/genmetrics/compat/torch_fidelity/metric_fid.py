"""The Fréchet distance of features or statistics, as torch-fidelity's module of this name has it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TypedDict

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from genmetrics.accumulators.moments import Moments
from genmetrics.compat.frechet import given_moments
from genmetrics.errors import UsageError
from genmetrics.metrics.frechet import frechet_distance

__all__ = ["KEY_METRIC_FID", "FidStatistics", "fid_features_to_statistics", "fid_statistics_to_metric"]

KEY_METRIC_FID = "frechet_inception_distance"


class FidStatistics(TypedDict):
    """Mean (d,) and sample covariance (d, d) of features."""

    mu: np.ndarray
    sigma: np.ndarray


def fid_features_to_statistics(features: Float[Tensor, "n d"]) -> FidStatistics:
    """Mean and sample covariance (ddof 1), float64.

    torch-fidelity's mean is float32, which its files keep.

    Args:
        features: (n, d), n at least 2.

    Raises:
        StatisticsError: if there are fewer than two.
    """
    moments = Moments(features.shape[1])
    moments.update(features.cpu(), torch.arange(len(features)))
    return {"mu": moments.mean().numpy(), "sigma": moments.covariance().numpy()}


def fid_statistics_to_metric(
    stat_1: Mapping[str, np.ndarray], stat_2: Mapping[str, np.ndarray], verbose: bool
) -> dict[str, float]:
    """The Fréchet distance of two statistics, of whatever precision each is.

    Args:
        stat_1: ``mu`` (d,) and ``sigma`` (d, d).
        stat_2: likewise.
        verbose: tell the result on standard error.

    Raises:
        UsageError: if they are of different widths.
        StatisticsError: if one is no mean and covariance.
    """
    name = "fid_statistics_to_metric"
    first, second = (
        given_moments(stat["mu"], stat["sigma"], name, number) for stat, number in ((stat_1, "1"), (stat_2, "2"))
    )
    if first.width != second.width:
        raise UsageError(f"the statistics are of {first.width} and of {second.width} features; expected the same")
    value = frechet_distance(first, second)
    if verbose:
        print(f"Frechet Inception Distance: {value:.7g}", file=sys.stderr)
    return {KEY_METRIC_FID: value}
