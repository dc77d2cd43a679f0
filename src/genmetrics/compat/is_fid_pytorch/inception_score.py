"""The Inception Score over equal splits, of which what is left over is no part."""

from __future__ import annotations

import warnings
from typing import cast

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.softmax_sums import SoftmaxSums
from genmetrics.errors import GenmetricsWarning, StatisticsError, UsageError
from genmetrics.metrics.base import Metric, SetStatistics
from genmetrics.types import MetricInfo, MetricResult, Need

__all__ = ["EqualSplits", "TruncatedInceptionScore", "divergences_of_each"]

_BLOCK = 1024


class EqualSplits:
    """Splits of N // num_splits images each, in order; the last N % num_splits images are in none of them."""

    def __init__(self, count: int, num_splits: int, width: int = 1000) -> None:
        """Prepare for a number of images.

        Args:
            count: how many images will come.
            num_splits: into how many splits they are cut.
            width: how many classes there are.

        Raises:
            UsageError: if there is less than one split.
            StatisticsError: if there are fewer images than splits; the original gives NaN.
        """
        if num_splits < 1:
            raise UsageError(f"n_split={num_splits}: expected at least 1")
        if count < num_splits:
            raise StatisticsError(
                f"{count} image(s) cannot fill the n_split={num_splits} splits of the Inception Score; give more "
                f"images, or n_split={max(count, 1)} or less"
            )
        self.num_used = count - count % num_splits
        self.left_out = count - self.num_used
        # There is no split of another size where their size is that of all.
        self._sums = SoftmaxSums(width, 0, 0, self.num_used, chunk=count // num_splits)

    def update(self, logits: Float32[Tensor, "n k"], start: int) -> None:
        """Feed the logits of consecutive images, the first of which has the number ``start``."""
        used = logits[: max(0, self.num_used - start)]
        self._sums.update(used, torch.arange(start, start + len(used)))

    def scores(self) -> tuple[float, float]:
        """The mean of exp(mean KL) over the splits, and its population spread."""
        if self.left_out:
            warnings.warn(
                f"the Inception Score leaves out the last {self.left_out} of {self.num_used + self.left_out} images, "
                "which the equal splits have no room for, as is_fid_pytorch does; they count for the distance",
                GenmetricsWarning,
                stacklevel=3,
            )
        scores = self._sums.mean_divergences().exp()
        return float(scores.mean()), float(scores.std(correction=0))


def divergences_of_each(logits: Float32[Tensor, "n k"]) -> list[np.float64]:
    """KL(p(y|x) ‖ p(y)) of each image in nats, where p(y) is the mean over all of them."""
    marginal = torch.zeros(logits.shape[1], dtype=torch.float64)
    for block in torch.split(logits, _BLOCK):
        marginal += block.double().softmax(dim=1).sum(dim=0)
    # A class so unlikely that it rounds to zero for all images is one for each of them, and 0 · log 0 is 0.
    log_marginal = (marginal / len(logits)).clamp(min=torch.finfo(torch.float64).tiny).log()
    found: list[np.float64] = []
    for block in torch.split(logits, _BLOCK):
        log_p = block.double().log_softmax(dim=1)
        found += [np.float64(value) for value in (log_p.exp() * (log_p - log_marginal)).sum(dim=1).tolist()]
    return found


class TruncatedInceptionScore(Metric):
    """The same as a metric of an image set, whose images are permuted with the seed unless ``shuffle`` is 0.

    Source: lzhbrian/metrics, is_fid_pytorch.py at 7f2f99c, whose permutation has no seed.
    """

    higher_is_better = True
    unary = True

    def __init__(self, info: MetricInfo, seed: int) -> None:
        settings = dict(info.settings)
        self.id = info.id
        self.num_splits = int(settings["num_splits"])
        self.seed = seed if settings["shuffle"] else None
        self.needs = (Need(info.extractor, info.preprocess, info.feature, "feature_bank"),)
        self.protocol = info.protocol

    def check_sizes(self, num_gen: int | None, num_ref: int | None) -> None:
        """Refuse fewer images than splits."""
        if num_gen is not None:
            EqualSplits(num_gen, self.num_splits)

    def compute(self, gen: SetStatistics, ref: SetStatistics | None) -> MetricResult:
        """The mean over splits; ``std`` is their population spread."""
        rows = cast(FeatureBank, gen.get(self.needs[0])).rows()
        count = len(rows)
        order = np.arange(count) if self.seed is None else np.random.RandomState(self.seed).permutation(count)
        splits = EqualSplits(count, self.num_splits, rows.shape[1])
        for start in range(0, count, _BLOCK):
            splits.update(rows[torch.from_numpy(order[start : start + _BLOCK])], start)
        mean, std = splits.scores()
        extra = {"std": std, "num_splits": self.num_splits, "num_left_out": splits.left_out}
        return MetricResult(self.id, mean, extra, self.protocol)
