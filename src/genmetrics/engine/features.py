"""From uint8 images to filled accumulators."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, MutableMapping
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from genmetrics import distributed
from genmetrics.accumulators.base import Accumulator
from genmetrics.accumulators.build import CAPTIONS, build_accumulator
from genmetrics.engine.captions import Captions, CaptionValues
from genmetrics.engine.feeder import Feeder
from genmetrics.engine.networks import Networks
from genmetrics.extractors.backends.base import Pending
from genmetrics.extractors.base import Extractor
from genmetrics.preprocess.spec import get_preprocess
from genmetrics.types import Need

__all__ = ["FeatureFeeder"]

# Batches in a network while the next is prepared: enough for neither to wait for the other.
_RUNNING = 1


@runtime_checkable
class _Target(Protocol):
    """What takes features."""

    def update(self, values: Tensor, indices: Tensor) -> None:
        """Take the (n, d) features of the images with these (n,) indices."""


class FeatureFeeder(Feeder):
    """Feeds images to every network that is needed, and each network's features to their accumulators.

    Images of any sizes may follow one another: they are collected after the resize, so that the networks see
    full batches.
    """

    def __init__(
        self,
        needs: Iterable[Need],
        networks: Networks,
        batch_size: int,
        total: int | None,
        captions: MutableMapping[int, str] | None = None,
    ) -> None:
        """Create empty accumulators.

        Args:
            needs: what is to be filled.
            networks: the extractors that the needs name.
            batch_size: images that go through a network at once.
            total: how many images will come in all shards together; None if that is not known.
            captions: what each image is said to show, by its index; it may grow until an image is fed, and what is of
                an image that is through all networks is removed.
        """
        self.accumulators: dict[Need, Accumulator] = {}
        self._captioned: list[CaptionValues] = []
        self._num_truncated = 0
        needs = tuple(needs)
        texts = Captions({} if captions is None else captions, sum(need.accumulator == CAPTIONS for need in needs))
        groups: dict[tuple[str, str], list[Need]] = {}
        targets: dict[Need, _Target] = {}
        for need in needs:
            width = networks.extractor(need.extractor).features[need.feature]
            held = build_accumulator(need, width, total)
            self.accumulators[need] = targets[need] = held
            if need.accumulator == CAPTIONS:
                reads = CaptionValues(held, need, networks.extractor(need.extractor), texts)
                self._captioned.append(reads)
                targets[need] = reads
            groups.setdefault((need.extractor, need.preprocess), []).append(need)
        self._device = networks.device
        self._groups = [
            _Group(networks.extractor(extractor), preprocess, group, targets, batch_size)
            for (extractor, preprocess), group in groups.items()
        ]

    @property
    def notes(self) -> tuple[str, ...]:
        """That captions were cut off, if any were, of the images of all ranks; known once all have finished."""
        cut = self._num_truncated
        return (f"{cut} captions are longer than their network reads, and were cut off",) if cut else ()

    @property
    def num_waiting(self) -> int:
        """How many images were fed and are not through all networks yet."""
        return max((group.num_waiting for group in self._groups), default=0)

    def add(self, images: Tensor, indices: Tensor, labels: Tensor | None) -> None:
        """Feed (n, 3, h, w) uint8 images with their (n,) int64 indices."""
        on_device = images.to(self._device, non_blocking=True)
        for group in self._groups:
            group.add(on_device, indices)

    def finish(self) -> None:
        """Bring the last, incomplete batches through the networks."""
        for group in self._groups:
            group.flush()
        if self._captioned:
            of_ranks = distributed.gather(tuple(target.num_truncated for target in self._captioned))
            self._num_truncated = max(sum(counts) for counts in zip(*of_ranks, strict=True))


class _Group:
    """One network behind one preprocessing, with the accumulators that it fills."""

    def __init__(
        self,
        extractor: Extractor,
        preprocess: str,
        needs: list[Need],
        targets: Mapping[Need, _Target],
        batch_size: int,
    ) -> None:
        self._extractor = extractor
        self._preprocess = get_preprocess(preprocess)
        self._wanted: Collection[str] = tuple(dict.fromkeys(need.feature for need in needs))
        self._targets = [(need.feature, targets[need]) for need in needs]
        self._batch_size = min(batch_size, extractor.largest_batch or batch_size)
        self._inputs: list[Tensor] = []
        self._indices: list[Tensor] = []
        self._running: deque[tuple[Pending, Tensor]] = deque()
        self._collected = 0
        self.num_waiting = 0

    def add(self, images: Tensor, indices: Tensor) -> None:
        for start in range(0, images.shape[0], self._batch_size):
            part = slice(start, start + self._batch_size)
            inputs = self._preprocess(images[part])
            if self._inputs and self._inputs[0].shape[1:] != inputs.shape[1:]:
                self.flush()  # a preprocessing that leaves the size as it is
            self._inputs.append(inputs)
            self._indices.append(indices[part])
            self.num_waiting += inputs.shape[0]
            self._collected += inputs.shape[0]
            if self._collected >= self._batch_size:
                self._start(self._batch_size)

    def flush(self) -> None:
        if self._collected:
            self._start(self._collected)
        while self._running:
            self._take()

    def _start(self, count: int) -> None:
        """Hand the next batch to the network, and take what the one before it gave: it ran until now."""
        inputs = self._inputs[0] if len(self._inputs) == 1 else torch.cat(self._inputs)
        indices = self._indices[0] if len(self._indices) == 1 else torch.cat(self._indices)
        self._running.append((self._extractor.start(inputs[:count], self._wanted), indices[:count]))
        self._collected -= count
        self._inputs = [inputs[count:]] if self._collected else []
        self._indices = [indices[count:]] if self._collected else []
        while len(self._running) > _RUNNING:
            self._take()

    def _take(self) -> None:
        pending, indices = self._running.popleft()
        features = pending()
        for name, target in self._targets:
            values = features[name]
            # Metal has no float64, in which the statistics are kept.
            target.update(values.cpu() if values.device.type == "mps" else values, indices)
        self.num_waiting -= len(indices)
