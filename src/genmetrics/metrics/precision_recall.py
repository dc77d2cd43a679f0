"""Precision, recall, density and coverage: which samples lie in the balls about the other set's samples."""

from __future__ import annotations

from genmetrics.metrics.base import SetStatistics
from genmetrics.metrics.mean_error import mean_error, mean_replicates, share_error
from genmetrics.metrics.neighbour_questions import Answers, Balls, Question
from genmetrics.metrics.neighbours import NeighbourMetric, sizes_differ
from genmetrics.types import MetricResult

__all__ = ["DensityCoverage", "PrecisionRecall"]


class PrecisionRecall(NeighbourMetric):
    """Precision and recall: the share of each set that lies in a ball of the other.

    A ball about a sample reaches to its k-th nearest other sample of the same set. Precision is the share of generated
    samples in reference balls, recall the share of reference samples in generated balls.

    Source: Kynkäänniemi et al. 2019 (arXiv:1904.06991), equations 1 and 2.
    Matches: torch-fidelity 0.4.0 (inclusive) and prdc 0.2 (strict), fed float64 features, equal in every count;
    tests/conformance/test_peers_neighbours.py.
    """

    @property
    def questions(self) -> tuple[Question, ...]:
        """Reference balls about generated samples, and the reverse."""
        k, inclusive = int(self.settings["k"]), bool(self.settings["inclusive"])
        return (Balls("ref", k, inclusive), Balls("gen", k, inclusive))

    def result(self, answers: Answers, gen: SetStatistics, ref: SetStatistics) -> MetricResult:
        """Precision; ``recall`` and ``f_score``, their harmonic mean, beside it.

        Given the reference, generated samples are in its balls or not independently of each other: ``se`` is that of a
        share. Recall has none, since each generated sample's ball depends on the others.
        """
        precision, recall = precision_and_recall(self, answers)
        extra = {
            "precision": precision,
            "recall": recall,
            "f_score": 2 * precision * recall / max(1e-5, precision + recall),
        }
        bank = self.bank(gen)
        inside = answers.balls[_of_ref(self)].around > 0
        warnings = sizes_differ("precision and recall depend", bank.num_samples, self.bank(ref).num_samples)
        return MetricResult(
            self.id,
            precision,
            {**extra, **share_error(inside)},
            self.protocol,
            warnings,
            replicates=mean_replicates(inside, bank.indices()),
        )


class DensityCoverage(NeighbourMetric):
    """Density and coverage, with precision and recall of the same balls, all without their surfaces.

    Density is the mean number of reference balls about a generated sample, divided by k; it may exceed 1. Coverage is
    the share of reference balls with a generated sample in them.

    Source: Naeem et al. 2020 (arXiv:2002.09797), equations 4 and 5.
    Matches: prdc 0.2, fed float64 features, equal in every count; tests/conformance/test_peers_neighbours.py.
    """

    @property
    def questions(self) -> tuple[Question, ...]:
        """Reference balls about generated samples, and the reverse."""
        k = int(self.settings["k"])
        return (Balls("ref", k, False), Balls("gen", k, False))

    def result(self, answers: Answers, gen: SetStatistics, ref: SetStatistics) -> MetricResult:
        """Density, and the other three beside it; ``se`` is density's, over the generated samples alone."""
        precision, recall = precision_and_recall(self, answers)
        of_ref, bank = _of_ref(self), self.bank(gen)
        counts = answers.balls[of_ref]
        density = float(counts.around.double().mean()) / of_ref.k
        shares = counts.around.double() / of_ref.k
        extra = {
            "precision": precision,
            "recall": recall,
            "density": density,
            "coverage": float((counts.inside > 0).double().mean()),
        }
        warnings = sizes_differ("recall and coverage depend", bank.num_samples, self.bank(ref).num_samples)
        return MetricResult(
            self.id,
            density,
            {**extra, **mean_error(shares)},
            self.protocol,
            warnings,
            replicates=mean_replicates(shares, bank.indices()),
        )


def _of_ref(metric: NeighbourMetric) -> Balls:
    """The question about the reference's balls."""
    return next(asked for asked in metric.questions if isinstance(asked, Balls) and asked.side == "ref")


def precision_and_recall(metric: NeighbourMetric, answers: Answers) -> tuple[float, float]:
    """The shares of generated and of reference samples in any ball of the other set."""
    shares = {
        question.side: float((answers.balls[question].around > 0).double().mean())
        for question in metric.questions
        if isinstance(question, Balls)
    }
    return shares["ref"], shares["gen"]
