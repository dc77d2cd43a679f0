"""Which features the diagnostics of a run are of, and what they take of both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from genmetrics.accumulators.block_moments import NUM_BLOCKS
from genmetrics.accumulators.build import BLOCKS
from genmetrics.engine.plan import MAKES_ALL, Plan
from genmetrics.engine.sides import Side
from genmetrics.extractors import EXTRACTORS
from genmetrics.metrics import METRICS
from genmetrics.metrics.base import Metric
from genmetrics.metrics.frechet import FrechetDistance
from genmetrics.metrics.influence import FrechetInfluence
from genmetrics.metrics.neighbours import NeighbourMetric
from genmetrics.stats.stats import Stats
from genmetrics.types import Need, Stage

__all__ = ["Subject", "asked_alone", "diagnostic_needs", "metric_keeping", "no_subject_note", "subject_of"]


@dataclass(frozen=True)
class Subject:
    """The features that the diagnostics of a run are of.

    Attributes:
        metric: the metric of the run that they were chosen for.
        moments: their mean and covariance.
        same: the metrics of the run whose value is the Fréchet distance of these features.
        neighbours: a metric of the run that looks for nearest neighbours among these features; None if none does.
    """

    metric: Metric
    moments: Need
    same: tuple[str, ...]
    neighbours: NeighbourMetric | None = None

    @property
    def bank(self) -> Need:
        """The features themselves."""
        return replace(self.moments, accumulator=MAKES_ALL)

    @property
    def blocks(self) -> Need:
        """The moments of blocks of them."""
        return replace(self.moments, accumulator=BLOCKS, options=(("blocks", NUM_BLOCKS),))

    @property
    def distance(self) -> str:
        """The id of their Fréchet distance; where it has none, what it is of."""
        if isinstance(self.metric, FrechetDistance):
            return self.metric.id
        need = self.moments
        crop, _, preprocess = need.preprocess.rpartition("+")
        for info in METRICS.entries():
            fits = (info.extractor, info.feature, info.preprocess) == (need.extractor, need.feature, preprocess)
            if fits and info.target.endswith(f":{FrechetDistance.__name__}"):
                return f"{info.id}.{crop}" if crop else info.id
        network = EXTRACTORS.get(need.extractor)
        if (network.pool, network.preprocess) == (need.feature, preprocess):
            return f"fd.{need.extractor}.{crop}" if crop else f"fd.{need.extractor}"
        return f"fd of {need.extractor}/{need.feature}/{need.preprocess}"


def subject_of(plan: Plan) -> Subject | None:
    """The features of the first Fréchet distance of a run, else of the first metric that compares kept features."""
    subject = _subject_of(plan)
    if subject is None:
        return None
    searches = (metric for metric in plan.metrics if isinstance(metric, NeighbourMetric))
    return replace(subject, neighbours=next((each for each in searches if each.needs[0] == subject.bank), None))


def _subject_of(plan: Plan) -> Subject | None:
    distances: list[Metric] = [metric for metric in plan.metrics if isinstance(metric, FrechetDistance)]
    distances += [metric for metric in plan.metrics if isinstance(metric, FrechetInfluence)]
    for metric in plan.metrics:
        if metric in distances:
            moments = metric.ref_needs[0]
            return Subject(metric, moments, tuple(same.id for same in distances if same.ref_needs[0] == moments))
    for metric in plan.metrics:
        for need in metric.needs:
            if not metric.unary and need.accumulator == MAKES_ALL:
                return Subject(metric, replace(need, accumulator="moments", options=()), ())
    return None


def no_subject_note(plan: Plan) -> str:
    """What to say where there is nothing to show diagnostics of."""
    asked = ", ".join(metric.id for metric in plan.metrics)
    return (
        f"there are no diagnostics: none of the metrics ({asked}) compares features with those of a reference; ask for "
        "one that does, such as fid, with '--ref REF' (Python: ref=...)"
    )


def diagnostic_needs(subject: Subject, side: Side, stage: Stage) -> tuple[Need, ...]:
    """What diagnostics take of the images of a side; of given statistics they take what these hold."""
    if side.stats is not None:  # images beside it need not be those that the statistics are of
        return ()
    return (subject.moments, subject.bank, *((subject.blocks,) if stage == "gen" else ()))


def asked_alone(stats: Stats, asked: Sequence[Need], more: Sequence[Need]) -> Stats:
    """The statistics without what only the diagnostics take, so that no asked figure can depend on these.

    Args:
        stats: of a side.
        asked: what the metrics and their error bars take.
        more: what the diagnostics take.
    """
    extra = set(more) - set(asked)
    if not extra:
        return stats
    kept = {need: held for need, held in stats.accumulators.items() if need not in extra}
    return replace(stats, accumulators=kept)


def metric_keeping(need: Need) -> str:
    """A metric whose statistics keep features, as it is typed."""
    crop, _, preprocess = need.preprocess.rpartition("+")
    wanted = (need.extractor, need.feature, preprocess)
    names = (info.id for info in METRICS.entries() if info.target.endswith(":KernelDistance")
             and (info.extractor, info.feature, info.preprocess) == wanted)  # fmt: skip
    name = next(names, f"kid.{need.extractor}")
    return f"{name} --crop {crop}" if crop else name
