"""The contract of an image source: where images come from, as uint8 RGB batches with their indices."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from genmetrics.sources.device_decode import DeviceDecoder
from genmetrics.types import AlphaPolicy, BadImagePolicy, Fingerprint, Origin, Shard, SkippedImage

__all__ = ["BatchSpec", "Finished", "ImageBatch", "ImageSource", "SeededSource"]


@dataclass(frozen=True)
class Finished:
    """How far a pass is, where everything before that point is over and nothing after it has begun.

    Attributes:
        count: how many images of the share, bad ones included, are in this batch or in earlier ones.
        tally: what the source has counted for its notes so far; a pass that goes on from here is given it.
    """

    count: int = 0
    tally: Mapping[str, int | float] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class BatchSpec:
    """How images are read and grouped; none of it changes a pixel but ``alpha``, ``crop`` and ``decoder``.

    Attributes:
        batch_size: the most images in one batch.
        workers: decoding threads; 0 decodes in the calling thread.
        alpha: what becomes of transparency: dropped as Pillow's ``convert("RGB")`` does, or composited on
            ``white`` or ``black``.
        on_bad_image: stop at an image that cannot be read, or leave it out and list it.
        selection: the positions of the images to read, ascending; None reads all. The batches' indices
            count within the selection.
        crop: the id of a crop and resize that every image undergoes after decoding; None leaves images as
            they are.
        decoder: what decodes plain JPEG files; None for Pillow, which decodes all others in any case.
        segment: after so many images of the share all that was read is given away, and ``ImageBatch.finished`` says so;
            0 for no such points.
        after: where the pass goes on; a multiple of ``segment``, or the whole share.
    """

    batch_size: int = 32
    workers: int = 0
    alpha: AlphaPolicy = "drop"
    on_bad_image: BadImagePolicy = "error"
    selection: tuple[int, ...] | None = None
    crop: str | None = None
    decoder: DeviceDecoder | None = None
    segment: int = 0
    after: Finished = field(default_factory=Finished)


@dataclass(frozen=True)
class ImageBatch:
    """Images of one size.

    Attributes:
        images: (n, 3, h, w) uint8 RGB, 0..255. n may be 0 where all that is left to say is ``skipped``.
        indices: (n,) int64; over all batches of all shards each index occurs exactly once.
        labels: (n,) int64 class labels, or None.
        skipped: images that could not be read since the batch before, when they are to be left out.
        num_transparent: how many of the images had pixels that were not fully opaque.
        hashes: ``genmetrics.accumulators.content.image_hash`` of each image, where they were hashed as they were read;
            None where that is left to whoever wants it.
        origins: what each image was as it was decoded; None where nobody knows it.
        num_by_device: how many of the images the spec's ``decoder`` decoded.
        finished: how far the pass is, in the last batch of a segment; None in all others.
    """

    images: UInt8[Tensor, "n 3 h w"]
    indices: Int64[Tensor, " n"]
    labels: Int64[Tensor, " n"] | None = None
    skipped: tuple[SkippedImage, ...] = field(default=())
    num_transparent: int = 0
    hashes: tuple[int, ...] | None = None
    origins: tuple[Origin, ...] | None = None
    num_by_device: int = 0
    finished: Finished | None = None

    @classmethod
    def empty(cls, skipped: tuple[SkippedImage, ...], finished: Finished | None = None) -> ImageBatch:
        """A batch without images, which only tells of skipped ones, or of the end of a segment."""
        images, indices = torch.empty((0, 3, 1, 1), dtype=torch.uint8), torch.empty(0, dtype=torch.int64)
        return cls(images, indices, None, skipped, hashes=(), origins=(), finished=finished)


class ImageSource(ABC):
    """A set of images, counted from 0 in a stable order.

    Attributes:
        kind: the source kind.
        description: what a person reads, such as the path.
    """

    kind: str
    description: str

    #: What a reader must know of the set before any image is read, such as files that were passed over.
    notes: tuple[str, ...] = ()

    #: The names of the classes 0, 1, … that labels stand for, where they have any.
    class_names: tuple[str, ...] = ()

    @property
    def repeatable(self) -> bool:
        """Whether another pass, also over a few of the images, gives the same ones; unless overridden it does."""
        return True

    @abstractmethod
    def __len__(self) -> int:
        """The number of images; raises ``TypeError`` for a stream without an end."""

    @abstractmethod
    def fingerprint(self) -> Fingerprint:
        """What the set is. Cheap and honest: it changes when the content may have changed.

        Ask for it before the images are read: what is kept under it can then never be taken for a later content.
        Files are looked at anew in each call, so that two calls tell whether they changed in between; what is in
        memory already is known by what it was read from.
        """

    def identity(self) -> str | None:
        """Hexadecimal; what shards of this set that are read on several machines recognise one another by.

        A copy in another place has the same, whatever the times of its files. Of files it is their names, sizes and
        a fixed sample of their bytes, so that asking for it reads a little. None where the set cannot be told from
        another without reading it all.
        """
        return self.fingerprint().digest

    def names(self) -> Sequence[str] | None:
        """What a person finds each image by, in their order; None where that is not known before a pass."""
        return None

    def known_labels(self) -> Sequence[int] | None:
        """The class of each image, in their order, where that is known before a pass; None where it is not."""
        return None

    @abstractmethod
    def batches(self, shard: Shard, spec: BatchSpec) -> Iterator[ImageBatch]:
        """Read one share of the images.

        Args:
            shard: the share; indices are those of the whole set (or selection).
            spec: how images are read and grouped.

        Raises:
            BadImageError: at images that cannot be read, if ``spec.on_bad_image`` is ``error``.
            SourceError: if the container turns out to be damaged.
        """


class SeededSource(ImageSource):
    """A set whose images are drawn, such as a generator's, and which may leave the seed to the run."""

    @abstractmethod
    def seeded(self, seed: int) -> ImageSource:
        """The same set drawn with this seed, unless it was made with a seed of its own.

        The two sides of a run give different seeds, so that two generators do not share their noise.
        """
