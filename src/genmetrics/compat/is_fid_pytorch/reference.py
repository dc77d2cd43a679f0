"""Reference statistics as ``is_fid_pytorch`` takes them: ``mu`` and ``sigma`` in an npz file, or as arrays."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from genmetrics.accumulators.moments import Moments
from genmetrics.compat.frechet import Values, given_moments
from genmetrics.errors import GenmetricsWarning, StatisticsError, UsageError
from genmetrics.stats.stats import Stats
from genmetrics.types import UNKNOWN, Need

__all__ = [
    "EXTRACTOR",
    "OF_TENSORS",
    "check_network",
    "given_reference",
    "moments_of",
    "read_stats_file",
    "reference_in",
    "statistics_in",
]

#: The network of ``ScoreModel``.
EXTRACTOR = "inception-v3.tv-in1k"
#: How tensors become its input.
OF_TENSORS = "torch-bilinear-299"
_WIDTH = 2048


def read_stats_file(
    filepath: str | Path,
) -> tuple[Float64[np.ndarray, " d"], Float64[np.ndarray, "d d"]]:
    """``mu`` (d,) and ``sigma`` (d, d) of an npz file, in float64.

    Raises:
        StatisticsError: if the name does not end in ``.npz``, or the file holds no mean and covariance.
        SourceError: if there is no such file.
    """
    _, moments = moments_of(statistics_in(filepath))
    return moments.mean().numpy(), moments.covariance().numpy()


def statistics_in(path: str | Path) -> Stats:
    """The statistics in an npz file.

    Raises:
        StatisticsError: if the name does not end in ``.npz``, or the file holds none.
        SourceError: if there is no such file.
    """
    if not str(path).endswith(".npz"):
        raise StatisticsError(
            f"statistics file '{path}': expected a name that ends in .npz, as --save-stats-path writes it"
        )
    return Stats.load(path)


def moments_of(stats: Stats) -> tuple[Need, Moments]:
    """The mean and covariance among statistics, and what they are said to be of; of ADM's references those of FID.

    Raises:
        StatisticsError: if there are none.
    """
    for need, held in stats.accumulators.items():
        if isinstance(held, Moments):
            return need, held
    raise StatisticsError(f"'{stats.name}' holds {stats.holdings()}; expected 'mu' and 'sigma'")


def check_network(stats: Stats) -> None:
    """Refuse statistics whose file says that they are of another network than ``ScoreModel``'s.

    Raises:
        StatisticsError: if it does.
    """
    need, _ = moments_of(stats)
    if need.extractor not in (UNKNOWN, EXTRACTOR) or need.feature not in (UNKNOWN, "2048"):
        raise StatisticsError(
            f"'{stats.name}' holds features of {need.extractor}/{need.feature}, and is_fid_pytorch's are of "
            f"{EXTRACTOR}/2048 (torchvision's network); the number would mean nothing. Make it again with python -m "
            "genmetrics.compat.is_fid_pytorch --path FOLDER --save-stats-path FILE, or measure with the network that "
            "it is of: genmetrics eval GEN --ref FILE -m fid"
        )


def given_reference(mu: Values, sigma: Values, caller: str) -> Moments | None:
    """The reference of two arguments; None where both are the number 0 that stands for none.

    Raises:
        UsageError: if one of them is given alone.
        StatisticsError: if they are no mean and covariance of the network's features.
    """
    given = [not isinstance(value, int | float) for value in (mu, sigma)]
    if not any(given) and not mu and not sigma:
        return None
    if not all(given):
        raise UsageError(
            f"{caller}: expected mu1 and sigma1 both as arrays, (2048,) and (2048, 2048), or neither; given are a "
            f"{type(mu).__name__} and a {type(sigma).__name__}"
        )
    return _fitting(given_moments(mu, sigma, caller), caller)


def reference_in(path: str | Path) -> Moments:
    """The reference in an npz file, for images that are tensors.

    Raises:
        StatisticsError: if it holds none, or that of another network.
        SourceError: if there is no such file.
    """
    stats = statistics_in(path)
    check_network(stats)
    need, moments = moments_of(stats)
    if need.preprocess not in (UNKNOWN, OF_TENSORS):
        warnings.warn(
            f"'{path}' is of images that were resized otherwise ({need.preprocess}) than ScoreModel resizes tensors "
            f"({OF_TENSORS}), so that part of the distance is that of two resizers; the original mixes them too",
            GenmetricsWarning,
            stacklevel=3,
        )
    return _fitting(moments, f"'{path}'")


def _fitting(moments: Moments, what: str) -> Moments:
    if moments.width != _WIDTH:
        raise StatisticsError(f"{what}: a mean of {moments.width} values; ScoreModel's network has {_WIDTH} features")
    return moments
