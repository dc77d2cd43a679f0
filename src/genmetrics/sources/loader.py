"""From single images to batches: decoding threads, order, grouping by size and what becomes of bad images."""

from __future__ import annotations

import os
import time
from abc import abstractmethod
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import get_args

import numpy as np
from jaxtyping import UInt8

from genmetrics.accumulators.content import image_hash
from genmetrics.errors import BadImageError, SourceError, UsageError
from genmetrics.sources.base import BatchSpec, ImageBatch, ImageSource
from genmetrics.sources.crop import Crop, parse_crop
from genmetrics.sources.decode import BadImage, Decoded
from genmetrics.sources.grouping import SizeGroups
from genmetrics.sources.names import count
from genmetrics.types import AlphaPolicy, BadImagePolicy, Shard, SkippedImage

__all__ = ["Item", "ItemSource", "check_spec", "default_workers"]

_MOST_BAD_IMAGES = 10
_ITEMS_AFTER_A_BAD_IMAGE = 2000
#: The most bytes of decoded pixels that wait for their turn, besides one image per worker.
_PREFETCH_BYTES = 256 * 2**20
#: Small images are handed to a thread several at a time: about so many seconds of work, and at most so many images.
_SECONDS_AT_ONCE = 0.002
_MOST_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Item:
    """One image that has not been decoded yet.

    Attributes:
        index: its position in the whole source.
        name: what a person finds it by, such as its path.
        load: decodes it; runs in any thread, at most once; raises ``BadImage`` with the reason if it cannot.
        label: its class.
    """

    index: int
    name: str
    load: Callable[[AlphaPolicy], Decoded]
    label: int | None = None


@dataclass(frozen=True, slots=True)
class _Ready:
    """A decoded image in the layout of a batch, contiguous."""

    pixels: UInt8[np.ndarray, "3 h w"]
    transparent: bool
    hash: int


@dataclass(frozen=True, slots=True)
class _Loaded:
    """Items that were loaded together, in their order, and the time that it took."""

    outcomes: list[_Ready | BadImage]
    seconds: float


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
        return self._batches(
            self.items(wanted), lambda index: share.start + bisect_left(wanted, index), len(wanted), spec
        )

    def _batches(
        self, items: Iterator[Item], position: Callable[[int], int], expected: int | None, spec: BatchSpec
    ) -> Iterator[ImageBatch]:
        """The items as batches.

        Args:
            items: what is to be loaded.
            position: from an item's index to the index that the batch says.
            expected: how many items there must be; None if that is not known.
            spec: how images are read and grouped.
        """
        groups = SizeGroups(spec.batch_size)
        skipped: list[SkippedImage] = []
        seen = 0
        with closing(_load_in_order(items, spec)) as outcomes:
            for item, outcome in outcomes:
                seen += 1
                if isinstance(outcome, BadImage):
                    if spec.on_bad_image == "error":
                        raise self._bad_images(SkippedImage(item.name, str(outcome)), outcomes) from outcome
                    skipped.append(SkippedImage(item.name, str(outcome)))
                    continue
                index = position(item.index)
                for group in groups.add(outcome.pixels, index, item.label, outcome.transparent, outcome.hash):
                    told, skipped = tuple(skipped), []
                    yield group.batch(told)
        if expected not in (None, seen):
            raise SourceError(
                f"{self.kind} '{self.description}' gave {count(seen, 'image')}, expected {expected:,}: "
                f"{self._why_fewer}"
            )
        for group in groups.rest():
            told, skipped = tuple(skipped), []
            yield group.batch(told)
        if skipped:
            yield ImageBatch.empty(tuple(skipped))

    def _bad_images(self, first: SkippedImage, outcomes: Iterator[tuple[Item, _Ready | BadImage]]) -> BadImageError:
        """The error that names the first bad image and those soon after it."""
        bad = [first]
        checked = 0
        complete = True
        for item, outcome in outcomes:
            if isinstance(outcome, BadImage):
                bad.append(SkippedImage(item.name, str(outcome)))
            checked += 1
            if len(bad) == _MOST_BAD_IMAGES or checked == _ITEMS_AFTER_A_BAD_IMAGE:
                complete = next(outcomes, None) is None
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


def _load(item: Item, alpha: AlphaPolicy, crop: Crop | None) -> _Ready | BadImage:
    try:
        decoded = item.load(alpha)
        pixels = decoded.pixels if crop is None else crop(decoded.pixels)
    except BadImage as reason:
        return reason
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    return _Ready(planes, decoded.transparent, image_hash(planes))


def _load_together(items: Sequence[Item], alpha: AlphaPolicy, crop: Crop | None) -> _Loaded:
    began = time.perf_counter()
    outcomes = [_load(item, alpha, crop) for item in items]
    return _Loaded(outcomes, time.perf_counter() - began)


def _load_in_order(items: Iterator[Item], spec: BatchSpec) -> Generator[tuple[Item, _Ready | BadImage], None, None]:
    """Each item with its outcome, in the order of the items."""
    crop = None if spec.crop is None else parse_crop(spec.crop)
    try:
        if spec.workers == 0:
            for item in items:
                yield item, _load(item, spec.alpha, crop)
        else:
            yield from _load_in_threads(items, spec, crop)
    finally:
        if isinstance(items, Generator):
            items.close()


def _load_in_threads(
    items: Iterator[Item], spec: BatchSpec, crop: Crop | None = None
) -> Generator[tuple[Item, _Ready | BadImage], None, None]:
    pending: deque[tuple[list[Item], Future[_Loaded]]] = deque()
    most = max(4 * spec.workers, 2 * spec.batch_size)
    # Little is read ahead, and one by one, until it is known how large the images are and how long one takes.
    ahead = spec.workers + 1
    typical = 0
    at_once = 1
    waiting = 0
    chunk: list[Item] = []
    pool = ThreadPoolExecutor(spec.workers, thread_name_prefix="genmetrics-decode")
    try:
        for item in items:
            chunk.append(item)
            waiting += 1
            if len(chunk) >= at_once:
                pending.append((chunk, pool.submit(_load_together, chunk, spec.alpha, crop)))
                chunk = []
            while waiting > ahead and pending:
                loaded, future = pending.popleft()
                found = future.result()
                for outcome in found.outcomes:
                    if isinstance(outcome, _Ready):
                        # Follows large images at once and forgets them slowly.
                        typical = max(outcome.pixels.nbytes, typical - typical // 32)
                if typical:
                    ahead = min(most, max(spec.workers + 1, _PREFETCH_BYTES // typical))
                # Several for each thread, so that none waits for another.
                most_at_once = min(_MOST_AT_ONCE, ahead // (4 * spec.workers))
                at_once = max(1, min(most_at_once, int(_SECONDS_AT_ONCE * len(loaded) / max(found.seconds, 1e-9))))
                yield from zip(loaded, found.outcomes, strict=True)
                waiting -= len(loaded)
        if chunk:
            pending.append((chunk, pool.submit(_load_together, chunk, spec.alpha, crop)))
        while pending:
            loaded, future = pending.popleft()
            yield from zip(loaded, future.result().outcomes, strict=True)
    finally:
        # Not waiting lets an interrupt through at once; each thread ends with the images it is at.
        pool.shutdown(wait=False, cancel_futures=True)
