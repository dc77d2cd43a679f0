"""Fréchet distance and Inception Score extrapolated to infinitely many generated images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.moments import Moments
from genmetrics.errors import StatisticsError
from genmetrics.metrics.base import Metric, SetStatistics
from genmetrics.metrics.frechet import few_samples, frechet_distance, moments_of_rows
from genmetrics.types import MetricInfo, MetricResult, Need

__all__ = ["FrechetAtInfinity", "InceptionScoreAtInfinity", "extrapolate", "inception_scores", "random_subsets"]

_CHUNK = 4096


def random_subsets(total: int, sizes: Sequence[int], seed: int) -> Iterator[Int64[Tensor, " n"]]:
    """A random subset of each size, independent of the others.

    All samples are shuffled anew for each size by one NumPy ``RandomState(seed)``, and the first of them are taken.

    Args:
        total: how many samples there are.
        sizes: of the subsets, at most ``total``.
        seed: of the draws.
    """
    rng = np.random.RandomState(seed)  # the generator that the published code draws from, which it leaves unseeded
    order = np.arange(total)
    for size in sizes:
        rng.shuffle(order)
        yield torch.from_numpy(order[:size].copy())


def extrapolate(sizes: Sequence[int], values: Sequence[float]) -> tuple[float, float]:
    """Intercept and slope of the least-squares line through values over 1/n.

    Args:
        sizes: n of each value, not all equal.
        values: what n samples gave.

    Source: Chong and Forsyth 2020 (arXiv:1911.07023), section 4.
    """
    x = 1 / np.asarray(sizes, dtype=np.float64)
    y = np.asarray(values, dtype=np.float64)
    from_mean = x - x.mean()
    slope = float(from_mean @ (y - y.mean()) / (from_mean @ from_mean))
    return float(y.mean() - slope * x.mean()), slope


def inception_scores(logits: Float32[Tensor, "n k"], subsets: Sequence[Int64[Tensor, " _"]]) -> list[float]:
    """The Inception Score of each subset as one split, from class logits; float64.

    Args:
        logits: (n, k) float32.
        subsets: rows of each.
    """
    # How often each row is in each subset: products with it sum the rows' probabilities, which are never all in memory.
    counts = torch.stack([torch.bincount(rows, minlength=logits.shape[0]) for rows in subsets]).to(torch.float64)
    totals = torch.zeros((len(subsets), logits.shape[1]), dtype=torch.float64)
    sureness = torch.zeros(len(subsets), dtype=torch.float64)
    for start in range(0, logits.shape[0], _CHUNK):
        part = slice(start, start + _CHUNK)
        log_probs = logits[part].to(torch.float64).log_softmax(dim=1)
        probs = log_probs.exp()
        totals.addmm_(counts[:, part], probs)
        sureness.addmv_(counts[:, part], (probs * log_probs).sum(dim=1))
    sizes = torch.tensor([len(rows) for rows in subsets], dtype=torch.float64)
    marginals = totals / sizes[:, None]
    scores: list[float] = (sureness / sizes - torch.xlogy(marginals, marginals).sum(dim=1)).exp().tolist()
    return scores


class _AtInfinity(Metric):
    """What both share: 15 equispaced sizes from 5,000 to all, and a line over 1/n."""

    num_points = 15
    min_size = 5000

    def __init__(self, info: MetricInfo, seed: int) -> None:
        self.id = info.id
        self.seed = seed
        self.needs = (Need(info.extractor, info.preprocess, info.feature, "feature_bank"),)
        self.protocol = info.protocol

    def check_sizes(self, num_gen: int | None, num_ref: int | None) -> None:
        """Refuse a generated set that is no larger than the smallest subset."""
        if num_gen is not None:
            self._sizes(num_gen)

    def _sizes(self, total: int) -> list[int]:
        if total <= self.min_size:
            raise StatisticsError(
                f"metric {self.id!r} fits a line to sets of {self.min_size} images and more, and the generated set has "
                f"{total}; give more than {self.min_size}, 50,000 as published, or ask for the plain metric"
            )
        return [int(size) for size in np.linspace(self.min_size, total, self.num_points)]

    def _result(self, sizes: Sequence[int], values: Sequence[float], warnings: tuple[str, ...]) -> MetricResult:
        value, slope = extrapolate(sizes, values)
        extra = {
            "slope": slope,
            "raw": values[-1],
            "num_points": self.num_points,
            "min_size": self.min_size,
        }
        if sizes[-1] < 2 * self.min_size:
            warnings = (
                f"the line rests on sets of {sizes[0]} to {sizes[-1]} images only, so that its noise is multiplied on "
                "the way to infinity; 50,000 images are the published number",
                *warnings,
            )
        return MetricResult(self.id, value, extra, self.protocol, warnings)


class FrechetAtInfinity(_AtInfinity):
    """FID∞: the intercept of the line through the Fréchet distances of growing subsets over 1/n.

    Only the generated set's bias is removed: the reference is used as it is. The intercept can be negative.

    Source: Chong and Forsyth 2020 (arXiv:1911.07023).
    Matches: their ``calculate_FID_infinity`` on the same features, its draws under the same seed included;
    tests/metrics/test_infinity.py.
    """

    higher_is_better = False
    unary = False

    @property
    def ref_needs(self) -> tuple[Need, ...]:
        """Moments, so that published statistics can be the reference."""
        need = self.needs[0]
        return (Need(need.extractor, need.preprocess, need.feature, "moments"),)

    def compute(self, gen: SetStatistics, ref: SetStatistics | None) -> MetricResult:
        """The intercept; ``slope`` of the line, and ``raw``, the distance of all images.

        Raises:
            StatisticsError: if there are no more generated images than the smallest subset has.
        """
        assert ref is not None
        need = self.needs[0]
        rows = cast(FeatureBank, gen.get(need)).in_panels()
        sizes = self._sizes(len(rows))
        of_ref = cast(Moments, ref.get(self.ref_needs[0]))
        values = []
        for chosen in random_subsets(len(rows), sizes, self.seed):
            moments = moments_of_rows(rows, chosen)
            values.append(frechet_distance(moments, of_ref, self.device))
        return self._result(sizes, values, few_samples(moments, of_ref))


class InceptionScoreAtInfinity(_AtInfinity):
    """IS∞: the intercept of the line through the one-split Inception Scores of growing subsets over 1/n.

    Source: Chong and Forsyth 2020 (arXiv:1911.07023).
    Matches: their ``calculate_IS_infinity`` on the same logits, its draws under the same seed included;
    tests/metrics/test_infinity.py.
    """

    higher_is_better = True
    unary = True

    def compute(self, gen: SetStatistics, ref: SetStatistics | None) -> MetricResult:
        """The intercept; ``slope`` of the line, and ``raw``, the score of all images in one split.

        Raises:
            StatisticsError: if there are no more generated images than the smallest subset has.
        """
        logits = cast(FeatureBank, gen.get(self.needs[0])).rows()
        sizes = self._sizes(len(logits))
        subsets = list(random_subsets(len(logits), sizes, self.seed))
        return self._result(sizes, inception_scores(logits, subsets), ())
