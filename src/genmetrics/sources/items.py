"""Items, images that have not been decoded yet, and how threads decode them in their order."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from genmetrics.accumulators.content import image_hash
from genmetrics.sources.base import BatchSpec
from genmetrics.sources.crop import Crop, parse_crop
from genmetrics.sources.decode import BadImage, Decoded, PlainJpeg, decode_bytes, handing_over_jpegs
from genmetrics.sources.device_decode import DeviceDecoder
from genmetrics.types import AlphaPolicy, Origin

__all__ = ["Item", "Loaded", "Ready", "load_in_order", "load_in_threads", "load_together"]

#: The most bytes of decoded pixels that wait for their turn, besides one image per worker.
_PREFETCH_BYTES = 256 * 2**20
#: Small images are handed to a thread several at a time: about so many seconds of work, and at most so many images.
_SECONDS_AT_ONCE = 0.002
_MOST_AT_ONCE = 32
#: A GPU is handed as many JPEG files as take about so long.
_SECONDS_ON_DEVICE = 0.05


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
class Ready:
    """A decoded image.

    Attributes:
        pixels: in the layout of a batch, contiguous.
        transparent: whether any pixel was not fully opaque.
        hash: its ``image_hash``.
        origin: what it was before the crop.
        by_device: whether it was not Pillow that decoded it.
    """

    pixels: UInt8[np.ndarray, "3 h w"]
    transparent: bool
    hash: int
    origin: Origin
    by_device: bool = False


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of items that were loaded together.

    Attributes:
        outcomes: in their order.
        seconds: how long it took.
    """

    outcomes: list[Ready | BadImage]
    seconds: float


def _load(load: Callable[[AlphaPolicy], Decoded], spec: BatchSpec, crop: Crop | None) -> Ready | BadImage:
    try:
        decoded = load(spec.alpha)
        pixels = decoded.pixels if crop is None else crop(decoded.pixels)
    except BadImage as reason:
        return reason
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    height, width = decoded.pixels.shape[:2]
    return Ready(planes, decoded.transparent, image_hash(planes), Origin(decoded.format, width, height))


def load_together(items: Sequence[Item], spec: BatchSpec, crop: Crop | None) -> Loaded:
    """Load items one after another, in this thread; those that a device decodes together."""
    began = time.perf_counter()
    if spec.decoder is None:
        outcomes = [_load(item.load, spec, crop) for item in items]
    else:
        outcomes = _load_on_device(items, spec, spec.decoder, crop)
    return Loaded(outcomes, time.perf_counter() - began)


def _load_on_device(
    items: Sequence[Item], spec: BatchSpec, decoder: DeviceDecoder, crop: Crop | None
) -> list[Ready | BadImage]:
    outcomes: dict[int, Ready | BadImage] = {}
    files: dict[int, bytes] = {}
    for number, item in enumerate(items):
        try:
            with handing_over_jpegs():
                outcomes[number] = _load(item.load, spec, crop)
        except PlainJpeg as file:
            files[number] = file.data
    for (number, data), decoded in zip(files.items(), decoder.decode(list(files.values())), strict=True):
        if decoded is None:  # whether it can be read, and how it is, is then for Pillow to say
            outcomes[number] = _load(partial(decode_bytes, data), spec, crop)
        else:
            ready = _load(partial(_taken_over, decoded), spec, crop)
            outcomes[number] = replace(ready, by_device=True) if isinstance(ready, Ready) else ready
    return [outcomes[number] for number in range(len(items))]


def _taken_over(pixels: UInt8[Tensor, "3 h w"], alpha: AlphaPolicy) -> Decoded:
    """A JPEG has nothing transparent."""
    return Decoded(pixels.cpu().numpy().transpose(1, 2, 0), False, "JPEG")


def load_in_order(items: Iterator[Item], spec: BatchSpec) -> Generator[tuple[Item, Ready | BadImage], None, None]:
    """Each item with its outcome, in the order of the items."""
    crop = None if spec.crop is None else parse_crop(spec.crop)
    try:
        if spec.workers == 0:
            for item in items:
                yield item, load_together([item], spec, crop).outcomes[0]
        else:
            yield from load_in_threads(items, spec, crop)
    finally:
        if isinstance(items, Generator):
            items.close()


def load_in_threads(
    items: Iterator[Item], spec: BatchSpec, crop: Crop | None = None
) -> Generator[tuple[Item, Ready | BadImage], None, None]:
    """The same by threads, which work ahead of what is asked for, but not by more than fits in memory."""
    pending: deque[tuple[list[Item], Future[Loaded]]] = deque()
    most = max(4 * spec.workers, 2 * spec.batch_size)
    seconds_at_once = _SECONDS_AT_ONCE
    if spec.decoder is not None:
        most, seconds_at_once = max(most, 4 * _MOST_AT_ONCE * spec.workers), _SECONDS_ON_DEVICE
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
                pending.append((chunk, pool.submit(load_together, chunk, spec, crop)))
                chunk = []
            while waiting > ahead and pending:
                loaded, future = pending.popleft()
                found = future.result()
                for outcome in found.outcomes:
                    if isinstance(outcome, Ready):
                        # Follows large images at once and forgets them slowly.
                        typical = max(outcome.pixels.nbytes, typical - typical // 32)
                if typical:
                    ahead = min(most, max(spec.workers + 1, _PREFETCH_BYTES // typical))
                # Several for each thread, so that none waits for another.
                most_at_once = min(_MOST_AT_ONCE, ahead // (4 * spec.workers))
                at_once = max(1, min(most_at_once, int(seconds_at_once * len(loaded) / max(found.seconds, 1e-9))))
                yield from zip(loaded, found.outcomes, strict=True)
                waiting -= len(loaded)
        if chunk:
            pending.append((chunk, pool.submit(load_together, chunk, spec, crop)))
        while pending:
            loaded, future = pending.popleft()
            yield from zip(loaded, future.result().outcomes, strict=True)
    finally:
        # Not waiting lets an interrupt through at once; each thread ends with the images it is at.
        pool.shutdown(wait=False, cancel_futures=True)
