"""From items to batches: shares and selections, grouping by size and what becomes of bad images."""

from __future__ import annotations

import os
from abc import abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from types import MappingProxyType
from typing import get_args

from genmetrics.errors import BadImageError, SourceError, UsageError
from genmetrics.sources.base import BatchSpec, Finished, ImageBatch, ImageSource
from genmetrics.sources.crop import parse_crop
from genmetrics.sources.decode import BadImage
from genmetrics.sources.grouping import SizeGroups
from genmetrics.sources.items import Item, Ready, load_in_order
from genmetrics.sources.names import count
from genmetrics.types import AlphaPolicy, BadImagePolicy, Shard, SkippedImage

__all__ = ["Item", "ItemSource", "check_spec", "default_workers"]

_MOST_BAD_IMAGES = 10
_ITEMS_AFTER_A_BAD_IMAGE = 2000


class ItemSource(ImageSource):
    """An image source that is a row of items; it only has to say how each is found."""

    #: What it means, and what to do, when there are fewer or more images than there were said to be.
    _why_fewer = "it has changed since it was opened; open it again"
    #: Why the labels that come with the images cannot be used; empty if they can, or there are none.
    label_problem: str = ""

    @abstractmethod
    def items(self, wanted: Sequence[int]) -> Iterator[Item]:
        """Each wanted image once, in any order that is the same every time.

        Containers that can only be read from front to back read the bytes here, in the calling thread, and
        leave the decoding to ``Item.load``.

        Args:
            wanted: positions in the source, ascending; a range or a tuple.

        Raises:
            SourceError: if the container turns out to be damaged.
        """

    def names(self) -> Sequence[str]:
        """The name of each image, as its item has it. Sources override this where making items means reading."""
        found = [""] * len(self)
        for item in self.items(range(len(self))):
            found[item.index] = item.name
        return found

    def paths(self) -> Sequence[str] | None:
        """The path of each image in the container, by which folders are told; None where there are no folders."""
        return None

    def batches(self, shard: Shard, spec: BatchSpec) -> Iterator[ImageBatch]:
        """Read one share of the images; the same batches whatever the number of workers.

        Args:
            shard: the share; with a selection, the share of the selection.
            spec: how images are read and grouped.

        Raises:
            UsageError: at once, if ``spec`` cannot be meant.
            BadImageError: at images that cannot be read, if ``spec.on_bad_image`` is ``error``. No batch
                comes after the first of them, but reading goes on for a while to name more than one.
            SourceError: if the container turns out to be damaged.
        """
        check_spec(spec, len(self))
        return self._share(shard, spec, len(self))

    def _share(self, shard: Shard, spec: BatchSpec, total: int | None) -> Iterator[ImageBatch]:
        """A contiguous share of so many images, or of the selection, whose size is known in any case."""
        if spec.selection is None:
            assert total is not None
            share = shard.range(total)
            wanted: Sequence[int] = share
        else:
            share = shard.range(len(spec.selection))
            wanted = spec.selection[share.start : share.stop]
        items = self._items_after(wanted, spec.after.count)
        return self._batches(items, lambda index: share.start + bisect_left(wanted, index), len(wanted), spec)

    def _items_after(self, wanted: Sequence[int], count: int) -> Iterator[Item]:
        """The wanted items but for the first so many, which are not decoded."""
        items = self.items(wanted)
        for _ in islice(items, count):
            pass
        return items

    def _tally(self) -> Mapping[str, int | float]:
        """What has been counted in this pass for the notes."""
        return MappingProxyType({})

    def _batches(
        self, items: Iterator[Item], position: Callable[[int], int], expected: int | None, spec: BatchSpec
    ) -> Iterator[ImageBatch]:
        """The items as batches.

        Args:
            items: what is to be loaded.
            position: from an item's index to the index that the batch says.
            expected: how many items there must be with those that are over already; None if that is not known.
            spec: how images are read and grouped.
        """
        seen = begin = spec.after.count

        def counted(part: Iterator[Item]) -> Iterator[Item]:
            nonlocal seen
            for item in part:
                seen += 1
                yield item

        try:
            while True:
                # What decodes ahead stops at a segment's end, so that all that was counted is of what is finished.
                part = islice(items, spec.segment) if spec.segment else items
                yield from self._segment(counted(part), position, spec)
                if not spec.segment:
                    break
                if seen > begin:
                    yield ImageBatch.empty((), Finished(seen, self._tally()))
                if seen < begin + spec.segment:
                    break
                begin = seen
        finally:
            if isinstance(items, Generator):
                items.close()
        if expected not in (None, seen):
            raise SourceError(
                f"{self.kind} '{self.description}' gave {count(seen, 'image')}, expected {expected:,}: "
                f"{self._why_fewer}"
            )

    def _segment(self, items: Iterator[Item], position: Callable[[int], int], spec: BatchSpec) -> Iterator[ImageBatch]:
        """Some items as batches, of which none is left over."""
        groups = SizeGroups(spec.batch_size)
        skipped: list[SkippedImage] = []
        with closing(load_in_order(items, spec)) as outcomes:
            for item, outcome in outcomes:
                if isinstance(outcome, BadImage):
                    if spec.on_bad_image == "error":
                        first = SkippedImage(item.name, str(outcome))
                        raise self._bad_images(first, outcomes, cut=spec.segment > 0) from outcome
                    skipped.append(SkippedImage(item.name, str(outcome)))
                    continue
                index = position(item.index)
                for group in groups.add(
                    outcome.pixels,
                    index,
                    item.label,
                    outcome.transparent,
                    outcome.hash,
                    outcome.origin,
                    outcome.by_device,
                ):
                    told, skipped = tuple(skipped), []
                    yield group.batch(told)
        for group in groups.rest():
            told, skipped = tuple(skipped), []
            yield group.batch(told)
        if skipped:
            yield ImageBatch.empty(tuple(skipped))

    def _bad_images(
        self, first: SkippedImage, outcomes: Iterator[tuple[Item, Ready | BadImage]], cut: bool
    ) -> BadImageError:
        """The error that names the first bad image and those soon after it, in the same segment where there are any."""
        bad = [first]
        checked = 0
        complete = not cut
        for item, outcome in outcomes:
            if isinstance(outcome, BadImage):
                bad.append(SkippedImage(item.name, str(outcome)))
            checked += 1
            if len(bad) == _MOST_BAD_IMAGES or checked == _ITEMS_AFTER_A_BAD_IMAGE:
                complete = complete and next(outcomes, None) is None
                break
        lines = [f"{self.kind} '{self.description}': {count(len(bad), 'image')} cannot be read:"]
        lines += [f"  {image.name}: {image.reason}" for image in bad]
        if not complete:
            lines.append(f"There may be more: reading stopped {count(checked, 'image')} after the first of them.")
        lines.append(
            "Repair or remove them, or leave such images out of the figures with `--on-bad-image skip` "
            '(Python: on_bad_image="skip"); the report lists each one.'
        )
        return BadImageError("\n".join(lines), tuple((image.name, image.reason) for image in bad))


def default_workers() -> int:
    """A good number of decoding threads: the usable CPUs, at most 8."""
    if hasattr(os, "sched_getaffinity"):  # what a container or job scheduler grants, where the system tells
        return min(8, len(os.sched_getaffinity(0)))
    return min(8, os.cpu_count() or 1)


def check_spec(spec: BatchSpec, total: int | None) -> None:
    """Check what cannot be meant.

    Args:
        spec: how images are to be read.
        total: how many images there are; None if that is not known.

    Raises:
        UsageError: naming the field.
    """
    if spec.batch_size < 1:
        raise UsageError(f"batch_size is {spec.batch_size}, expected at least 1")
    if spec.workers < 0:
        raise UsageError(f"workers is {spec.workers}, expected 0 (decode in the calling thread) or more")
    if spec.alpha not in get_args(AlphaPolicy):
        raise UsageError(f"alpha is {spec.alpha!r}, expected one of {', '.join(get_args(AlphaPolicy))}")
    if spec.on_bad_image not in get_args(BadImagePolicy):
        raise UsageError(
            f"on_bad_image is {spec.on_bad_image!r}, expected one of {', '.join(get_args(BadImagePolicy))}"
        )
    if spec.crop is not None:
        parse_crop(spec.crop)
    before = -1
    for position in spec.selection or ():
        if position <= before:
            given = f"{before} and then {position}" if before >= 0 else str(position)
            raise UsageError(
                f"the selection holds {given}, expected positions from 0, ascending, each once; give "
                "tuple(sorted(set(selection)))"
            )
        if total is not None and position >= total:
            raise UsageError(f"the selection holds position {position}, but there are only {count(total, 'image')}")
        before = position
