"""MiFID: the Fréchet distance, divided by how far the generated features keep from the training set's."""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Bool
from torch import Tensor

from genmetrics.accumulators.moments import Moments
from genmetrics.errors import StatisticsError
from genmetrics.metrics.base import SetStatistics
from genmetrics.metrics.frechet import few_samples, frechet_distance
from genmetrics.metrics.neighbour_questions import Answers, NearestOther, Question
from genmetrics.metrics.neighbours import NeighbourMetric
from genmetrics.types import MetricInfo, MetricResult, Need

__all__ = ["MemorisationInformedFrechetDistance"]

_FLOOR = 1e-14
_THRESHOLD = 0.1
#: A mean least distance below which the sets are copies.
_COPIES = 1e-6
#: torchmetrics calls less than this no distance at all.
_NO_DISTANCE = 1e-8


class MemorisationInformedFrechetDistance(NeighbourMetric):
    """FID / (m + 1e-14) with m the mean least 1 − |cos|, and m = 1 from 0.1 upwards. Rows of zeros are left out.

    With the setting ``over_ref`` 0 the mean is over generated samples of the least distance to a training sample, as
    in the competition that the metric comes from. With 1 it is over training samples of the least distance to a
    generated one, as torchmetrics computes it, and a Fréchet distance of at most 1e-8 gives 0. The setting
    ``threshold`` takes the place of 0.1.

    Source: Bai et al. 2021 (arXiv:2106.03062), section 3.3.
    Matches: torchmetrics 1.9.0's functions in the stated direction, to 1e-9 relative;
    tests/conformance/test_peers_neighbours.py.
    """

    higher_is_better = False

    def __init__(self, info: MetricInfo, seed: int) -> None:
        super().__init__(info, seed)
        self._over_ref = bool(self.settings["over_ref"])
        self._threshold = float(self.settings.get("threshold", _THRESHOLD))
        self.needs = (*self.needs, Need(info.extractor, info.preprocess, info.feature, "moments"))

    @property
    def questions(self) -> tuple[Question, ...]:
        """Nearest by angle, whichever way a direction points."""
        return (NearestOther("ref" if self._over_ref else "gen", "absolute cosine"),)

    def result(self, answers: Answers, gen: SetStatistics, ref: SetStatistics) -> MetricResult:
        """The quotient; the distance and the mean least distance, before 0.1 makes it 1, beside it."""
        (nearest,) = self.questions
        assert isinstance(nearest, NearestOther)
        sides = {name: self.bank(side) for name, side in (("generated", gen), ("reference", ref))}
        directed = {
            name: bank.in_panels().of_each(_directed, torch.zeros(0, dtype=torch.int64)) for name, bank in sides.items()
        }
        for name, any_direction in directed.items():
            if not bool(any_direction.any()):
                raise StatisticsError(
                    f"metric {self.id!r}: all features of the {name} set are zero, so they have no angle; look at the "
                    "images and the network's weights"
                )
        own = directed["reference" if self._over_ref else "generated"]
        least = float(answers.nearest[nearest][0][own.bool()].mean())
        moments = [cast(Moments, side.get(self.needs[1])) for side in (gen, ref)]
        distance = frechet_distance(moments[0], moments[1], self.device)
        penalty = least if least < self._threshold else 1.0
        value = distance / (penalty + _FLOOR)
        if self._over_ref and distance <= _NO_DISTANCE:
            value = 0.0
        extra = {"fid": distance, "cosine_distance": least, "divisor": penalty}
        warnings = few_samples(moments[0], moments[1])
        if least < _COPIES:
            warnings = (
                f"the features of the two sets are copies of one another (mean least cosine distance {least:.1e}): the "
                "value is a distance divided by next to nothing, and its size says nothing beyond that",
                *warnings,
            )
        return MetricResult(self.id, value, extra, self.protocol, warnings)


def _directed(rows: Tensor) -> Bool[Tensor, " n"]:
    """Which rows are not all zero."""
    return torch.any(rows != 0, dim=1)
