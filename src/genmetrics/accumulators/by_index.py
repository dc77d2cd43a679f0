"""One whole number a sample, by its index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, TypeVar

import torch
from jaxtyping import Int64
from torch import Tensor

from genmetrics.accumulators.base import Accumulator
from genmetrics.errors import StatisticsError

__all__ = ["ByIndex"]

Self = TypeVar("Self", bound="ByIndex")


class ByIndex(Accumulator):
    """One int64 a sample, by ascending index; 16 bytes a sample.

    Attributes:
        what: what the numbers are, for messages.
    """

    what: ClassVar[str]

    def __init__(self) -> None:
        self.num_samples = 0
        self._values: list[Tensor] = []
        self._indices: list[Tensor] = []

    def update(self, values: Int64[Tensor, " n"], indices: Int64[Tensor, " n"]) -> None:
        """Feed (n,) int64 numbers."""
        if values.shape[0]:
            self._values.append(values.detach().to("cpu", torch.int64, copy=True))
            self._indices.append(indices.detach().to("cpu", torch.int64, copy=True))
            self.num_samples += values.shape[0]

    def merge(self: Self, other: Self) -> Self:
        """The numbers of both sample sets.

        Raises:
            StatisticsError: if an index is in both.
        """
        merged = type(self)()
        merged._values = [*self._values, *other._values]
        merged._indices = [*self._indices, *other._indices]
        merged.num_samples = self.num_samples + other.num_samples
        merged._sort()
        return merged

    def state(self) -> dict[str, Tensor]:
        """``values`` (n,) and ``indices`` (n,), both int64, by ascending index."""
        self._sort()
        none = torch.zeros(0, dtype=torch.int64)
        return {
            "values": self._values[0] if self._values else none,
            "indices": self._indices[0] if self._indices else none,
        }

    @classmethod
    def from_state(cls: type[Self], state: Mapping[str, Tensor]) -> Self:
        """What ``state()`` is of."""
        made = cls()
        made.update(state["values"], state["indices"])
        return made

    def values(self) -> Int64[Tensor, " n"]:
        """The numbers by ascending index, (n,) int64."""
        return self.state()["values"]

    def indices(self) -> Int64[Tensor, " n"]:
        """The indices, ascending, (n,) int64."""
        return self.state()["indices"]

    def _sort(self) -> None:
        if not self._values:
            return
        indices, order = torch.cat(self._indices).sort(stable=True)
        if bool((indices[1:] == indices[:-1]).any()):
            raise StatisticsError(f"an image index occurs more than once among the {self.what}")
        self._values, self._indices = [torch.cat(self._values)[order]], [indices]
