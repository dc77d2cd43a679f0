"""Inception Score: how sure a classifier is of each image, and how many classes it sees."""

from __future__ import annotations

from typing import cast

from jaxtyping import Float64
from torch import Tensor

from genmetrics.accumulators.softmax_sums import IN_ORDER, SoftmaxSums
from genmetrics.metrics.base import Metric, SetStatistics
from genmetrics.metrics.mean_error import mean_error
from genmetrics.types import MetricInfo, MetricResult, Need, Stage

__all__ = ["ChunkedInceptionScore", "InceptionScore"]


class InceptionScore(Metric):
    """exp of the mean KL(p(y|x) ‖ p(y)), the mean and population spread over splits, 10 by its protocol.

    The images are permuted with the seed before they are split, but where the setting ``shuffle`` is 0.

    Source: Salimans et al. 2016 (arXiv:1606.03498), section 4.
    Matches: torch-fidelity 0.4.0 to 1e-5 relative, its permutation included;
    tests/conformance/test_peers_inception_score.py.
    """

    higher_is_better = True
    unary = True

    def __init__(self, info: MetricInfo, seed: int) -> None:
        self.id = info.id
        settings = dict(info.settings)
        self.num_splits = int(settings["num_splits"])
        options = (("num_splits", self.num_splits), ("seed", seed if settings["shuffle"] else IN_ORDER))
        self.needs = (Need(info.extractor, info.preprocess, info.feature, "softmax_sums", options),)
        self.protocol = info.protocol

    def compute(self, gen: SetStatistics, ref: SetStatistics | None) -> MetricResult:
        """The mean over splits; ``std`` is their population spread, ``se`` the mean's standard error."""
        sums = cast(SoftmaxSums, gen.get(self.needs[0]))
        scores = sums.mean_divergences().exp()
        extra = {"std": float(scores.std(correction=0)), "num_splits": self.num_splits, **mean_error(scores)}
        value = float(scores.mean())
        return MetricResult(self.id, value, extra, self.protocol, replicates=_without_each_split(scores))


class ChunkedInceptionScore(Metric):
    """ADM's Inception Score: the mean over consecutive runs of 5,000 images in the order of their indices.

    A short last run counts as much as the others. Where the images are in the order of their classes each run holds few
    of them, and the score is capped by how many; ``genmetrics.engine.advice`` says so of a run.

    Source: Salimans et al. 2016 (arXiv:1606.03498), section 4, with the splits of Dhariwal and Nichol 2021
    (arXiv:2105.05233).
    Matches: guided-diffusion's evaluator, transcribed, to 1e-5 relative (its softmax is float32);
    tests/conformance/test_peers_inception_score.py.
    """

    higher_is_better = True
    unary = True

    def __init__(self, info: MetricInfo, seed: int) -> None:
        self.id = info.id
        self.chunk = int(dict(info.settings)["chunk"])
        self.needs = (Need(info.extractor, info.preprocess, info.feature, "softmax_sums", (("chunk", self.chunk),)),)
        self.protocol = info.protocol

    def compute(self, gen: SetStatistics, ref: SetStatistics | None) -> MetricResult:
        """The mean over runs; ``std`` is their population spread, ``se`` the mean's standard error."""
        sums = cast(SoftmaxSums, gen.get(self.needs[0]))
        scores = sums.mean_divergences().exp()
        spread = {"std": float(scores.std(correction=0)), "num_splits": len(scores), "split_size": self.chunk}
        extra, value = {**spread, **mean_error(scores)}, float(scores.mean())
        return MetricResult(self.id, value, extra, self.protocol, replicates=_without_each_split(scores))


def _without_each_split(scores: Float64[Tensor, " splits"]) -> dict[Stage, tuple[float, ...]]:
    """The mean without each split, which is a block of the images of its own; empty of a single split.

    The splits are of different images, so that their scores are independent: the delete-a-block jackknife is exact,
    and its standard error that of a mean.
    """
    count = len(scores)
    return {"gen": tuple(((scores.sum() - scores) / (count - 1)).tolist())} if count > 1 else {}
