"""Which samples an ``Evaluator`` was fed, so that none counts twice on any rank."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from genmetrics import distributed
from genmetrics.engine.counted import CountedIndices
from genmetrics.errors import StatisticsError, UsageError

__all__ = ["FedSamples"]


class FedSamples:
    """Numbers the samples of this rank, knows a sampler's padding, and refuses what comes again.

    Attributes:
        num_fed: how many samples were fed, padding among them.
        own_indices: whether their indices were given.
    """

    def __init__(self, num_samples: int | None) -> None:
        """Begin a set.

        Args:
            num_samples: the length of the dataset that a ``DistributedSampler`` shares out; None if none does.
        """
        self.num_fed = 0
        self.own_indices = False
        self._num_samples = num_samples
        self._counted = CountedIndices()

    def numbers(
        self, indices: Int64[Tensor, " n"] | None, count: int
    ) -> tuple[Int64[Tensor, " n"], Bool[Tensor, " n"] | None]:
        """The numbers of the next samples, and which of them are no padding, None for all; nothing is changed.

        A ``DistributedSampler`` gives rank r of W the places r, r + W, r + 2W … of a list whose first places are the
        dataset in some order, and whose last ones, from its length on, are padding.

        Args:
            indices: as they were given.
            count: how many samples they are.

        Raises:
            UsageError: if indices are missing, are given only now, are none of the dataset's, or were counted before.
        """
        if self.num_fed and self.own_indices != (indices is not None):
            raise UsageError("give indices in every update() or in none; counted and given ones would collide")
        shard = distributed.current_shard()
        places = torch.arange(self.num_fed, self.num_fed + count) * shard.count + shard.index
        if indices is None:
            if self._num_samples is not None:
                raise UsageError("num_samples was given, so that every update() needs the indices of its images")
            return places, None
        kept = None
        if self._num_samples is not None:
            _check_within(indices, self._num_samples)
            if bool((places >= self._num_samples).any()):
                kept = places < self._num_samples
        again = self._counted.repeated_in(indices if kept is None else indices[kept])
        if again:
            raise UsageError(self._counted_twice(again, "this rank" if shard.count > 1 else ""))
        return indices, kept

    def add(self, indices: Int64[Tensor, " n"] | None, count: int, kept: Bool[Tensor, " n"] | None) -> None:
        """Count samples for which there are ``numbers``."""
        self.own_indices = indices is not None
        self.num_fed += count
        if indices is not None:
            self._counted.add(indices if kept is None else indices[kept])

    def check_counted_once(self) -> None:
        """Refuse if a sample was counted twice over the ranks, or one of the dataset never; every rank calls it.

        Raises:
            StatisticsError: naming the samples.
        """
        counted = distributed.merge_over_ranks(self._counted)
        again = counted.repeated()
        if again:
            raise StatisticsError(self._counted_twice(again, "more than one rank"))
        if self._num_samples is None:
            return
        missing = counted.missing_of(self._num_samples)
        if missing:
            raise StatisticsError(
                f"{self._num_samples - counted.num_samples} of num_samples={self._num_samples} images were not fed, or "
                f"were taken for padding (indices {_listed(missing)}): feed all that a DistributedSampler with "
                "drop_last=False gives, in its order; for any other way to share out images leave num_samples out"
            )

    def _counted_twice(self, indices: Sequence[int], where: str) -> str:
        """What to say where a sample came again."""
        on = f" on {where}" if where else ""
        remedy = (
            "If a DistributedSampler repeats some to even out the ranks, say Evaluator(num_samples=len(dataset)), "
            "which leaves these out; reset() begins a new set"
            if self._num_samples is None
            else "reset() begins a new set; num_samples leaves out only what a DistributedSampler with "
            "drop_last=False repeats"
        )
        return (
            f"{len(indices)} image(s) were fed more than once{on} (indices {_listed(indices)}), and would count twice; "
            f"each sample has an index of its own over all calls and ranks. {remedy}"
        )


def _check_within(indices: Tensor, count: int) -> None:
    strange = indices[(indices < 0) | (indices >= count)]
    if len(strange):
        raise UsageError(f"index {int(strange[0])} is none of num_samples={count}, whose indices are 0 to {count - 1}")


def _listed(indices: Sequence[int]) -> str:
    return ", ".join(map(str, indices[:10])) + (", …" if len(indices) > 10 else "")
