"""Images of mixed sizes to batches of one size each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import UInt8

from genmetrics.sources.base import ImageBatch
from genmetrics.types import Origin, SkippedImage

__all__ = ["MAX_WAITING_BYTES", "Group", "SizeGroups"]

#: The most bytes of pixels that wait in incomplete groups.
MAX_WAITING_BYTES = 256 * 2**20
#: The most images that wait in incomplete groups, in batches.
_MAX_WAITING_BATCHES = 4


@dataclass(slots=True)
class Group:
    """Images of one size on their way into a batch, in the order in which they came."""

    pixels: list[UInt8[np.ndarray, "3 h w"]] = field(default_factory=list)
    indices: list[int] = field(default_factory=list)
    labels: list[int | None] = field(default_factory=list)
    num_transparent: int = 0
    hashes: list[int] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)
    num_by_device: int = 0

    @property
    def nbytes(self) -> int:
        """The size of all pixels."""
        return len(self.pixels) * self.pixels[0].nbytes if self.pixels else 0

    def batch(self, skipped: tuple[SkippedImage, ...]) -> ImageBatch:
        """These images as one batch; labels only if each image has one."""
        labels = [label for label in self.labels if label is not None]
        return ImageBatch(
            images=torch.from_numpy(np.stack(self.pixels)),
            indices=torch.tensor(self.indices, dtype=torch.int64),
            labels=torch.tensor(labels, dtype=torch.int64) if len(labels) == len(self.indices) else None,
            skipped=skipped,
            num_transparent=self.num_transparent,
            hashes=tuple(self.hashes),
            origins=tuple(self.origins),
            num_by_device=self.num_by_device,
        )


class SizeGroups:
    """Collects images by size and gives a group away when it is full, or when too much is waiting.

    What is given away, and when, depends on the order of the images alone.
    """

    def __init__(self, batch_size: int, max_waiting_bytes: int = MAX_WAITING_BYTES) -> None:
        self._batch_size = batch_size
        self._max_images = _MAX_WAITING_BATCHES * batch_size
        self._max_bytes = max_waiting_bytes
        # In order of each group's oldest image, since a group leaves as a whole.
        self._groups: dict[tuple[int, int], Group] = {}
        self.num_waiting = 0
        self.bytes_waiting = 0

    def add(
        self,
        pixels: UInt8[np.ndarray, "3 h w"],
        index: int,
        label: int | None,
        transparent: bool,
        hash: int,
        origin: Origin,
        by_device: bool = False,
    ) -> Iterator[Group]:
        """Add one image, and give away what has become due.

        Args:
            pixels: of the image.
            index: that the batch gives it.
            label: its class.
            transparent: whether any pixel was not fully opaque.
            hash: its ``image_hash``.
            origin: what it was before the crop.
            by_device: whether Pillow did not decode it.
        """
        size = (pixels.shape[1], pixels.shape[2])
        group = self._groups.setdefault(size, Group())
        group.pixels.append(pixels)
        group.indices.append(index)
        group.labels.append(label)
        group.num_transparent += transparent
        group.hashes.append(hash)
        group.origins.append(origin)
        group.num_by_device += by_device
        self.num_waiting += 1
        self.bytes_waiting += pixels.nbytes
        if len(group.pixels) == self._batch_size:
            yield self._take(size)
        while self.num_waiting > self._max_images or self.bytes_waiting > self._max_bytes:
            yield self._take(next(iter(self._groups)))

    def rest(self) -> Iterator[Group]:
        """Give away all that is left, the longest waiting first."""
        while self._groups:
            yield self._take(next(iter(self._groups)))

    def _take(self, size: tuple[int, int]) -> Group:
        group = self._groups.pop(size)
        self.num_waiting -= len(group.pixels)
        self.bytes_waiting -= group.nbytes
        return group
