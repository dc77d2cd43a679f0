"""The content digest of images that come as tensors, where hashing them would hold up a GPU."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import torch
from jaxtyping import UInt8
from torch import Tensor

from genmetrics.accumulators.content import ContentDigest
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
        self._open: deque[Future[ContentDigest]] = deque()
        self.num_samples = 0

    @contextmanager
    def reading(self, images: UInt8[Tensor, "n 3 h w"]) -> Iterator[None]:
        """Take images, and launch inside the block what else is done with them.

        Those on a device are copied beside that; afterwards they may be changed.

        Args:
            images: uint8 RGB, on any device; of those on another device than the networks' the caller waits for a copy.
        """
        if self._queue.launches and images.device == self._device:
            with self._queue.beside(images) as fetched:
                yield
            self._open.append(self._threads_of().submit(_of_fetched, fetched))
            self._take(_MOST_OPEN)
        else:
            yield
            self._hash(images.cpu())
        self.num_samples += images.shape[0]

    def digest(self) -> ContentDigest:
        """Of all images so far."""
        self._take(0)
        return self._digest.merge(ContentDigest())

    def _hash(self, images: Tensor) -> None:
        if self._threads < 2 or len(images) < 2:
            self._digest.update(images, _numbers(images))
            return
        parts = images.chunk(self._threads)
        for part in self._threads_of().map(_of_images, parts):
            self._digest = self._digest.merge(part)

    def _take(self, most: int) -> None:
        while len(self._open) > most:
            self._digest = self._digest.merge(self._open.popleft().result())

    def _threads_of(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(max(1, self._threads), thread_name_prefix="genmetrics-hash")
        return self._pool


def _of_fetched(fetched: Fetched) -> ContentDigest:
    return _of_images(fetched.take())


def _of_images(images: Tensor) -> ContentDigest:
    digest = ContentDigest()
    digest.update(images, _numbers(images))
    return digest


def _numbers(images: Tensor) -> Tensor:
    return torch.arange(images.shape[0])
