"""From uint8 images to filled accumulators."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from genmetrics import distributed
from genmetrics.accumulators.base import Accumulator
from genmetrics.accumulators.build import CAPTIONS, build_accumulator
from genmetrics.engine.captions import Captions, CaptionValues
from genmetrics.engine.device_queue import DeviceQueue, device_queue
from genmetrics.engine.feeder import Feeder, Unbroken
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
    full batches. Features come later than their images, and so does an error, which may be of an earlier call: after
    one nothing more is taken and nothing finished.
    """

    def __init__(
        self,
        needs: Iterable[Need],
        networks: Networks,
        batch_size: int,
        total: int | None,
        captions: MutableMapping[int, str] | None = None,
        held: Mapping[Need, Accumulator] = MappingProxyType({}),
    ) -> None:
        """Create empty accumulators for what is not held yet.

        Args:
            needs: what is to be filled.
            networks: the extractors that the needs name.
            batch_size: images that go through a network at once.
            total: how many images will come in all shards together; None if that is not known.
            captions: what each image is said to show, by its index; it may grow until an image is fed, and what is of
                an image that is through all networks is removed.
            held: accumulators that some images have gone into already, and that go on being filled.
        """
        self.accumulators: dict[Need, Accumulator] = {}
        self._captioned: list[CaptionValues] = []
        self._num_truncated = 0
        self._unbroken = Unbroken()
        needs = tuple(needs)
        texts = Captions({} if captions is None else captions, sum(need.accumulator == CAPTIONS for need in needs))
        groups: dict[tuple[str, str], list[Need]] = {}
        targets: dict[Need, _Target] = {}
        for need in needs:
            width = networks.extractor(need.extractor).features[need.feature]
            filled = held[need] if need in held else build_accumulator(need, width, total)
            self.accumulators[need] = targets[need] = filled
            if need.accumulator == CAPTIONS:
                reads = CaptionValues(filled, need, networks.extractor(need.extractor), texts)
                self._captioned.append(reads)
                targets[need] = reads
            groups.setdefault((need.extractor, need.preprocess), []).append(need)
        self._queue = device_queue(networks.device)
        self._extractors = [networks.extractor(extractor) for extractor, _ in groups]
        self._groups = [
            _Group(networks.extractor(extractor), preprocess, group, targets, batch_size, self._queue)
            for (extractor, preprocess), group in groups.items()
        ]

    @property
    def notes(self) -> tuple[str, ...]:
        """That captions were cut off, if any were, of the images of all ranks, and what the networks say of their run.

        All of it is known once all have finished.
        """
        cut = self._num_truncated
        of_captions = (f"{cut} captions are longer than their network reads, and were cut off",) if cut else ()
        return (*of_captions, *dict.fromkeys(note for extractor in self._extractors for note in extractor.notes))

    @property
    def num_waiting(self) -> int:
        """How many images were fed and are not through all networks yet."""
        return max((group.num_waiting for group in self._groups), default=0)

    def add(self, images: Tensor, indices: Tensor, labels: Tensor | None) -> None:
        """Feed (n, 3, h, w) uint8 images with their (n,) int64 indices.

        Raises:
            StatisticsError: if a feature of these images or of earlier ones is NaN or infinite, and ever after.
        """
        with self._feeding():
            on_device = self._queue.upload(images)
            for group in self._groups:
                group.add(on_device, indices)

    def flush(self) -> None:
        """Bring incomplete batches through the networks, and wait for all of it.

        Raises:
            StatisticsError: as ``add``.
        """
        with self._feeding():
            for group in self._groups:
                group.flush()
            self._queue.join()
            for held in self.accumulators.values():
                held.settle()

    def finish(self) -> None:
        """Bring the last, incomplete batches through the networks.

        Raises:
            StatisticsError: as ``add``.
        """
        self.flush()
        if self._captioned:
            of_ranks = distributed.gather(tuple(target.num_truncated for target in self._captioned))
            self._num_truncated = max(sum(counts) for counts in zip(*of_ranks, strict=True))

    def close(self) -> None:
        """Wait for the batches that are in a network; their features go nowhere."""
        for group in self._groups:
            group.drain()

    @contextmanager
    def _feeding(self) -> Iterator[None]:
        with self._unbroken.doing():
            try:
                yield
            except BaseException:
                self.close()
                raise


class _Group:
    """One network behind one preprocessing, with the accumulators that it fills."""

    def __init__(
        self,
        extractor: Extractor,
        preprocess: str,
        needs: list[Need],
        targets: Mapping[Need, _Target],
        batch_size: int,
        queue: DeviceQueue[Any, Any],
    ) -> None:
        self._extractor = extractor
        self._preprocess = get_preprocess(preprocess)
        self._wanted: Collection[str] = tuple(dict.fromkeys(need.feature for need in needs))
        self._targets = [(need.feature, targets[need]) for need in needs]
        self._batch_size = min(batch_size, extractor.largest_batch or batch_size)
        self._queue = queue
        # What a device launches later is taken at once: its statistics would else wait for the batch after, too.
        self._most_running = 0 if queue.launches else _RUNNING
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

    def drain(self) -> None:
        while self._running:
            pending, _ = self._running.popleft()
            with suppress(Exception):  # another error is on its way already, or nobody asks for these
                pending()

    def _start(self, count: int) -> None:
        """Hand the next batch to the network, and take what the one before it gave: it ran until now."""
        inputs = self._inputs[0] if len(self._inputs) == 1 else torch.cat(self._inputs)
        indices = self._indices[0] if len(self._indices) == 1 else torch.cat(self._indices)
        self._running.append((self._extractor.start(inputs[:count], self._wanted), indices[:count]))
        self._collected -= count
        self._inputs = [inputs[count:]] if self._collected else []
        self._indices = [indices[count:]] if self._collected else []
        while len(self._running) > self._most_running:
            self._take()

    def _take(self) -> None:
        pending, indices = self._running.popleft()
        features = pending()
        with self._queue.statistics(features.values()):
            for name, target in self._targets:
                values = features[name]
                # Metal has no float64, in which the statistics are kept.
                target.update(values.cpu() if values.device.type == "mps" else values, indices)
        self.num_waiting -= len(indices)
