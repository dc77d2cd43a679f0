"""How far the reading of an image set is: everything that a pass has gathered, to be kept and gone on from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from genmetrics.accumulators.base import Accumulator
from genmetrics.accumulators.composition import Composition
from genmetrics.accumulators.content import ContentDigest, image_hashes
from genmetrics.accumulators.image_keys import ImageKeys, keys_of
from genmetrics.accumulators.labels import Labels
from genmetrics.engine.feeder import Feeder
from genmetrics.errors import StatisticsError
from genmetrics.sources.base import Finished, ImageBatch
from genmetrics.types import Need, SkippedImage

__all__ = ["Gathered", "Reading"]


@dataclass
class Gathered:
    """What is known of the images of a share that are over.

    Attributes:
        accumulators: what the networks' features went into.
        content: the digest of the images.
        keys: what tells them from one another.
        composition: their encoded formats, and their sizes before any crop.
        labels: their classes.
        skipped: images that could not be read.
        num_transparent: how many had transparency.
        num_by_device: how many Pillow did not decode.
        finished: how far the source is.
        complete: whether these are all images of the share.
        source_notes: what the source has to tell of them, where they are all.
    """

    accumulators: Mapping[Need, Accumulator] = field(default_factory=lambda: MappingProxyType({}))
    content: ContentDigest = field(default_factory=ContentDigest)
    keys: ImageKeys = field(default_factory=ImageKeys)
    composition: Composition = field(default_factory=Composition)
    labels: Labels = field(default_factory=Labels)
    skipped: list[SkippedImage] = field(default_factory=list)
    num_transparent: int = 0
    num_by_device: int = 0
    finished: Finished = field(default_factory=Finished)
    complete: bool = False
    source_notes: tuple[str, ...] = ()

    @property
    def num_over(self) -> int:
        """How many images were read or skipped."""
        return self.content.num_samples + len(self.skipped)


class Reading:
    """Takes the batches of a share, and gathers what there is to be known of them."""

    def __init__(self, feeders: Sequence[Feeder], gathered: Gathered, labels_missing: str) -> None:
        """Go on from what was gathered before.

        Args:
            feeders: what the images are fed to.
            gathered: of the images before the first batch; it is added to.
            labels_missing: what to say of images without a class; empty if they need none.
        """
        self._feeders = feeders
        self._labels_missing = labels_missing
        self.gathered = gathered

    @property
    def num_through(self) -> int:
        """How many images are through all networks, or were skipped."""
        waiting = max((feeder.num_waiting for feeder in self._feeders), default=0)
        return self.gathered.num_over - waiting

    def take(self, batch: ImageBatch) -> None:
        """Feed a batch.

        Raises:
            StatisticsError: if a feature is NaN or infinite, or images have no classes and need them.
        """
        gathered = self.gathered
        if self._labels_missing and batch.labels is None and len(batch.indices):
            raise StatisticsError(self._labels_missing)
        for feeder in self._feeders:
            feeder.add(batch.images, batch.indices, batch.labels)
        # Most are hashed by the threads that decode them.
        hashes = image_hashes(batch.images) if batch.hashes is None else batch.hashes
        gathered.content.add(hashes)
        gathered.keys.update(keys_of(hashes), batch.indices)
        if batch.origins is None:
            count, _, height, width = batch.images.shape
            gathered.composition.add_pixels(count, width, height)
        else:
            gathered.composition.add(batch.origins)
        if batch.labels is not None:
            gathered.labels.update(batch.labels, batch.indices)
        gathered.skipped.extend(batch.skipped)
        gathered.num_transparent += batch.num_transparent
        gathered.num_by_device += batch.num_by_device

    def settle(self, finished: Finished) -> None:
        """Bring all images so far through the networks, so that what is gathered is of them all.

        Raises:
            StatisticsError: as ``take``.
        """
        for feeder in self._feeders:
            feeder.flush()
        self.gathered.accumulators = {
            need: held for feeder in self._feeders for need, held in feeder.accumulators.items()
        }
        self.gathered.finished = finished
