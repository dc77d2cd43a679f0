"""Inception Score: how sure a classifier is of each image, and how many classes it sees."""

from __future__ import annotations

from typing import cast

from genmetrics.accumulators.softmax_sums import SoftmaxSums
from genmetrics.metrics.base import Metric, SetStatistics
from genmetrics.types import MetricInfo, MetricResult, Need

__all__ = ["InceptionScore"]


class InceptionScore(Metric):
    """exp of the mean KL(p(y|x) ‖ p(y)), the mean and population spread over 10 splits of permuted images.

    Source: Salimans et al. 2016 (arXiv:1606.03498), section 4.
    Matches: torch-fidelity 0.4.0 to 1e-5 relative, its permutation included;
    tests/conformance/test_peers_inception_score.py.
    """

    higher_is_better = True
    unary = True
    num_splits = 10

    def __init__(self, info: MetricInfo, seed: int) -> None:
        self.id = info.id
        options = (("num_splits", self.num_splits), ("seed", seed))
        self.needs = (Need(info.extractor, info.preprocess, info.feature, "softmax_sums", options),)
        self.protocol = info.protocol

    def compute(self, gen: SetStatistics, ref: SetStatistics | None) -> MetricResult:
        """The mean over splits; ``std`` is their population spread."""
        sums = cast(SoftmaxSums, gen.get(self.needs[0]))
        scores = sums.mean_divergences().exp()
        extra = {"std": float(scores.std(correction=0)), "num_splits": self.num_splits}
        return MetricResult(self.id, float(scores.mean()), extra, self.protocol)
