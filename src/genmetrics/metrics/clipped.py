"""Clipped Density and Clipped Coverage: fidelity and coverage that outliers do not move, as calibrated shares."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from genmetrics.metrics.base import SetStatistics
from genmetrics.metrics.mean_error import mean_error, mean_replicates
from genmetrics.metrics.neighbour_questions import Answers, Balls, OwnBalls, Question
from genmetrics.metrics.neighbours import NeighbourMetric
from genmetrics.types import MetricResult

__all__ = ["ClippedDensityCoverage", "expected_coverage"]


def expected_coverage(num_ref: int, num_gen: int, k: int) -> Float64[Tensor, " counts"]:
    """The clipped coverage to expect of 0, 1, …, ``num_gen`` samples of the reference's own distribution.

    Of m such samples the number in a reference ball of k neighbours follows the beta-binomial distribution of m
    trials, α = k and β = num_ref − k, whatever the distribution; the expectation is that of its minimum with k,
    divided by k. For m < k the published code has 0. Only the k lowest probabilities are needed, each a product of
    rational factors, so this takes k operations for each m and no logarithm.

    Source: Salvy et al. 2025 (arXiv:2507.01761), the function f of Clipped Coverage.
    Matches: a sum over the whole distribution with logarithms of gamma functions to 1e-9;
    tests/metrics/test_clipped.py.
    """
    m = torch.arange(num_gen + 1, dtype=torch.float64)
    probability = torch.ones_like(m)
    for t in range(1, k + 1):
        probability *= (num_ref - t) / (num_ref + m - t)
    # E[min(J, k)] = Σ j P(J = j) + k P(J >= k)
    below, expected = torch.zeros_like(m), torch.zeros_like(m)
    for j in range(k):
        below += probability
        expected += j * probability
        probability = probability * ((m - j).clamp(min=0) / (j + 1)) * ((k + j) / (num_ref + m - k - j - 1))
    expected = (expected + k * (1 - below)) / k
    expected[:k] = 0
    return expected


class ClippedDensityCoverage(NeighbourMetric):
    """Clipped Density and Clipped Coverage.

    Density: no reference ball is larger than the median ball, surfaces belong to balls, no generated sample counts for
    more than 1, and the mean is divided by that of the reference samples among themselves; at most 1. Coverage: the
    share of the k places in each reference ball that generated samples fill, without surfaces, and then the share of
    perfect samples that would be expected to fill as much.

    Source: Salvy et al. 2025 (arXiv:2507.01761), ICLR 2026.
    Matches: github.com/nicolassalvy/ClippedDensityCoverage, transcribed, to 1e-12; tests/metrics/test_clipped.py.
    Where reference distances tie, that code lets k of the tied samples into a ball of the reference's own, whichever
    come first; here all are in it, as on the generated side.
    """

    @property
    def questions(self) -> tuple[Question, ...]:
        """Clipped and unclipped reference balls, and how the reference fills its own."""
        k = int(self.settings["k"])
        return (Balls("ref", k, True, clipped=True), Balls("ref", k, False), OwnBalls(k))

    def result(self, answers: Answers, gen: SetStatistics, ref: SetStatistics) -> MetricResult:
        """Clipped Density; Clipped Coverage and the figures before calibration beside it."""
        clipped, whole, own = self.questions
        assert isinstance(clipped, Balls) and isinstance(whole, Balls) and isinstance(own, OwnBalls)
        k, num_ref = clipped.k, self.bank(ref).num_samples
        density = _clipped_mean(answers.balls[clipped].around, k)
        of_ref = _clipped_mean(answers.own_balls[own], k)
        filled = _clipped_mean(answers.balls[whole].inside, k)
        ideal = expected_coverage(num_ref, self.bank(gen).num_samples, k)
        # expected_coverage ascends; the published code looks its inverse up from the left.
        coverage = int(torch.searchsorted(ideal, filled)) / len(ideal)
        value = min(1.0, density / of_ref)
        extra = {
            "clipped_density": value,
            "clipped_coverage": coverage,
            "density_uncalibrated": density,
            "density_of_ref": of_ref,
            "coverage_uncalibrated": filled,
        }
        if density >= of_ref:  # cut at 1, where the spread of the samples is no longer that of the value
            return MetricResult(self.id, value, extra, self.protocol)
        each = answers.balls[clipped].around.clamp(max=k).to(torch.float64) / (k * of_ref)
        return MetricResult(
            self.id,
            value,
            {**extra, **mean_error(each)},
            self.protocol,
            replicates=mean_replicates(each, self.bank(gen).indices()),
        )


def _clipped_mean(counts: Tensor, k: int) -> float:
    """The mean share of k, at most 1 each."""
    return float(counts.clamp(max=k).to(torch.float64).mean()) / k
