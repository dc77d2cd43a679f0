"""What statistics are, and what can be computed from them; and saying of them what their file does not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from genmetrics.accumulators.moments import Moments
from genmetrics.engine.identical import repeated_within
from genmetrics.engine.options import Options
from genmetrics.engine.plan import computable, make_plan, width_of
from genmetrics.errors import StatisticsError, UsageError
from genmetrics.stats.formats.build import NO_COUNT, UNSTATED
from genmetrics.stats.io import fingerprint_dict
from genmetrics.stats.parts import part_of_statistics
from genmetrics.stats.stats import Stats, describe_need
from genmetrics.types import UNKNOWN, ExtractorRecord, Need

__all__ = ["Description", "by_sides", "describe", "need_in", "needs_in_file", "with_num_samples", "with_protocol"]


@dataclass(frozen=True)
class Description:
    """What ``genmetrics stats show`` says.

    Attributes:
        stats: the statistics.
        as_reference: the metrics for which they can be the reference.
        as_generated: the metrics that can be computed of them as the generated set.
        could_be: where the file does not say what they are of, the metrics whose width they have.
    """

    stats: Stats
    as_reference: tuple[str, ...]
    as_generated: tuple[str, ...]
    could_be: tuple[str, ...]

    @property
    def num_distinct(self) -> int | None:
        """How many different images there are; None if the file does not have what tells it."""
        return None if self.stats.keys is None else repeated_within(self.stats.keys).distinct

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            **fingerprint_dict(self.stats),
            "stats_file": self.stats.side.stats_file or None,
            "holds": [describe_need(need) for need in self.stats.accumulators],
            "num_labels": None if self.stats.labels is None else self.stats.labels.num_samples,
            "num_distinct": self.num_distinct,
            "as_reference": list(self.as_reference),
            "as_generated": list(self.as_generated),
            "could_be": list(self.could_be),
            "versions": dict(self.stats.versions),
        }


def describe(stats: Stats) -> Description:
    """Find out what can be computed."""
    exact = computable(stats)
    could_be = [metric.id for metric in computable(stats, widths_only=True)]
    return Description(
        stats,
        tuple(metric.id for metric in exact if not metric.unary),
        tuple(metric.id for metric in computable(stats, stage="gen")),
        tuple(could_be),
    )


def needs_in_file(metrics: str, extractor: str | None, crop: str | None) -> tuple[Need, ...]:
    """What metrics need of a statistics file: of the reference, or of the one set that they measure.

    Args:
        metrics: their names, with commas.
        extractor: the network on which to compute them.
        crop: the crop that images undergo first.

    Raises:
        GenmetricsError: as ``evaluate``, for names that stand for nothing.
    """
    plan = make_plan(metrics, extractor, Options.seed, True, crop)
    return tuple(dict.fromkeys(need for metric in plan.metrics for need in metric.ref_needs or metric.needs))


def by_sides(metrics: str, extractor: str | None) -> tuple[list[str], list[str]]:
    """The names of those metrics that compare two sets, and of those that are of one; as they were typed.

    Args:
        metrics: their names, with commas.
        extractor: the network on which to compute them.

    Raises:
        GenmetricsError: as ``evaluate``, for names that stand for nothing.
    """
    names = [name.strip() for name in metrics.split(",") if name.strip()]
    unary = {name: make_plan([name], extractor, Options.seed, True).metrics[0].unary for name in names}
    return [name for name in unary if not unary[name]], [name for name in unary if unary[name]]


def need_in(stats: Stats, metric: str) -> Need:
    """What a metric needs of a set, among statistics that are given.

    Args:
        stats: the statistics; of those that hold it, a metric is also known by the name that reports give it.
        metric: its name.

    Raises:
        UnknownNameError: if there is no metric of that name.
    """
    held = {known.id: known.needs[0] for known in computable(stats)}
    return held[metric] if metric in held else _need_of(metric)


def _need_of(metric: str) -> Need:
    return make_plan([metric], None, Options.seed, has_reference=True).gen_needs[0]


def with_protocol(stats: Stats, metric: str) -> Stats:
    """Statistics of a file that does not say what they are of, under the protocol of a metric.

    Raises:
        UnknownNameError: if there is no metric of that name.
        UsageError: if the file does say it.
        StatisticsError: if nothing in it has the width.
    """
    if not any(need.extractor == UNKNOWN for need in stats.accumulators):
        raise UsageError(
            f"'{stats.name}' says itself what it is of ({stats.holdings()}); it cannot be called anything else"
        )
    accumulators = {}
    need = _need_of(metric)
    width = [other.id for other in computable(stats, widths_only=True)]
    if metric not in width:
        raise StatisticsError(
            f"'{stats.name}' cannot be the statistics of {metric!r}, which needs {describe_need(need)} of width "
            f"{width_of(need)}; it can be of: "
            f"{', '.join(width) or 'no metric that is known'}"
        )
    for key, held in stats.accumulators.items():
        named = replace(key, extractor=need.extractor, preprocess=need.preprocess, feature=need.feature)
        accumulators[named if key.extractor == UNKNOWN else key] = held
    extractors = {name: record for name, record in stats.extractors.items() if name != UNKNOWN}
    extractors.setdefault(need.extractor, ExtractorRecord(None, None, None))
    note = f"that its statistics are those of {metric!r} is not in the original file; it was said when it was converted"
    return replace(
        stats,
        accumulators=accumulators,
        extractors=extractors,
        side=replace(stats.side, notes=(*_without(stats.side.notes, UNSTATED), note)),
    )


def with_num_samples(stats: Stats, count: int) -> Stats:
    """Statistics of a file that does not say how many images they are of, with their number.

    Raises:
        UsageError: if the file does say it, or the number is below 2.
    """
    if stats.num_samples is not None:
        raise UsageError(f"'{stats.name}' says itself that it is of {stats.num_samples} images")
    if count < 2:
        raise UsageError(f"--num-samples {count}: expected at least 2")
    accumulators = {
        need: Moments.from_covariance(held.mean(), held.covariance(), count) if isinstance(held, Moments) else held
        for need, held in stats.accumulators.items()
    }
    part = part_of_statistics(stats.side.source, stats.side.kind, count, accumulators.values())
    note = f"that it is of {count} images is not in the original file; it was said when it was converted"
    side = replace(stats.side, num_samples=count, parts=(part,), notes=(*_without(stats.side.notes, NO_COUNT), note))
    return replace(stats, accumulators=accumulators, side=side)


def _without(notes: tuple[str, ...], settled: str) -> tuple[str, ...]:
    return tuple(note for note in notes if note != settled)
