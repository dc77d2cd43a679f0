"""A number for each image that tells it from all others, so that identical ones are found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from jaxtyping import Int64
from torch import Tensor

from genmetrics.accumulators.by_index import ByIndex

__all__ = ["ImageKeys", "keys_of"]

_SHIFT = 256 - 64
_HALF = 1 << 63


class ImageKeys(ByIndex):
    """The first 64 bits of each image's ``image_hash`` as an int64, by ascending index.

    Identical images have one key. That any two of n different images have one has a probability of at most n²/2⁶⁵: 3e-8
    for a million images. Of n against m others it is n·m/2⁶⁴.

    Of more than ``most`` images, 80 MB, none is kept, so that memory stays bounded.
    """

    what = "keys of images"
    most: ClassVar[int] = 5_000_000

    @property
    def complete(self) -> bool:
        """Whether there is a key for each image."""
        return sum(map(len, self._values)) == self.num_samples

    def update(self, values: Int64[Tensor, " n"], indices: Int64[Tensor, " n"]) -> None:
        """Feed (n,) int64 keys."""
        if self.num_samples + len(values) > self.most:
            self._values, self._indices = [], []
            self.num_samples += len(values)
        else:
            super().update(values, indices)

    def merge(self, other: ImageKeys) -> ImageKeys:
        """The keys of both sets.

        Raises:
            StatisticsError: if an index is in both.
        """
        if self.complete and other.complete and self.num_samples + other.num_samples <= self.most:
            return super().merge(other)
        merged = ImageKeys()
        merged.num_samples = self.num_samples + other.num_samples
        return merged

    def state(self) -> dict[str, Tensor]:
        """``count``, and ``values`` and ``indices``, (n,) int64 by ascending index, or (0,) where none is kept."""
        return {"count": torch.tensor(self.num_samples), **super().state()}

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> ImageKeys:
        """The keys whose ``state()`` this is."""
        keys = cls()
        keys.update(state["values"], state["indices"])
        keys.num_samples = int(state["count"])
        return keys


def keys_of(hashes: Sequence[int]) -> Int64[Tensor, " n"]:
    """The keys of images whose ``image_hash`` is known, (n,) int64."""
    return torch.tensor([(number >> _SHIFT) - _HALF for number in hashes], dtype=torch.int64)
