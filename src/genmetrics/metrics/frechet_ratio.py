"""Fréchet distance as a multiple of what two real sets are apart, over several networks."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor

from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.errors import StatisticsError
from genmetrics.metrics.base import Metric, SetStatistics
from genmetrics.metrics.frechet import frechet_distance, moments_of_rows
from genmetrics.types import MetricInfo, MetricResult, Need

__all__ = ["FrechetRatio"]


class FrechetRatio(Metric):
    """FDr: the mean over networks of FD(generated, B) / FD(A, B), where A and B are two parts of the reference.

    A has as many images as the generated set, but at most half of the reference, and B has the rest; of the generated
    set as many are taken as A has. So both distances are of equally many images, their upward bias is alike, and a
    model that draws from the reference's own distribution scores about 1, or a little more where the floor is noisy.
    The parts are drawn by NumPy's ``RandomState(seed)``, the reference's first, and are the same images for every
    network.

    Source: the ratio over encoders of arXiv:2604.28190, with a floor from the reference itself in place of a
        published validation set.
    Matches: a direct transcription; tests/metrics/test_frechet_ratio.py.
    """

    higher_is_better = False
    unary = False

    def __init__(self, info: MetricInfo, seed: int) -> None:
        self.id = info.id
        self.seed = seed
        named = (text.split("|") for text in (info.extractor, info.preprocess, info.feature))
        self.needs = tuple(
            Need(extractor, preprocess, feature, "feature_bank")
            for extractor, preprocess, feature in zip(*named, strict=True)
        )
        self.protocol = info.protocol

    def compute(self, gen: SetStatistics, ref: SetStatistics | None) -> MetricResult:
        """The mean ratio; ``ratio.``, ``fd.`` and ``floor.<extractor>`` are its parts.

        Raises:
            StatisticsError: if there are too few images for two parts of two, the networks' features are of unlike
                sets, or the two parts of the reference are alike.
        """
        assert ref is not None
        of_gen, of_ref = ([cast(FeatureBank, side.get(need)) for need in self.needs] for side in (gen, ref))
        chosen, first, rest = self._parts(_count(of_gen, "generated"), _count(of_ref, "reference"))
        ratios, extra, few = [], dict[str, float | int](), []
        for need, mine, theirs in zip(self.needs, of_gen, of_ref, strict=True):
            against = moments_of_rows(theirs.in_panels(), rest)
            distance = frechet_distance(moments_of_rows(mine.in_panels(), chosen), against, self.device)
            floor = frechet_distance(moments_of_rows(theirs.in_panels(), first), against, self.device)
            if floor <= 0:
                raise StatisticsError(
                    f"two halves of the reference are {floor:g} apart on {need.extractor!r}: its images are all "
                    "alike, and there is nothing to compare with; give another reference"
                )
            ratios.append(distance / floor)
            extra |= {
                f"ratio.{need.extractor}": ratios[-1],
                f"fd.{need.extractor}": distance,
                f"floor.{need.extractor}": floor,
            }
            if len(first) <= mine.width:
                few.append(f"{need.extractor} {mine.width}")
        extra["num_samples"] = len(first)
        warnings = tuple[str, ...]()
        if few:
            warnings = (
                f"the distances are of {len(first)} images, no more than the feature dimensions of {', '.join(few)}: "
                "both are mostly bias there, and the ratio is nearer to 1 than that of many images",
            )
        return MetricResult(self.id, sum(ratios) / len(ratios), extra, self.protocol, warnings)

    def _parts(self, num_gen: int, num_ref: int) -> tuple[Tensor, Tensor, Tensor]:
        """Which of the generated images are taken, and the two parts of the reference."""
        size = min(num_gen, num_ref // 2)
        if size < 2:
            raise StatisticsError(
                f"metric {self.id!r} compares with two parts of the reference and needs at least 2 generated and 4 "
                f"reference images, and thousands for a number worth reporting; it has {num_gen} and {num_ref}"
            )
        rng = np.random.RandomState(self.seed)
        order = rng.permutation(num_ref)
        chosen = rng.permutation(num_gen)[:size]
        of_gen, first, rest = (torch.from_numpy(np.sort(part)) for part in (chosen, order[:size], order[size:]))
        return of_gen, first, rest


def _count(banks: list[FeatureBank], what: str) -> int:
    counts = {bank.num_samples for bank in banks}
    if len(counts) > 1:
        raise StatisticsError(
            f"the {what} set's features are of {' and '.join(str(count) for count in sorted(counts))} images; the "
            "networks must have seen the same ones. Make the statistics again in one go"
        )
    return counts.pop()
