"""Whether statistics that were given are what the asked metrics need, and what to say where they are not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from genmetrics.accumulators.base import Accumulator
from genmetrics.accumulators.moments import Moments
from genmetrics.engine.comparable import FORCED
from genmetrics.engine.plan import MAKES_ALL, Plan, as_typed, computable, serving, unnamed, width_held, width_of
from genmetrics.errors import StatisticsError, UsageError
from genmetrics.extractors import EXTRACTORS
from genmetrics.stats.stats import Stats, describe_need
from genmetrics.types import UNKNOWN, ExtractorRecord, Need

__all__ = ["Bound", "bind"]

_FIELDS = ("extractor", "preprocess", "feature")


@dataclass(frozen=True)
class Bound:
    """Given statistics under the names of the needs that they meet.

    Attributes:
        stats: the statistics; None if none were given.
        missing: needs that they do not meet.
        cautions: what a reader of a number from them must know, by need.
    """

    stats: Stats | None
    missing: tuple[Need, ...]
    cautions: Mapping[Need, tuple[str, ...]]


def bind(stats: Stats, needs: Iterable[Need], plan: Plan, *, force: bool, can_compute: bool, side: str) -> Bound:
    """Find each need among given statistics.

    Statistics of a file that does not say what they are of are taken to be what the metric needs, with a caution,
    if their width fits. Such of another network, preprocessing or layer are refused, or with ``force`` taken with
    a caution.

    Args:
        stats: what was given.
        needs: what is to be found.
        plan: the metrics, for messages.
        force: take what does not fit.
        can_compute: whether what is missing can be computed from images.
        side: ``generated`` or ``reference``, for messages.

    Raises:
        StatisticsError: if a need is met neither by what is held nor by computing it, naming what differs.
        UsageError: if one unnamed set of statistics would have to be two things.
    """
    accumulators = dict(stats.accumulators)
    cautions: dict[Need, tuple[str, ...]] = {}
    taken: dict[Need, Need] = {}
    missing: list[Need] = []
    records = dict(stats.extractors)
    for need in needs:
        metric = plan.asking_for(need)
        if stats.meets(need):
            cautions[need] = _uncounted(stats, stats.accumulators.get(need), side)
            continue
        found = _unnamed(stats, need, metric, side, can_compute) if unnamed(stats, need) else None
        if found is not None:
            _check_one_meaning(taken, found, need, stats, plan)
            taken[found] = need
            text = (
                f"{side} '{stats.name}' does not say which network, layer and preprocessing its {_kind(found)} are "
                f"of; they are taken to be those of {metric!r}, because it was asked for"
            )
        elif can_compute:
            missing.append(need)
            continue
        else:
            found = _nearest(stats, need)
            if found is None or not force or width_held(stats, found) != width_of(need):
                raise StatisticsError(_refusal(stats, need, found, metric, side))
            differing = "; ".join(
                f"{name} {ours!r} in place of {theirs!r}" for name, ours, theirs in _differ(found, need)
            )
            text = f"{FORCED}{side} '{stats.name}' holds features of {differing}; the number compares with no other"
        held = stats.accumulators[found]
        accumulators[replace(need, accumulator=found.accumulator, options=found.options)] = held
        cautions[need] = (text, *_uncounted(stats, held, side))
        records.setdefault(need.extractor, records.get(found.extractor, ExtractorRecord(None, None, None)))
    unfinished = _unfinished(stats, side)
    cautions = {need: (*texts, *unfinished) for need, texts in cautions.items()}
    bound = replace(stats, accumulators=accumulators, extractors=records)
    return Bound(bound, tuple(missing), cautions)


def _unnamed(stats: Stats, need: Need, metric: str, side: str, can_compute: bool) -> Need | None:
    """The unnamed statistics that can be what is needed; None if none has the width and it can be computed.

    Raises:
        StatisticsError: if none has the width and it cannot be computed.
    """
    found = unnamed(stats, need)
    for key in found:
        if width_held(stats, key) == width_of(need):
            return key
    if can_compute:
        return None
    widths = " and ".join(str(width_held(stats, key)) for key in found)
    fitting = [other.id for other in computable(stats, widths_only=True) if other.id != metric]
    hint = f"metrics of that width: {', '.join(fitting)}" if fitting else "no known metric has that width"
    raise StatisticsError(
        f"{side} '{stats.name}' holds {_kind(found[0])} of {widths} dimensions, metric {metric!r} needs "
        f"{width_of(need)} ({need.extractor}/{need.feature}); {hint}"
    )


def _check_one_meaning(taken: Mapping[Need, Need], found: Need, need: Need, stats: Stats, plan: Plan) -> None:
    before = taken.get(found)
    if before is None or all(getattr(before, name) == getattr(need, name) for name in _FIELDS):
        return
    raise UsageError(
        f"'{stats.name}' does not say what its {_kind(found)} are of, and cannot be that of "
        f"{plan.asking_for(before)!r} and of {plan.asking_for(need)!r} at once; ask for the one that it was made for"
    )


def _nearest(stats: Stats, need: Need) -> Need | None:
    """What is held that differs in the fewest fields."""
    named = [key for key in serving(stats, need) if key.extractor != UNKNOWN]
    return min(named, key=lambda key: len(_differ(key, need)), default=None)


def _differ(held: Need, need: Need) -> list[tuple[str, str, str]]:
    return [
        (name, getattr(held, name), getattr(need, name))
        for name in _FIELDS
        if getattr(held, name) != getattr(need, name)
    ]


def _refusal(stats: Stats, need: Need, found: Need | None, metric: str, side: str) -> str:
    possible = [as_typed(other.id) for other in computable(stats)]
    ask = f"Ask for {' or '.join(repr(name) for name in possible)}, or r" if possible else "R"
    rebuild = f"{ask}ebuild it with `genmetrics stats build SRC -o FILE -m {as_typed(metric)}`"
    made = [name for name in dict.fromkeys(need.extractor for need in stats.accumulators) if EXTRACTORS.makes(name)]
    if made:
        rebuild += (
            f". Nothing of {' and '.join(repr(name) for name in made)} was run or fetched, since only the file names "
            "it; asking for it does"
        )
    if found is not None and (differing := _differ(found, need)):
        text = " and ".join(f"{name} {ours!r}" for name, ours, _ in differing)
        theirs = " and ".join(repr(other) for _, _, other in differing)
        rebuild = _crop_hint(found, need) + rebuild
        fits = width_held(stats, found) == width_of(need)
        forced = " (--force computes it all the same, with a warning)" if fits else ""
        return (
            f"{side} '{stats.name}' holds features of {text}, metric {metric!r} needs {theirs}; the number would not "
            f"be comparable. {rebuild}{forced}"
        )
    return (
        f"the statistics of '{stats.name}' hold no {describe_need(need)}, which metric {metric!r} needs of the {side} "
        f"side; they hold: {stats.holdings()}. {rebuild}"
    )


def _crop_hint(found: Need, need: Need) -> str:
    """What to type where nothing but the crop differs."""
    (held_crop, _, held), (crop, _, wanted) = found.preprocess.rpartition("+"), need.preprocess.rpartition("+")
    if (found.extractor, found.feature, held) != (need.extractor, need.feature, wanted):
        return ""
    return f"Add '--crop {held_crop}'. " if held_crop else f"Leave out '--crop {crop}'. "


def _uncounted(stats: Stats, held: Accumulator | None, side: str) -> tuple[str, ...]:
    if isinstance(held, Moments) and not held.counted:
        return (f"{side} '{stats.name}' does not say how many images it is of",)
    return ()


def _unfinished(stats: Stats, side: str) -> tuple[str, ...]:
    return tuple(
        f"{side} '{stats.name}' holds only {part.num_covered} of the {part.span} images of '{part.source}'; merge it "
        "with the other shards"
        for part in stats.side.parts
        if not part.complete
    )


def _kind(need: Need) -> str:
    return {"moments": "mean and covariance", MAKES_ALL: "features"}.get(need.accumulator, need.accumulator)
