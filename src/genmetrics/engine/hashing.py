"""The hashes of images that come as tensors, where hashing them would hold up a GPU."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from genmetrics.accumulators.content import ContentDigest, image_hashes
from genmetrics.accumulators.image_keys import ImageKeys, keys_of
from genmetrics.accumulators.on_device import Fetched
from genmetrics.engine.device_queue import device_queue
from genmetrics.sources.loader import default_workers

__all__ = ["Hashing"]

#: Batches of a device that may wait to be hashed.
_MOST_OPEN = 8


class Hashing:
    """Hashes images with several threads, those on a device while the caller goes on.

    A GPU sees images faster than one thread hashes them. Where the networks run on the CPU there is nothing to gain:
    they use all of it.

    Attributes:
        num_samples: how many images were taken.
    """

    def __init__(self, device: torch.device, threads: int | None = None) -> None:
        """Start no thread yet.

        Args:
            device: where the networks run.
            threads: how many hash; None takes one a core, at most 8, for a GPU and the calling thread alone for a CPU.
        """
        self._device = device
        self._queue = device_queue(device)
        most = default_workers() if device.type == "cuda" else 0
        self._threads = most if threads is None else threads
        self._pool: ThreadPoolExecutor | None = None
        self._digest = ContentDigest()
        self._keys = ImageKeys()
        self._open: deque[tuple[Future[tuple[int, ...]], Tensor]] = deque()
        self.num_samples = 0

    @contextmanager
    def reading(self, images: UInt8[Tensor, "n 3 h w"], indices: Int64[Tensor, " n"]) -> Iterator[None]:
        """Take images, and launch inside the block what else is done with them.

        Those on a device are copied beside that; afterwards they may be changed.

        Args:
            images: uint8 RGB, on any device; of those on another device than the networks' the caller waits for a copy.
            indices: their numbers in the set, on the CPU.
        """
        if self._queue.launches and images.device == self._device:
            with self._queue.beside(images) as fetched:
                yield
            self._open.append((self._threads_of().submit(_of_fetched, fetched), indices.clone()))
            self._take(_MOST_OPEN)
        else:
            yield
            self._count(self._hashes(images.cpu()), indices)
        self.num_samples += images.shape[0]

    def digest(self) -> ContentDigest:
        """Of all images so far."""
        self._take(0)
        return self._digest.merge(ContentDigest())

    def keys(self) -> ImageKeys:
        """Of all images so far, by their numbers."""
        self._take(0)
        return self._keys.merge(ImageKeys())

    def _hashes(self, images: Tensor) -> tuple[int, ...]:
        if self._threads < 2 or len(images) < 2:
            return image_hashes(images)
        parts = images.chunk(self._threads)
        return tuple(chain.from_iterable(self._threads_of().map(image_hashes, parts)))

    def _count(self, hashes: Sequence[int], indices: Tensor) -> None:
        self._digest.add(hashes)
        self._keys.update(keys_of(hashes), indices)

    def _take(self, most: int) -> None:
        while len(self._open) > most:
            hashing, indices = self._open.popleft()
            self._count(hashing.result(), indices)

    def _threads_of(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(max(1, self._threads), thread_name_prefix="genmetrics-hash")
        return self._pool


def _of_fetched(fetched: Fetched) -> tuple[int, ...]:
    return image_hashes(fetched.take())
