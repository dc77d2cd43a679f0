"""Diversity from pairs of images, path lengths of generators, and how well images go with their captions."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from genmetrics.accumulators.build import CAPTIONS, PAIRS, PATHS
from genmetrics.accumulators.feature_bank import Scalars
from genmetrics.errors import StatisticsError
from genmetrics.metrics.base import Metric, SetStatistics
from genmetrics.metrics.mean_error import interval, mean_error, mean_replicates, of_gen, without_block
from genmetrics.types import MetricInfo, MetricResult, Need, Table

__all__ = ["ClipScore", "PairDiversity", "PathLength", "kept_lengths", "trimmed_error"]


def _figures(side: SetStatistics, need: Need) -> Scalars:
    return cast(Scalars, side.get(need))


class PairDiversity(Metric):
    """The mean of a pair network's output over random pairs of images of a set.

    With ``same_class`` the pairs are of one class each, and the mean is that of the classes' means, as AC-GAN has it.

    Source: Odena et al. 2017 (arXiv:1610.09585), section 4.2, for MS-SSIM; Choi et al. 2020 (arXiv:1912.01865),
    appendix, for LPIPS. Neither has canonical code: which pairs are drawn is ours.
    Matches: the pair networks' tests; the mean over the drawn pairs exactly, tests/engine/test_pairs.py.
    """

    unary = True

    def __init__(self, info: MetricInfo, seed: int) -> None:
        self.id = info.id
        self.higher_is_better = info.higher_is_better
        settings = dict(info.settings)
        self.same_class = bool(settings["same_class"])
        options = (
            ("num_pairs", int(settings["num_pairs"])),
            ("same_class", int(self.same_class)),
            ("seed", seed),
        )
        self.needs = (Need(info.extractor, info.preprocess, info.feature, PAIRS, options),)
        self.protocol = info.protocol

    def compute(self, gen: SetStatistics, ref: SetStatistics | None) -> MetricResult:
        """The mean over pairs, or over the classes' means; ``std`` is the population spread of either, no error bar.

        ``se`` is the mean's standard error, where no image is in two pairs: else they are not independent, and it is
        left out.
        """
        held = _figures(gen, self.needs[0])
        values, groups = held.values(), held.groups()
        if not self.same_class:
            extra = {"std": float(values.std(correction=0)), "num_pairs": len(values)}
            if gen.num_samples is None or gen.num_samples < 2 * len(values):  # pairs that share images
                return MetricResult(self.id, float(values.mean()), extra, self.protocol)
            extra |= mean_error(values)
            replicates = mean_replicates(values, held.indices())
            return MetricResult(self.id, float(values.mean()), extra, self.protocol, replicates=replicates)
        classes = sorted(set(groups.tolist()))
        means = torch.stack([values[groups == group].mean() for group in classes])
        names = gen.class_names
        table: Table = {
            "class": [names[group] if 0 <= group < len(names) else str(group) for group in classes],
            "mean": means.tolist(),
            "num_pairs": [int((groups == group).sum()) for group in classes],
        }
        extra = {
            "std": float(means.std(correction=0)),
            "num_pairs": len(values),
            "num_classes": len(classes),
            "min": float(means.min()),
            "max": float(means.max()),
        }
        if self._disjoint(gen, classes, groups):
            extra |= _error_of_classes([values[groups == group] for group in classes])
        return MetricResult(self.id, float(means.mean()), extra, self.protocol, per_class=table)

    @staticmethod
    def _disjoint(gen: SetStatistics, classes: list[int], groups: Tensor) -> bool:
        """Whether no image is in two pairs."""
        if gen.labels is None:
            return False
        labels = gen.labels.values()
        return all(int((labels == group).sum()) >= 2 * int((groups == group).sum()) for group in classes)


def _error_of_classes(values: list[Tensor]) -> dict[str, float]:
    """Of the mean of classes' means, whose classes are as they are; empty where a class has a single pair.

    The variance is the sum of the classes' s²/n over their number squared, with Satterthwaite's degrees of freedom.
    """
    if min(map(len, values)) < 2:
        return {}
    shares = [float(some.var(correction=1)) / len(some) / len(values) ** 2 for some in values]
    variance = math.fsum(shares)
    weight = math.fsum(share**2 / (len(some) - 1) for share, some in zip(shares, values, strict=True))
    degrees = variance**2 / weight if weight > 0 else float(min(map(len, values)) - 1)
    value = math.fsum(float(some.mean()) for some in values) / len(values)
    return interval(value, math.sqrt(variance), degrees)


def kept_lengths(lengths: Float64[Tensor, " n"], lower: float, upper: float) -> Float64[Tensor, " m"]:
    """The lengths between two percentiles, both ends included; percentiles are lengths that occur.

    Args:
        lengths: (n,) float64.
        lower: percentile, 0..100, rounded down to a length that occurs.
        upper: percentile, rounded up.
    """
    values = lengths.numpy()
    low = np.percentile(values, lower, method="lower")
    high = np.percentile(values, upper, method="higher")
    return lengths[(lengths >= float(low)) & (lengths <= float(high))]


def trimmed_error(lengths: Float64[Tensor, " n"], kept: Float64[Tensor, " m"]) -> dict[str, float]:
    """``se``, ``ci95_low`` and ``ci95_high`` of a mean without both tails; empty of fewer than two lengths.

    The standard error is s/(√n · m/n), s that of all lengths with the tails moved to the nearest one kept; the interval
    is Student's with m − 1 degrees of freedom.

    Args:
        lengths: (n,) float64, all of them.
        kept: (m,) those between the tails.

    Source: Tukey and McLaughlin 1963, "Less vulnerable confidence and significance procedures for location".
    """
    count, left = len(lengths), len(kept)
    if left < 2:
        return {}
    moved = lengths.clamp(float(kept.min()), float(kept.max()))
    se = float(moved.std(correction=1)) * math.sqrt(count) / left
    return interval(float(kept.mean()), se, float(left - 1))


class PathLength(Metric):
    """Perceptual path length: the mean LPIPS of small steps in a generator's input, divided by their squared length.

    Source: Karras et al. 2019 (arXiv:1812.04948), section 4.1.
    Matches: torch-fidelity 0.4.0 with its draws, on the same LPIPS; tests/conformance/test_peers_perceptual.py.
    """

    higher_is_better = False
    unary = True
    percentiles = (1.0, 99.0)

    def __init__(self, info: MetricInfo, seed: int) -> None:
        self.id = info.id
        options = (*((name, int(value)) for name, value in info.settings), ("seed", seed))
        self.needs = (Need(info.extractor, info.preprocess, info.feature, PATHS, options),)
        self.protocol = info.protocol

    def compute(self, gen: SetStatistics, ref: SetStatistics | None) -> MetricResult:
        """The mean of the lengths between the 1st and the 99th percentile.

        ``std`` is their population spread, ``se`` the mean's standard error.
        """
        held = _figures(gen, self.needs[0])
        lengths = held.values()
        kept = kept_lengths(lengths, *self.percentiles)
        extra = {"std": float(kept.std(correction=0)), "num_steps": len(lengths), "num_discarded": 0}
        extra["num_discarded"] = len(lengths) - len(kept)
        extra |= trimmed_error(lengths, kept)
        without = [
            float(kept_lengths(lengths[here], *self.percentiles).mean()) for here in without_block(held.indices())
        ]
        return MetricResult(self.id, float(kept.mean()), extra, self.protocol, replicates=of_gen(without))


class ClipScore(Metric):
    """The mean cosine of the CLIP embeddings of images and their captions, scaled.

    Source: Hessel et al. 2021 (arXiv:2104.08718), equation 1.
    Matches: transcriptions of clipscore.py and of torchmetrics 1.9's functions;
    tests/conformance/test_peers_perceptual.py.
    """

    higher_is_better = True
    unary = True
    has_per_image = True

    def __init__(self, info: MetricInfo, seed: int) -> None:
        self.id = info.id
        settings = dict(info.settings)
        self.scale = float(settings["scale"])
        self.clips_each = bool(settings["clips_each"])
        options = (("prefix", int(settings["prefix"])),)
        self.needs = (Need(info.extractor, info.preprocess, info.feature, CAPTIONS, options),)
        self.protocol = info.protocol

    def compute(self, gen: SetStatistics, ref: SetStatistics | None) -> MetricResult:
        """The scaled mean; negative cosines count as 0 singly or in the mean, as the protocol has it."""
        held = _figures(gen, self.needs[0])
        cosines = held.values()
        if not len(cosines):
            raise StatisticsError("there are no images with captions")
        each = self.scale * (cosines.clamp(min=0) if self.clips_each else cosines)
        extra = {
            "std": float(each.std(correction=0)),
            "num_pairs": len(each),
            "num_negative": int((cosines < 0).sum()),
        }
        table: Table = {"index": held.indices().tolist(), "cosine": cosines.tolist()}
        value = max(0.0, float(each.mean()))
        if value == 0:  # cut, or of images of which none has a positive cosine
            return MetricResult(self.id, value, extra, self.protocol, per_image=table)
        extra |= mean_error(each)
        replicates = mean_replicates(each, held.indices())
        return MetricResult(self.id, value, extra, self.protocol, per_image=table, replicates=replicates)
