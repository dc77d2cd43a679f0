"""Between 8 bits and -1..1, as vq's datasets do it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from jaxtyping import UInt8
from torch import Tensor

from genmetrics.errors import UsageError
from genmetrics.sources.base import BatchSpec, ImageBatch, ImageSource
from genmetrics.types import Fingerprint, Shard

__all__ = ["RoundTrip", "decode", "encode"]


def encode(images: Tensor) -> Tensor:
    """(…) 0..255 to floats of -1..1."""
    return images / 127.5 - 1.0


def decode(images: Tensor) -> UInt8[Tensor, ...]:
    """Floats of -1..1 to (…) uint8, what lies outside being clamped: ``(x + 1) * 127.5``, cut off and not rounded.

    So 63 of the 256 levels come back from ``encode`` one lower.

    Raises:
        UsageError: if the images are not floats, or NaN is among them.
    """
    if not images.is_floating_point():
        raise UsageError(f"images are {images.dtype}, expected floats of -1..1; images of 0..255 need no decoding")
    if bool(images.isnan().any()):
        raise UsageError("the images to decode hold NaN, which is no colour; look at what made them")
    return ((images + 1) * 127.5).clamp(0, 255).to(torch.uint8)


class RoundTrip(ImageSource):
    """The images of a source after ``decode(encode(x))``, which is what vq gives to torch-fidelity."""

    kind = "vq round trip"

    def __init__(self, source: ImageSource) -> None:
        """Wrap a source.

        Args:
            source: the images as they are.
        """
        self._source = source
        self.description = source.description
        self.notes = (
            *source.notes,
            "pixels went through vq's encode and decode, which lower 63 of the 256 levels by 1",
        )
        self.class_names = source.class_names
        self._levels = decode(encode(torch.arange(256, dtype=torch.uint8)))

    def __len__(self) -> int:
        return len(self._source)

    def fingerprint(self) -> Fingerprint:
        """That of the images as they are, under another kind."""
        found = self._source.fingerprint()
        return replace(found, kind=self.kind, digest=_of_round_trip(found.digest))

    def identity(self) -> str | None:
        """Likewise."""
        return _of_round_trip(self._source.identity())

    def names(self) -> Sequence[str] | None:
        """Those of the source."""
        return self._source.names()

    def known_labels(self) -> Sequence[int] | None:
        """Likewise."""
        return self._source.known_labels()

    def batches(self, shard: Shard, spec: BatchSpec) -> Iterator[ImageBatch]:
        """The source's batches, after its crop."""
        levels = self._levels
        for batch in self._source.batches(shard, spec):
            images = levels.to(batch.images.device)[batch.images.long()]
            yield replace(batch, images=images, hashes=None)


def _of_round_trip(digest: str | None) -> str | None:
    return None if digest is None else hashlib.sha256(f"{RoundTrip.kind} {digest}".encode()).hexdigest()
