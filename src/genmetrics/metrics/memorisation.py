"""Whether generated images are copies: realism, authenticity and the nearest reference image of each."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.errors import StatisticsError
from genmetrics.metrics.base import SetStatistics
from genmetrics.metrics.mean_error import mean_error, mean_replicates, share_error
from genmetrics.metrics.neighbour_pass import median
from genmetrics.metrics.neighbour_questions import Answers, NearestOther, Neighbours, Question, Realism
from genmetrics.metrics.neighbours import NeighbourMetric
from genmetrics.types import MetricResult, Table

__all__ = ["Authenticity", "NearestReference", "RealismScore"]

#: Cosine distances below it are those of copies.
_COPY = 1e-6


class RealismScore(NeighbourMetric):
    """How deep each generated sample lies in a reference ball: the largest radius over distance.

    Above 1 a sample is inside a ball. Only balls smaller than the median are counted. Of a sample that is a copy of
    the centre of such a ball the score is infinite: it is ``inf`` in the table and left out of mean and median.

    Source: Kynkäänniemi et al. 2019 (arXiv:1904.06991), equation 3.
    Matches: dgm-eval's code, transcribed, to 1e-12 relative; tests/metrics/test_memorisation.py.
    """

    has_per_image = True

    @property
    def questions(self) -> tuple[Question, ...]:
        """The scores, and the nearest reference sample of each."""
        return (Realism(int(self.settings["k"])), NearestOther("gen"))

    def result(self, answers: Answers, gen: SetStatistics, ref: SetStatistics) -> MetricResult:
        """The mean score; the median, and the share of samples in a ball, beside it."""
        asked, nearest = self.questions
        assert isinstance(asked, Realism) and isinstance(nearest, NearestOther)
        scores = answers.realism[asked]
        if not bool((scores > 0).any()):
            raise StatisticsError(
                f"metric {self.id!r}: no reference ball is smaller than the median and larger than nothing; the "
                "reference set is of copies, or its features are equally far apart. Look at the reference set"
            )
        finite = scores[scores.isfinite()]
        if len(finite) == 0:
            raise StatisticsError(
                f"metric {self.id!r}: every generated image has exactly the features of a reference image; the score "
                "has no value for copies. Check that the generated set is not the reference set"
            )
        num_copies = len(scores) - len(finite)
        warnings: tuple[str, ...] = ()
        if num_copies:
            warnings = (
                f"{num_copies} of {len(scores)} generated images have exactly the features of a reference image; their "
                "realism is infinite and not in mean and median",
            )
        extra = {
            "mean": float(finite.mean()),
            "median": float(median(finite)),
            "share_above_1": float((scores > 1).double().mean()),
            "num_infinite": num_copies,
        }
        table = {
            "index": self.bank(gen).indices().tolist(),
            "realism": scores.tolist(),
            "nearest_ref": _indices(self.bank(ref), answers.nearest[nearest][1]),
        }
        return MetricResult(
            self.id,
            extra["mean"],
            {**extra, **mean_error(finite)},
            self.protocol,
            warnings,
            per_image=table,
            replicates=mean_replicates(finite, self.bank(gen).indices()[scores.isfinite()]),
        )


class Authenticity(NeighbourMetric):
    """AuthPct: how many of a hundred generated samples are no nearer to a training sample than its like.

    A sample is authentic if its nearest training sample is nearer to another training sample than to it. The
    reference must be the set that the model was trained on.

    Source: Alaa et al. 2022 (arXiv:2102.08921), section 4.3.
    Matches: dgm-eval's code, transcribed, equal; tests/metrics/test_memorisation.py.
    """

    has_per_image = True

    @property
    def questions(self) -> tuple[Question, ...]:
        """Nearest training samples, and how near to them their own nearest are."""
        return (NearestOther("gen"), Neighbours("ref", 1))

    def result(self, answers: Answers, gen: SetStatistics, ref: SetStatistics) -> MetricResult:
        """The share in percent."""
        nearest, own = self.questions
        assert isinstance(nearest, NearestOther) and isinstance(own, Neighbours)
        distances, index = answers.nearest[nearest]
        of_ref = answers.neighbours[own][0][index, 0]
        authentic = of_ref < distances
        table: Table = {
            "index": self.bank(gen).indices().tolist(),
            "nearest_ref": _indices(self.bank(ref), index),
            "distance": distances.tolist(),
            "distance_of_ref": of_ref.tolist(),
            "authentic": authentic.int().tolist(),
        }
        value = 100 * float(authentic.double().mean())
        percent = {name: 100 * figure for name, figure in share_error(authentic).items()}
        return MetricResult(
            self.id,
            value,
            {"num_authentic": int(authentic.sum()), **percent},
            self.protocol,
            per_image=table,
            replicates=mean_replicates(100 * authentic.double(), self.bank(gen).indices()),
        )


class NearestReference(NeighbourMetric):
    """The nearest reference image of each generated one by the angle between their features: an audit for copies.

    The distance is 1 − cos, from 0 to 2.
    """

    has_per_image = True

    @property
    def questions(self) -> tuple[Question, ...]:
        """Nearest by cosine."""
        return (NearestOther("gen", "cosine"),)

    def result(self, answers: Answers, gen: SetStatistics, ref: SetStatistics) -> MetricResult:
        """The mean distance; the least, the first percentile, the median and the number of copies beside it."""
        (nearest,) = self.questions
        assert isinstance(nearest, NearestOther)
        distances, index = answers.nearest[nearest]
        copies = int((distances < _COPY).sum())
        extra = {
            "min": float(distances.min()),
            "p01": float(np.quantile(distances.numpy(), 0.01)),
            "median": float(median(distances)),
            "num_pairs_below": copies,
            "share_of_copies": copies / len(distances),
        }
        table: Table = {
            "index": self.bank(gen).indices().tolist(),
            "nearest_ref": _indices(self.bank(ref), index),
            "distance": distances.tolist(),
        }
        return MetricResult(
            self.id,
            float(distances.mean()),
            {**extra, **mean_error(distances)},
            self.protocol,
            per_image=table,
            replicates=mean_replicates(distances, self.bank(gen).indices()),
        )


def _indices(bank: FeatureBank, rows: Tensor) -> list[int]:
    """The images' indices of rows of a bank."""
    found: list[int] = torch.take(bank.indices(), rows).tolist()
    return found
