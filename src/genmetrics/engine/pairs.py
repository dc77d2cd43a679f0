"""Figures of pairs of images that are drawn from a set: which pairs, and what a pair network says of them."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt64
from torch import Tensor

from genmetrics import distributed
from genmetrics.accumulators.base import Accumulator
from genmetrics.accumulators.build import build_accumulator
from genmetrics.engine.feeder import Feeder
from genmetrics.engine.networks import Networks
from genmetrics.engine.spool import Spool
from genmetrics.errors import StatisticsError, UsageError
from genmetrics.extractors.pairs import PairExtractor
from genmetrics.preprocess.spec import get_preprocess
from genmetrics.types import Need

__all__ = ["PairFeeder", "draw_pairs", "priorities"]

_NO_CLASS = -1
_TOGETHER = 16


@dataclass(frozen=True)
class _Draw:
    """How pairs are drawn: the options of a need."""

    num_pairs: int
    seed: int
    same_class: bool

    @classmethod
    def of(cls, need: Need) -> _Draw:
        options = dict(need.options)
        return cls(options["num_pairs"], options["seed"], bool(options["same_class"]))


def priorities(indices: np.ndarray, seed: int) -> UInt64[np.ndarray, " n"]:
    """A random-looking number for each index, (n,) uint64: the SplitMix64 sequence at index of a stream of the seed.

    A set's images with the lowest numbers are a random sample of it, whichever process reads which of them.

    Source: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators", figure 16.
    """
    with np.errstate(over="ignore"):
        z = _mixed(np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15))
        z = z + (indices.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        mixed: np.ndarray = _mixed(z)
    return mixed


def _mixed(z: np.ndarray | np.uint64) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))


def draw_pairs(indices: Sequence[int], num_pairs: int, seed: int) -> list[tuple[int, int]]:
    """Pairs of different images out of a sample that came by ascending priority.

    Two of each where there are enough of them; else all the pairs there are, or ``num_pairs`` of them, drawn by
    NumPy's ``RandomState(seed)``.

    Args:
        indices: the images with the lowest priorities, ``2 * num_pairs`` of them unless there are no more.
        num_pairs: how many pairs are wanted.
        seed: of the draw.
    """
    if len(indices) >= 2 * num_pairs:
        return [(indices[2 * pair], indices[2 * pair + 1]) for pair in range(num_pairs)]
    every = list(itertools.combinations(sorted(indices), 2))
    if len(every) <= num_pairs:
        return every
    drawn = np.random.RandomState(seed).choice(len(every), num_pairs, replace=False)
    return [every[position] for position in np.sort(drawn)]


class PairFeeder(Feeder):
    """Keeps a random sample of the images while they pass, and compares it pair by pair when they are through.

    Which pairs is a function of the indices, the classes and the seed: not of batches, workers or ranks. Needs that
    draw alike share their pairs.
    """

    def __init__(self, needs: Iterable[Need], networks: Networks) -> None:
        """Find the networks.

        Args:
            needs: what is to be filled.
            networks: the extractors that the needs name.

        Raises:
            UsageError: if one of them does not compare pairs.
        """
        self.accumulators: dict[Need, Accumulator] = {}
        self._networks: dict[Need, PairExtractor] = {}
        for need in needs:
            extractor = networks.extractor(need.extractor)
            if not isinstance(extractor, PairExtractor):
                raise UsageError(
                    f"extractor {need.extractor!r} gives features of single images; a metric of pairs needs one that "
                    "compares, such as 'lpips-alex.v0.1'"
                )
            self._networks[need] = extractor
        self._samples = {draw: _Sample(draw) for draw in {_Draw.of(need) for need in self._networks}}

    @property
    def num_waiting(self) -> int:
        """None: images are kept, and compared at the end."""
        return 0

    def add(self, images: Tensor, indices: Tensor, labels: Tensor | None) -> None:
        """Keep those of the images that are among the sample."""
        for sample in self._samples.values():
            sample.add(images, indices, labels)

    def finish(self) -> None:
        """Compare the pairs of the images so far."""
        self.accumulators = {need: build_accumulator(need, 1, None) for need in self._networks}
        for draw, sample in self._samples.items():
            self._compare([need for need in self._networks if _Draw.of(need) == draw], sample)

    def _compare(self, needs: Sequence[Need], sample: _Sample) -> None:
        rank = distributed.current_shard()
        pairs = sample.pairs()
        self._check_sizes(needs, pairs, sample.sizes())
        for turn, start in enumerate(range(0, len(pairs), _TOGETHER)):
            together = pairs[start : start + _TOGETHER]
            wanted = {index for _, pair in together for index in pair}
            # Both images of a pair come to the one rank whose turn it is.
            images: dict[int, Tensor] = {}
            for held in distributed.gather(sample.images(wanted)):
                images |= held
            if turn % rank.count != rank.index:
                continue
            numbers = torch.arange(start, start + len(together))
            groups = torch.tensor([float(group) for group, _ in together], dtype=torch.float64)
            for need in needs:
                figures = self._figures(need, [(images[a], images[b]) for _, (a, b) in together])
                self.accumulators[need].update(torch.stack((figures, groups), dim=1), numbers)

    def _check_sizes(
        self,
        needs: Sequence[Need],
        pairs: Sequence[tuple[int, tuple[int, int]]],
        sizes: Mapping[int, tuple[int, int]],
    ) -> None:
        """Refuse what cannot be compared, on every rank alike and before anything is."""
        least = max(needs, key=lambda need: self._networks[need].min_side)
        for _, (a, b) in pairs:
            if sizes[a] != sizes[b]:
                shown = " and ".join(f"{width}x{height}" for height, width in (sizes[a], sizes[b]))
                raise StatisticsError(
                    f"images {a} and {b} are of different sizes ({shown}), and {needs[0].extractor!r} compares images "
                    "of one size; bring all to it with '--crop', such as --crop pil-bicubic-256"
                )
            if min(sizes[a]) < self._networks[least].min_side:
                height, width = sizes[a]
                raise StatisticsError(
                    f"image {a} is {width}x{height}, and {least.extractor!r} needs images of at least "
                    f"{self._networks[least].min_side} pixels a side; enlarge them with '--crop', such as "
                    "--crop pil-bicubic-256"
                )

    def _figures(self, need: Need, pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        extractor, preprocess = self._networks[need], get_preprocess(need.preprocess)
        figures: list[Tensor] = []
        for _, run in itertools.groupby(pairs, key=lambda pair: pair[0].shape):
            alike = list(run)
            before = torch.stack([first for first, _ in alike]).to(extractor.device)
            after = torch.stack([second for _, second in alike]).to(extractor.device)
            found = extractor.distances(preprocess(before), preprocess(after))
            figures.append(found.cpu().to(torch.float64))
        return torch.cat(figures)


class _Sample:
    """The images of lowest priority, of each class or of all, as many as the pairs take."""

    def __init__(self, draw: _Draw) -> None:
        self._draw = draw
        self._heaps: dict[int, list[tuple[int, int]]] = {}
        self._sizes: dict[int, tuple[int, int]] = {}
        self._spool = Spool()

    def add(self, images: Tensor, indices: Tensor, labels: Tensor | None) -> None:
        if self._draw.same_class and labels is None and len(indices):
            raise StatisticsError(
                "pairs of images of one class were asked for, and the images have no classes; say where they come from "
                "with '--labels', such as --labels folders, or ask for the metric without classes"
            )
        ranks = priorities(indices.numpy(), self._draw.seed).tolist()
        groups = labels.tolist() if self._draw.same_class and labels is not None else [_NO_CLASS] * len(ranks)
        for row, (priority, index, group) in enumerate(zip(ranks, indices.tolist(), groups, strict=True)):
            heap = self._heaps.setdefault(group, [])
            if len(heap) < 2 * self._draw.num_pairs:
                heapq.heappush(heap, (-priority, -index))
            elif (-priority, -index) > heap[0]:
                _, out = heapq.heapreplace(heap, (-priority, -index))
                self._spool.drop(-out)
                del self._sizes[-out]
            else:
                continue
            self._sizes[index] = (int(images.shape[2]), int(images.shape[3]))
            self._spool.put(index, images[row])

    def images(self, wanted: Iterable[int]) -> dict[int, Tensor]:
        """Those of the wanted images that are here."""
        found = {index: self._spool.get(index) for index in wanted}
        return {index: image for index, image in found.items() if image is not None}

    def sizes(self) -> dict[int, tuple[int, int]]:
        """Height and width of the images that are kept on any rank."""
        merged: dict[int, tuple[int, int]] = {}
        for sizes in distributed.gather(self._sizes):
            merged |= sizes
        return merged

    def pairs(self) -> list[tuple[int, tuple[int, int]]]:
        """The class and the indices of each pair, the same on every rank."""
        merged: dict[int, list[tuple[int, int]]] = {}
        for heaps in distributed.gather(self._heaps):
            for group, heap in heaps.items():
                merged.setdefault(group, []).extend((-priority, -index) for priority, index in heap)
        pairs: list[tuple[int, tuple[int, int]]] = []
        for group in sorted(merged):
            lowest = [index for _, index in sorted(merged[group])[: 2 * self._draw.num_pairs]]
            if len(lowest) < 2:
                whose = "the set has" if group == _NO_CLASS else f"class {group} has"
                raise StatisticsError(f"{whose} {len(lowest)} image(s); a pair takes 2. Add images")
            pairs.extend((group, pair) for pair in draw_pairs(lowest, self._draw.num_pairs, self._draw.seed))
        return pairs
