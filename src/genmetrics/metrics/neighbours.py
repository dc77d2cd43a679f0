"""What every metric of nearest neighbours has in common: one pass for all of them on the same features."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Sequence
from typing import ClassVar, cast

from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.errors import StatisticsError
from genmetrics.metrics.base import Metric, SetStatistics
from genmetrics.metrics.neighbour_pass import answer
from genmetrics.metrics.neighbour_questions import Answers, NearestOther, OwnBalls, Question, Realism
from genmetrics.types import MetricInfo, MetricResult, Need

__all__ = ["NeighbourMetric", "sizes_differ"]


class NeighbourMetric(Metric):
    """A metric that says what it asks of a pass, and makes its figures of the answers.

    Metrics of one run on the same features share the pass; see ``neighbour_pass.answer``.

    Attributes:
        also: what else its pass is to find out, for others than metrics.
        answers: of the last pass in which something was, to these questions and those of all metrics.
    """

    unary = False
    higher_is_better = True
    #: Which set is what it must be, for the message where it is too small.
    _sides: ClassVar[dict[str, str]] = {"gen": "generated", "ref": "reference"}

    def __init__(self, info: MetricInfo, seed: int) -> None:
        self.id = info.id
        self.settings = dict(info.settings)
        self.needs = (Need(info.extractor, info.preprocess, info.feature, "feature_bank"),)
        self.protocol = info.protocol
        self.also: tuple[Question, ...] = ()
        self.answers: Answers | None = None

    @property
    def work(self) -> Hashable | None:
        """The features whose neighbours are looked for."""
        return ("neighbours", self.needs[0])

    @property
    @abstractmethod
    def questions(self) -> tuple[Question, ...]:
        """What it asks of a pass."""

    @abstractmethod
    def result(self, answers: Answers, gen: SetStatistics, ref: SetStatistics) -> MetricResult:
        """Its figures, from the answers to its questions and those of others."""

    def compute(self, gen: SetStatistics, ref: SetStatistics | None) -> MetricResult:
        """The metric's figures, from a pass of its own."""
        return self.compute_together([self], gen, ref)[0]

    def compute_together(
        self, metrics: Sequence[Metric], gen: SetStatistics, ref: SetStatistics | None
    ) -> list[MetricResult]:
        """The results of all metrics of these features from one pass."""
        assert ref is not None
        asking = [cast(NeighbourMetric, metric) for metric in metrics]
        banks = {"gen": self.bank(gen), "ref": self.bank(ref)}
        for metric in asking:
            metric._check_sizes({side: bank.num_samples for side, bank in banks.items()})
        questions = [question for metric in asking for question in (*metric.questions, *metric.also)]
        answers = answer(questions, banks["gen"].in_panels(), banks["ref"].in_panels(), device=self.device)
        for metric in asking:
            metric.answers = answers if metric.also else None
        return [metric.result(answers, gen, ref) for metric in asking]

    def check_sizes(self, num_gen: int | None, num_ref: int | None) -> None:
        """Refuse sets with fewer images than the questions take."""
        if num_gen is not None and num_ref is not None:
            self._check_sizes({"gen": num_gen, "ref": num_ref})

    def bank(self, side: SetStatistics) -> FeatureBank:
        """The features of a set."""
        return cast(FeatureBank, side.get(self.needs[0]))

    def _check_sizes(self, sizes: dict[str, int]) -> None:
        for question in self.questions:
            if isinstance(question, NearestOther):
                least = dict.fromkeys(sizes, 1)
            elif isinstance(question, (OwnBalls, Realism)):
                least = {"gen": 1, "ref": question.k + 1}
            else:
                least = {"gen": 1, "ref": 1, question.side: question.k + 1}
            for side, count in sizes.items():
                if count < least[side]:
                    raise StatisticsError(
                        f"metric {self.id!r} needs at least {least[side]} images in the {self._sides[side]} set, and "
                        f"there are {count}; add images, or leave {self.id!r} out"
                    )


def sizes_differ(what: str, num_gen: int, num_ref: int) -> tuple[str, ...]:
    """A warning where sets of unlike size go into a figure that depends on it."""
    if num_gen == num_ref:
        return ()
    return (
        f"{what} on how many images there are on each side; compare only with values of {num_gen} generated and "
        f"{num_ref} reference images",
    )
