"""From uint8 images to filled accumulators."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import torch
from torch import Tensor

from genmetrics.accumulators.base import Accumulator
from genmetrics.accumulators.build import build_accumulator
from genmetrics.engine.networks import Networks
from genmetrics.extractors.base import Extractor
from genmetrics.preprocess.spec import get_preprocess
from genmetrics.types import Need

__all__ = ["FeatureFeeder"]


class FeatureFeeder:
    """Feeds images to every network that is needed, and each network's features to their accumulators.

    Images of any sizes may follow one another: they are collected after the resize, so that the networks see
    full batches.
    """

    def __init__(self, needs: Iterable[Need], networks: Networks, batch_size: int, total: int | None) -> None:
        """Create empty accumulators.

        Args:
            needs: what is to be filled.
            networks: the extractors that the needs name.
            batch_size: images that go through a network at once.
            total: how many images will come in all shards together; None if that is not known.
        """
        self.accumulators: dict[Need, Accumulator] = {}
        groups: dict[tuple[str, str], list[Need]] = {}
        for need in needs:
            width = networks.extractor(need.extractor).features[need.feature]
            self.accumulators[need] = build_accumulator(need, width, total)
            groups.setdefault((need.extractor, need.preprocess), []).append(need)
        self._device = networks.device
        self._groups = [
            _Group(networks.extractor(extractor), preprocess, group, self.accumulators, batch_size)
            for (extractor, preprocess), group in groups.items()
        ]

    @property
    def num_waiting(self) -> int:
        """How many images were fed and are not through all networks yet."""
        return max(group.num_waiting for group in self._groups)

    def add(self, images: Tensor, indices: Tensor) -> None:
        """Feed (n, 3, h, w) uint8 images with their (n,) int64 indices."""
        on_device = images.to(self._device, non_blocking=True)
        for group in self._groups:
            group.add(on_device, indices)

    def finish(self) -> None:
        """Bring the last, incomplete batches through the networks."""
        for group in self._groups:
            group.flush()


class _Group:
    """One network behind one preprocessing, with the accumulators that it fills."""

    def __init__(
        self,
        extractor: Extractor,
        preprocess: str,
        needs: list[Need],
        accumulators: dict[Need, Accumulator],
        batch_size: int,
    ) -> None:
        self._extractor = extractor
        self._preprocess = get_preprocess(preprocess)
        self._wanted: Collection[str] = tuple(dict.fromkeys(need.feature for need in needs))
        self._targets = [(need.feature, accumulators[need]) for need in needs]
        self._batch_size = batch_size
        self._inputs: list[Tensor] = []
        self._indices: list[Tensor] = []
        self.num_waiting = 0

    def add(self, images: Tensor, indices: Tensor) -> None:
        for start in range(0, images.shape[0], self._batch_size):
            part = slice(start, start + self._batch_size)
            inputs = self._preprocess(images[part])
            # Where images keep their own size, only those of one size go through together.
            if self._inputs and inputs.shape[1:] != self._inputs[0].shape[1:]:
                self._run(self.num_waiting)
            self._inputs.append(inputs)
            self._indices.append(indices[part])
            self.num_waiting += self._inputs[-1].shape[0]
            if self.num_waiting >= self._batch_size:
                self._run(self._batch_size)

    def flush(self) -> None:
        if self.num_waiting:
            self._run(self.num_waiting)

    def _run(self, count: int) -> None:
        inputs = self._inputs[0] if len(self._inputs) == 1 else torch.cat(self._inputs)
        indices = self._indices[0] if len(self._indices) == 1 else torch.cat(self._indices)
        features = self._extractor.run(inputs[:count], self._wanted)
        # Metal has no float64, in which the statistics are kept.
        on_host = inputs.device.type == "mps"
        for name, accumulator in self._targets:
            values = features[name].cpu() if on_host else features[name]
            accumulator.update(values, indices[:count])
        self.num_waiting -= count
        self._inputs = [inputs[count:]] if self.num_waiting else []
        self._indices = [indices[count:]] if self.num_waiting else []
