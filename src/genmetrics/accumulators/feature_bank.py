"""The features themselves, for metrics that compare single samples, and single figures of samples or pairs."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TypeVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from genmetrics.accumulators.base import Accumulator, check_same
from genmetrics.accumulators.on_device import Fetched, LateChecks, is_late
from genmetrics.errors import StatisticsError

__all__ = ["FeatureBank", "RowBank", "Scalars"]

Self = TypeVar("Self", bound="RowBank")

#: How many batches may be on their way from the device at once.
_MOST_ARRIVING = 4


class RowBank(Accumulator):
    """All (n, d) rows on the CPU, in the order of their indices."""

    #: As what the rows are kept.
    dtype: torch.dtype

    def __init__(self, width: int) -> None:
        self.width = width
        self.num_samples = 0
        self._rows: list[Tensor] = []
        self._arriving: deque[Fetched] = deque()
        self._late = LateChecks()
        self._indices: list[Tensor] = []
        self._sorted = True

    def update(self, values: Tensor, indices: Int64[Tensor, " n"]) -> None:
        """Keep (n, d) rows of any floating dtype."""
        check_same("feature width", self.width, values.shape[1])
        self._late.begin(values)
        self._late.finite(values, indices)
        if values.shape[0] == 0:
            return
        self._arriving.append(Fetched(values.detach().to(self.dtype)))
        self._receive(_MOST_ARRIVING if is_late(values) else 0)
        self._late.end(values)
        self._indices.append(indices.detach().to("cpu", torch.int64, copy=True))
        self.num_samples += values.shape[0]
        self._sorted = False

    def settle(self) -> None:
        """Wait for rows that are on their way from a device."""
        self._late.settle()
        self._receive(0)

    def merge(self: Self, other: Self) -> Self:
        """The rows of both sample sets.

        Raises:
            StatisticsError: if an index is in both, which would count a sample twice.
        """
        check_same("feature width", self.width, other.width)
        self.settle()
        other.settle()
        merged = type(self)(self.width)
        merged._rows = [*self._rows, *other._rows]
        merged._indices = [*self._indices, *other._indices]
        merged.num_samples = self.num_samples + other.num_samples
        merged._sorted = False
        merged._sort()
        return merged

    def state(self) -> dict[str, Tensor]:
        """``rows`` (n, d) and ``indices`` (n,) int64, by ascending index."""
        return {"rows": self.rows(), "indices": self.indices()}

    @classmethod
    def from_state(cls: type[Self], state: Mapping[str, Tensor]) -> Self:
        """The bank whose ``state()`` this is."""
        bank = cls(int(state["rows"].shape[1]))
        bank.update(state["rows"], state["indices"])
        return bank

    def arrived_after(self, count: int) -> dict[str, Tensor]:
        """``rows`` and ``indices`` as ``state`` has them, of all but the first so many samples, as they arrived."""
        self.settle()
        rows, indices = [self._rows[0][:0]] if self._rows else [], [torch.zeros(0, dtype=torch.int64)]
        start = 0
        for block, of_block in zip(self._rows, self._indices, strict=True):
            if start + block.shape[0] > count:
                rows.append(block[max(0, count - start) :])
                indices.append(of_block[max(0, count - start) :])
            start += block.shape[0]
        none = torch.zeros((0, self.width), dtype=self.dtype)
        return {"rows": torch.cat(rows) if rows else none, "indices": torch.cat(indices)}

    def rows(self) -> Float[Tensor, "n d"]:
        """All rows by ascending index, (n, d)."""
        self._sort()
        return self._rows[0] if self._rows else torch.zeros((0, self.width), dtype=self.dtype)

    def indices(self) -> Int64[Tensor, " n"]:
        """The indices of the rows, ascending, (n,) int64."""
        self._sort()
        return self._indices[0] if self._indices else torch.zeros(0, dtype=torch.int64)

    def _receive(self, most: int) -> None:
        """Take over rows until at most so many batches are on their way."""
        while len(self._arriving) > most:
            self._rows.append(self._arriving.popleft().take())

    def _sort(self) -> None:
        self.settle()
        if self._sorted or not self._rows:
            return
        indices, order = torch.cat(self._indices).sort(stable=True)
        twice = indices[1:][indices[1:] == indices[:-1]]
        if twice.numel():
            raise StatisticsError(
                f"image index {int(twice[0])} occurs more than once ({twice.numel()} repeated in all); "
                "each image must be counted exactly once"
            )
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order))
        rows = torch.empty((len(order), self.width), dtype=self.dtype)
        start = 0
        # Each block is let go once it is in its place, so that the rows are not held twice.
        self._rows.reverse()
        while self._rows:
            block = self._rows.pop()
            rows[place[start : start + block.shape[0]]] = block
            start += block.shape[0]
        self._rows = [rows]
        self._indices = [indices]
        self._sorted = True


class FeatureBank(RowBank):
    """All (n, d) features as float32 on the CPU, in the order of their indices.

    Memory: 4·d bytes a sample, so 8 KB at 2,048 dimensions.
    """

    dtype = torch.float32


class Scalars(RowBank):
    """Single figures that are no features: of pairs of images, of steps of a generator, of images and captions.

    Rows are (n, 2) float64: the figure, and the class of what it is of, -1 where there is none.
    """

    dtype = torch.float64

    def values(self) -> Float[Tensor, " n"]:
        """The figures by ascending index, (n,) float64."""
        return self.rows()[:, 0]

    def groups(self) -> Int64[Tensor, " n"]:
        """The class of each, (n,) int64; -1 for none."""
        return self.rows()[:, 1].to(torch.int64)
