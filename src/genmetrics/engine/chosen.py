"""Which images of a source are used, and what a merge knows them by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genmetrics.errors import UsageError
from genmetrics.sources.base import ImageSource
from genmetrics.types import Part, Selection, Shard, SideRecord

__all__ = ["Chosen", "choose", "part_of_set", "selection_note", "set_identity"]


@dataclass(frozen=True)
class Chosen:
    """Which images of a source are used.

    Attributes:
        positions: ascending; None for all.
        record: the same for people; None for all.
        count: how many there are; None for a stream that does not know.
    """

    positions: tuple[int, ...] | None
    record: Selection | None
    count: int | None


def choose(source: ImageSource, num: int | None, seed: int) -> Chosen:
    """``num`` of a source's images, drawn with the seed; all of them for None.

    Of a stream that does not know its length nothing can be drawn: its first ``num`` images are taken.

    Raises:
        UsageError: if there are fewer images than asked for.
    """
    total = _size_of(source)
    if num is None or num == total:
        return Chosen(None, None, total)
    if total is None:
        return Chosen(tuple(range(num)), Selection(num, None, None), num)
    if num > total:
        raise UsageError(f"{num} images were asked for, and '{source.description}' has {total}; lower --num")
    drawn = np.random.default_rng(seed).choice(total, num, replace=False)
    return Chosen(tuple(int(position) for position in np.sort(drawn)), Selection(num, total, seed), num)


def set_identity(source: ImageSource, chosen: Chosen, shard: Shard) -> str | None:
    """What the shards of a set are known by; None if that cannot be told.

    Raises:
        UsageError: if a shard is asked for and it cannot be told, or the set has no known length.
    """
    identity = None if chosen.count is None else source.identity()
    if identity is not None and chosen.record is not None:
        identity += f":{chosen.record.num}:{chosen.record.seed}"
    if shard.count > 1 and chosen.count is None:
        raise UsageError(
            f"'{source.description}' is a stream of unknown length, of which no share can be taken; leave out --shard, "
            "or say with --num how many images it has"
        )
    if shard.count > 1 and identity is None:
        raise UsageError(
            f"'{source.description}' cannot be told from another set without reading it, so that its shards could not "
            "be known as parts of one; write the images to files"
        )
    return identity


def part_of_set(side: SideRecord, chosen: Chosen, shard: Shard, identity: str | None) -> Part:
    """What a merge knows a set by: a whole one by its content, a shard by what all of them have in common.

    Args:
        side: the record of what was read.
        chosen: the images that were used.
        shard: the share that was read.
        identity: see ``set_identity``.
    """
    if shard.count == 1:
        assert side.num_samples is not None and side.digest is not None
        span = side.num_samples + len(side.skipped) if chosen.count is None else chosen.count
        return Part(side.source, side.kind, side.digest, span, ((0, span),), identity or "")
    assert chosen.count is not None and identity is not None
    share = shard.range(chosen.count)
    covered = ((share.start, share.stop),) if len(share) else ()
    return Part(side.source, side.kind, identity, chosen.count, covered)


def selection_note(selection: Selection) -> str:
    """What a person reads of a subset."""
    if selection.seed is None:
        return f"the first {selection.num} images"
    return f"{selection.num} of {selection.of} images, drawn with seed {selection.seed}"


def _size_of(source: ImageSource) -> int | None:
    """How many images a source has; None for a stream that does not know."""
    try:
        return len(source)
    except TypeError:
        return None
