"""Statistics of several sets, or of several shards of one, as those of one set."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce

from torch import Tensor

from genmetrics.accumulators.base import Accumulator
from genmetrics.accumulators.build import NO_FEATURES
from genmetrics.accumulators.composition import Composition
from genmetrics.accumulators.image_keys import ImageKeys
from genmetrics.accumulators.labels import Labels
from genmetrics.errors import StatisticsError
from genmetrics.stats.stats import Stats, describe_need
from genmetrics.types import ExtractorRecord, Need, Part, SideRecord, joined_backends

__all__ = ["check_complete", "merge_stats"]

_DIGEST_MODULUS = 1 << 256


def merge_stats(given: Sequence[Stats]) -> Stats:
    """One set of all the given ones; see ``Stats.merge``.

    Every sample has an index, by which metrics with random draws know it. A source is a run of consecutive
    indices; here the sources are lined up in the order of their descriptions, and the samples' indices moved along.
    """
    if not given:
        raise StatisticsError("there are no statistics to merge; give at least one file")
    for stats in given:
        _check_mergeable(stats)
        _check_alike(given[0], stats)
    _check_alpha(given)
    parts = _merged_parts(given)
    starts = _starts(parts)
    # In one order whatever the order given: float64 sums depend on it in their last digits.
    ordered = sorted(given, key=lambda stats: [(starts[part.identity], part.covered) for part in stats.side.parts])
    accumulators: dict[Need, Accumulator] = {}
    for need in given[0].accumulators:
        first, *rest = (_moved(stats.accumulators[need], stats.side.parts, starts) for stats in ordered)
        accumulators[need] = reduce(lambda merged, other: merged.merge(other), rest, first)
    labels, class_names, note = _merged_labels(ordered, starts)
    side = _merged_side(ordered, parts, note)
    extractors = {name: _merged_record([stats.extractors[name] for stats in ordered]) for name in given[0].extractors}
    keys = _merged_keys(ordered, starts)
    return Stats(accumulators, side, extractors, given[0].seed, labels, class_names, keys=keys)


def check_complete(stats: Stats) -> None:
    """Refuse statistics of a set of which shards are missing.

    Raises:
        StatisticsError: naming the images that are missing.
    """
    for part in stats.side.parts:
        ends = [0, *(edge for covered in part.covered for edge in covered), part.span]
        gaps = [(start, stop - 1) for start, stop in zip(ends[::2], ends[1::2], strict=True) if start < stop]
        if gaps:
            shown = ", ".join(f"{first} to {last}" for first, last in gaps[:10]) + (", …" if len(gaps) > 10 else "")
            raise StatisticsError(
                f"of '{part.source}' only {part.num_covered} of {part.span} images are in the given parts: images "
                f"{shown} are in none. Give the other parts too, or merge these for now with --partial"
            )


def _check_mergeable(stats: Stats) -> None:
    if stats.num_samples is None:
        raise StatisticsError(
            f"'{stats.name}' does not say how many images it is of, so that it has no weight in a merge; say it with "
            "`genmetrics stats convert IN OUT --num-samples N`"
        )
    whole = [need for need in stats.accumulators if need.accumulator in NO_FEATURES]
    if whole:
        raise StatisticsError(
            f"'{stats.name}' holds {describe_need(whole[0])}, which are drawn from the set as it is and cannot be "
            "merged with those of another; build the parts without the metrics that need them, and ask for these of "
            "the images"
        )
    if not stats.side.parts:
        raise StatisticsError(f"'{stats.name}' does not say which images it is of; it cannot be merged")


def _check_alike(first: Stats, other: Stats) -> None:
    where = f"'{first.name}' and '{other.name}' cannot be merged"
    if first.accumulators.keys() != other.accumulators.keys():
        differing = first.accumulators.keys() ^ other.accumulators.keys()
        lacks = first if next(iter(differing)) in other.accumulators else other
        raise StatisticsError(
            f"{where}: '{lacks.name}' has no {describe_need(next(iter(differing)))}; build both with the same -m, "
            "--extractor and --seed"
        )
    for name, record in first.extractors.items():
        theirs = other.extractors[name]
        for field in ("weights_sha256", "precision"):
            if getattr(record, field) != getattr(theirs, field):
                raise StatisticsError(
                    f"{where}: they have different {field} of {name!r} ({getattr(record, field)} and "
                    f"{getattr(theirs, field)}); build both with the same"
                )
    if first.seed != other.seed:
        raise StatisticsError(f"{where}: they were made with seeds {first.seed} and {other.seed}; use one seed")


def _check_alpha(given: Sequence[Stats]) -> None:
    by_alpha = {stats.side.alpha: stats for stats in given if stats.side.num_transparent}
    if len(by_alpha) > 1:
        (one, first), (two, second), *_ = by_alpha.items()
        raise StatisticsError(
            f"'{first.name}' and '{second.name}' cannot be merged: transparency became {one!r} in one and {two!r} in "
            "the other; build both with the same --alpha"
        )


def _merged_parts(given: Sequence[Stats]) -> tuple[Part, ...]:
    """The sources of all, each once, in the order of their descriptions."""
    by_identity: dict[str, Part] = {}
    for stats in given:
        for part in stats.side.parts:
            known = by_identity.get(part.identity)
            by_identity[part.identity] = part if known is None else _joined(known, part, stats)
    for part in by_identity.values():
        if part.listing in by_identity:
            raise StatisticsError(
                f"the whole of '{part.source}' is among the statistics, and a shard of it as well: its images would "
                "count twice; give one of the two"
            )
    return tuple(sorted(by_identity.values(), key=lambda part: (_natural(part.source), part.identity)))


def _joined(known: Part, part: Part, stats: Stats) -> Part:
    """A source of which two shards were given."""
    if known.span != part.span:
        raise StatisticsError(
            f"'{stats.name}' is of a state of '{part.source}' with {part.span} images, the others of one with "
            f"{known.span}; build all of them from the same files"
        )
    ranges = sorted([*known.covered, *part.covered])
    joined: list[tuple[int, int]] = []
    for start, stop in ranges:
        if joined and start < joined[-1][1]:
            raise StatisticsError(
                f"the parts of '{part.source}' overlap: images {start} to {min(stop, joined[-1][1]) - 1} are in "
                f"'{stats.name}' and in one of the others, and would count twice; give each part once"
            )
        if joined and start == joined[-1][1]:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return replace(known, covered=tuple(joined))


def _natural(text: str) -> list[tuple[int, int, str]]:
    """A key by which ``part2`` comes before ``part10``."""
    pieces = re.split(r"(\d+)", text)
    return [(1, int(piece), "") if piece.isdigit() else (0, 0, piece) for piece in pieces]


def _starts(parts: Sequence[Part]) -> dict[str, int]:
    starts: dict[str, int] = {}
    position = 0
    for part in parts:
        starts[part.identity] = position
        position += part.span
    return starts


def _moved(held: Accumulator, parts: Sequence[Part], starts: Mapping[str, int]) -> Accumulator:
    """The same statistics with their samples' indices where the merged set has them."""
    old = _starts(parts)
    if all(starts[identity] == start for identity, start in old.items()):
        return held
    state = held.state()
    if "indices" not in state:
        return held
    return type(held).from_state({**state, "indices": _moved_indices(state["indices"], parts, starts)})


def _moved_indices(indices: Tensor, parts: Sequence[Part], starts: Mapping[str, int]) -> Tensor:
    moved = indices.clone()
    begin = 0
    for part in parts:
        mine = (indices >= begin) & (indices < begin + part.span)
        moved[mine] = indices[mine] - begin + starts[part.identity]
        begin += part.span
    return moved


def _merged_side(ordered: Sequence[Stats], parts: tuple[Part, ...], more: tuple[str, ...]) -> SideRecord:
    sides = [stats.side for stats in ordered]
    digests = [side.digest for side in sides]
    digest = None
    if all(digests):
        digest = f"{sum(int(text, 16) for text in digests if text) % _DIGEST_MODULUS:064x}"
    selections = {side.selection for side in sides}
    composition = _merged_composition([side for side in sides if side.num_samples])
    return SideRecord(
        source=parts[0].source if len(parts) == 1 else f"{parts[0].source} and {len(parts) - 1} more",
        kind=parts[0].kind if len({part.kind for part in parts}) == 1 else "merged",
        num_samples=sum(side.num_samples or 0 for side in sides),
        digest=digest,
        skipped=tuple(image for side in sides for image in side.skipped),
        notes=tuple(dict.fromkeys((*(note for side in sides for note in side.notes), *more))),
        alpha=max(sides, key=lambda side: side.num_transparent).alpha,
        num_transparent=sum(side.num_transparent for side in sides),
        num_by_device=sum(side.num_by_device for side in sides),
        selection=selections.pop() if len(parts) == 1 and len(selections) == 1 else None,
        parts=parts,
        formats=composition.formats,
        sizes=composition.sizes,
    )


def _merged_composition(filled: Sequence[SideRecord]) -> Composition:
    """Formats and sizes of all the sets, where all of them say it."""
    if any(side.sizes is None for side in filled):
        return Composition(None)
    each = [Composition(side.formats, side.sizes) for side in filled]
    return reduce(lambda merged, other: merged.merge(other), each, Composition())


def _merged_keys(ordered: Sequence[Stats], starts: Mapping[str, int]) -> ImageKeys | None:
    """What tells the images of all sets from one another, if all of them have it."""
    filled = [stats for stats in ordered if stats.num_samples]
    merged = ImageKeys()
    for stats in filled:
        if stats.keys is None:
            return None
        moved = _moved(stats.keys, stats.side.parts, starts)
        assert isinstance(moved, ImageKeys)
        merged = merged.merge(moved)
    return merged if merged.complete else None


def _merged_labels(
    ordered: Sequence[Stats], starts: Mapping[str, int]
) -> tuple[Labels | None, tuple[str, ...], tuple[str, ...]]:
    """The labels and what they mean, if all sets have them and mean the same by them; else a note."""
    filled = [stats for stats in ordered if stats.num_samples]
    lacking = [stats.name for stats in filled if stats.labels is None]
    if len(lacking) == len(filled):
        return None, (), ()
    if lacking:
        return None, (), (f"the images' classes were left out, because '{lacking[0]}' has none",)
    names = {stats.class_names for stats in filled}
    if len(names) > 1:
        return None, (), ("the images' classes were left out, because the merged sets name them differently",)
    merged = Labels()
    for stats in filled:
        assert stats.labels is not None
        moved = _moved(stats.labels, stats.side.parts, starts)
        assert isinstance(moved, Labels)
        merged = merged.merge(moved)
    return merged, names.pop(), ()


def _merged_record(records: Sequence[ExtractorRecord]) -> ExtractorRecord:
    preprocess = {key: value for record in records for key, value in record.preprocess.items()}
    return replace(records[0], preprocess=preprocess, backend=joined_backends(records))
