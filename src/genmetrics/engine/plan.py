"""What is to be computed, and what that needs from each image set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from genmetrics.accumulators.build import NO_FEATURES
from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.moments import Moments
from genmetrics.engine.options import Options
from genmetrics.errors import UsageError
from genmetrics.extractors import EXTRACTORS
from genmetrics.metrics import METRICS
from genmetrics.metrics.base import Metric
from genmetrics.metrics.resolve import build_metrics
from genmetrics.preprocess.crop_id import is_crop
from genmetrics.stats.stats import Stats
from genmetrics.types import UNKNOWN, ExtractorInfo, MetricInfo, MetricsLike, Need, Stage

__all__ = [
    "MAKES_ALL",
    "Plan",
    "as_typed",
    "check_per_image",
    "computable",
    "could_meet",
    "make_plan",
    "serving",
    "unnamed",
    "width_held",
    "width_of",
]

#: The kind from which every other statistic of features can be made.
MAKES_ALL = "feature_bank"

#: What class logits are called where an extractor is made by its name.
_LOGITS = "logits"
_WITH_REFERENCE = ("fid", "kid", "isc")
_ALONE = ("isc",)


@dataclass(frozen=True)
class Plan:
    """The metrics of a run, in the order of the report.

    Attributes:
        metrics: what is computed.
        notes: what a reader must know of the choice.
    """

    metrics: tuple[Metric, ...]
    notes: tuple[str, ...] = ()

    @property
    def gen_needs(self) -> tuple[Need, ...]:
        """What all the metrics read from the generated set, each need once."""
        return tuple(dict.fromkeys(need for metric in self.metrics for need in metric.needs))

    @property
    def ref_needs(self) -> tuple[Need, ...]:
        """What the metrics that compare read from the reference set, each need once."""
        return tuple(dict.fromkeys(need for metric in self.metrics for need in metric.ref_needs))

    @property
    def all_needs(self) -> tuple[Need, ...]:
        """What the metrics read from a set that may be on either side, each need once."""
        return tuple(dict.fromkeys((*self.gen_needs, *self.ref_needs)))

    @property
    def error_needs(self) -> tuple[Need, ...]:
        """What the metrics' error bars read, each need once."""
        return tuple(dict.fromkeys(need for metric in self.metrics for need in metric.error_needs))

    @property
    def labels_for(self) -> str:
        """The first metric that needs the classes of both sets' images; empty if none does."""
        return next((metric.id for metric in self.metrics if metric.needs_labels), "")

    def asking_for(self, need: Need) -> str:
        """The first metric that needs this."""
        return next(
            metric.id for metric in self.metrics if need in (*metric.needs, *metric.ref_needs, *metric.error_needs)
        )


def make_plan(
    metrics: MetricsLike | None,
    extractor: str | None,
    seed: int,
    has_reference: bool,
    crop: str | None = None,
) -> Plan:
    """Resolve metric names.

    Args:
        metrics: ids, or one string of them with commas, or descriptions; None takes ``fid,kid,isc`` with a reference
            and ``isc`` without one, as far as the network allows; a note says what it does not.
        extractor: the network on which to compute them; None takes each metric's own.
        seed: of every random choice.
        has_reference: whether there is a set to compare with.
        crop: the centre crop that all images undergo first; None for none.

    Raises:
        UnknownNameError: if a name stands for nothing.
        UsageError: if nothing is asked for, or a metric needs a reference and there is none.
    """
    asked: Sequence[str | MetricInfo]
    asked, notes = _default(extractor, has_reference) if metrics is None else (_asked(metrics), ())
    if not asked:
        raise UsageError("no metric was asked for; for example: -m fid,kid (`genmetrics list metrics` has them all)")
    plan = Plan(tuple(build_metrics(asked, extractor, EXTRACTORS.get, seed, crop)), notes)
    comparing = [metric.id for metric in plan.metrics if not metric.unary]
    if comparing and not has_reference:
        raise UsageError(
            f"metric {comparing[0]!r} compares with a reference, and none was given; add '--ref REF' "
            "(Python: ref=...), or ask for metrics of one set: -m isc"
        )
    return plan


def check_per_image(plan: Plan) -> None:
    """Check that figures of single images will come of a run.

    Raises:
        UsageError: if none of the metrics has any.
    """
    if not any(metric.has_per_image for metric in plan.metrics):
        asked = ", ".join(metric.id for metric in plan.metrics)
        raise UsageError(
            f"none of the metrics has figures of single images ({asked}); ask for one that does, such as "
            "fid_influence, realism, nearest or clip_score"
        )


def _default(extractor: str | None, has_reference: bool) -> tuple[list[str], tuple[str, ...]]:
    """The default metrics that an extractor allows, and a note of those that it does not."""
    names = [*(_WITH_REFERENCE if has_reference else _ALONE)]
    network = None if extractor is None else EXTRACTORS.get(extractor)
    if network is None or network.pairs or network.logits is not None:
        return names, ()
    lost = [name for name in names if METRICS.get(name).role == "logits"]
    why = f"class logits, and extractor {network.id!r} has none (outputs: {', '.join(network.features)})"
    if lost == names:
        raise UsageError(
            f"the default metric of one set is {', '.join(lost)}, which needs {why}; add '--ref REF' (Python: "
            "ref=...), or ask for a metric of one set that it allows: -m vendi,rke"
        )
    kept = [name for name in names if name not in lost]
    return kept, (f"of the default metrics {', '.join(lost)} was left out: it needs {why}",)


def _asked(metrics: MetricsLike) -> list[str | MetricInfo]:
    """The names that were typed, and what was described in place of a name."""
    given = metrics.split(",") if isinstance(metrics, str) else metrics
    texts = [one.strip() if isinstance(one, str) else one for one in given]
    return [one for one in texts if one != ""]


def as_typed(metric: str) -> str:
    """How a person asks for a metric of a report: the crop in its name is an option."""
    base, _, crop = metric.rpartition(".")
    return f"{base} --crop {crop}" if base and is_crop(crop) else metric


def computable(stats: Stats, *, widths_only: bool = False, stage: Stage = "ref") -> list[Metric]:
    """The metrics for which statistics hold what is needed of a set, in the order of the registry.

    Nothing is run or fetched for an extractor that the statistics name.

    Args:
        stats: the statistics.
        widths_only: take unnamed statistics for whatever has their width, which only a metric's own name decides.
        stage: the side that the set is to be; those of one set need it of the generated side alone, and count for both.
    """
    infos = list(METRICS.entries())

    def lookup(extractor: str) -> ExtractorInfo:
        return _as_held(stats, extractor) if EXTRACTORS.makes(extractor) else EXTRACTORS.get(extractor)

    held = sorted({need.extractor for need in stats.accumulators} - {UNKNOWN})
    networks = [lookup(name) for name in held if name in EXTRACTORS or EXTRACTORS.makes(name)]
    names = [info.id for info in infos]
    names += [
        f"{info.generic}.{network.id}"
        for network in networks
        if not network.pairs and not is_crop(network.id.rpartition(".")[2])
        for info in infos
        if info.generic and (info.role == "pool" or network.logits)
    ]
    seed = Options.seed if stats.seed is None else stats.seed
    # A crop is part of a preprocessing's name, before a plus.
    crops = {need.preprocess.rpartition("+")[0] or None: None for need in stats.accumulators} or {None: None}
    return [
        metric
        for crop in crops
        for metric in build_metrics(names, None, lookup, seed, crop)
        if all(
            could_meet(stats, need, lookup) if widths_only else stats.meets(need)
            for need in (metric.needs if stage == "gen" else metric.ref_needs or metric.needs)
        )
        and (stats.labels is not None or not metric.needs_labels)
    ]


def _as_held(stats: Stats, extractor: str) -> ExtractorInfo:
    """What statistics tell of an extractor that its name would have made: ``hf:…``, ``python:…``.

    The name is out of a file, and making it would run code or fetch a model that nobody asked for.
    """
    held = [need for need in stats.accumulators if need.extractor == extractor]
    widths: dict[str, int] = {}
    for need in held:
        widths[need.feature] = max(width_held(stats, need) or 0, widths.get(need.feature, 0))
    return ExtractorInfo(
        extractor,
        target="",
        summary="",
        features=widths,
        preprocess=held[0].preprocess.rpartition("+")[2],
        pool=next((feature for feature in widths if feature != _LOGITS), _LOGITS),
        logits=_LOGITS if _LOGITS in widths else None,
    )


def could_meet(stats: Stats, need: Need, lookup: Callable[[str], ExtractorInfo] = EXTRACTORS.get) -> bool:
    """Whether unnamed statistics have the kind and width of a need."""
    return any(width_held(stats, key) == width_of(need, lookup) for key in unnamed(stats, need))


def unnamed(stats: Stats, need: Need) -> list[Need]:
    """The statistics of no name from whose kind a need's kind can be had."""
    return [key for key in serving(stats, need) if key.extractor == UNKNOWN]


def serving(stats: Stats, need: Need) -> list[Need]:
    """What is held of a kind and settings from which the need's can be had, whatever it is of; the same kind first."""
    kinds = {(need.accumulator, need.options)}
    if need.accumulator not in NO_FEATURES:
        kinds.add((MAKES_ALL, ()))
    keys = [key for key in stats.accumulators if (key.accumulator, key.options) in kinds]
    return sorted(keys, key=lambda key: key.accumulator != need.accumulator)


def width_held(stats: Stats, key: Need) -> int | None:
    """The width of the feature that statistics are of; None of a kind that has none."""
    held = stats.accumulators[key]
    return held.width if isinstance(held, Moments | FeatureBank) else None


def width_of(need: Need, lookup: Callable[[str], ExtractorInfo] = EXTRACTORS.get) -> int:
    """The width of the feature that a need is of.

    Args:
        need: of a metric that was asked for.
        lookup: finds an extractor's description; where metrics come out of a file, one that makes none.
    """
    return lookup(need.extractor).features[need.feature]
