"""A digest of the decoded images as a set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from genmetrics.accumulators.base import Accumulator

__all__ = ["ContentDigest", "image_hash", "image_hashes"]

_MODULUS = 1 << 256


def image_hash(pixels: UInt8[np.ndarray, "3 h w"]) -> int:
    """The sha256 of an image's height and width and its pixels, channel by channel, as a number.

    Large images are hashed without holding the interpreter, so that threads do it side by side.

    Args:
        pixels: (3, h, w) uint8 RGB, contiguous.
    """
    digest = hashlib.sha256(b"%dx%d:" % pixels.shape[1:])
    digest.update(pixels.data)
    return int.from_bytes(digest.digest(), "big")


def image_hashes(images: UInt8[Tensor, "n 3 h w"]) -> tuple[int, ...]:
    """The ``image_hash`` of each of (n, 3, h, w) uint8 RGB images, on any device."""
    return tuple(map(image_hash, images.cpu().contiguous().numpy()))


class ContentDigest(Accumulator):
    """The sum modulo 2²⁵⁶ of the sha256 of every image, so that neither order nor container matters.

    An image's own hash covers its height and width and its pixels, channel by channel. Every copy of an image
    counts.
    """

    def __init__(self) -> None:
        self.num_samples = 0
        self._sum = 0

    def update(self, values: UInt8[Tensor, "n 3 h w"], indices: Int64[Tensor, " n"]) -> None:
        """Feed (n, 3, h, w) uint8 RGB images."""
        self.add(image_hashes(values))

    def add(self, hashes: Iterable[int]) -> None:
        """Count images whose ``image_hash`` is known already."""
        for number in hashes:
            self._sum = (self._sum + number) % _MODULUS
            self.num_samples += 1

    def merge(self, other: ContentDigest) -> ContentDigest:
        """The digest of both sets together."""
        merged = ContentDigest()
        merged.num_samples = self.num_samples + other.num_samples
        merged._sum = (self._sum + other._sum) % _MODULUS
        return merged

    def state(self) -> dict[str, Tensor]:
        """``count`` and ``sum``, (32,) uint8, big-endian."""
        sum_bytes = torch.tensor(list(self._sum.to_bytes(32, "big")), dtype=torch.uint8)
        return {"count": torch.tensor(self.num_samples), "sum": sum_bytes}

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> ContentDigest:
        """The digest whose ``state()`` this is."""
        digest = cls()
        digest.num_samples = int(state["count"])
        digest._sum = int.from_bytes(bytes(state["sum"].tolist()), "big")
        return digest

    def hexdigest(self) -> str:
        """64 hexadecimal digits."""
        return f"{self._sum:064x}"
