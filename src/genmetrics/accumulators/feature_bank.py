"""The features themselves, for metrics that compare single samples."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from genmetrics.accumulators.base import Accumulator, check_finite, check_same
from genmetrics.errors import StatisticsError

__all__ = ["FeatureBank"]


class FeatureBank(Accumulator):
    """All (n, d) rows as float32 on the CPU, in the order of their indices.

    Memory: 4·d bytes a sample, so 8 KB at 2,048 dimensions.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.num_samples = 0
        self._rows: list[Tensor] = []
        self._indices: list[Tensor] = []
        self._sorted = True

    def update(self, values: Tensor, indices: Int64[Tensor, " n"]) -> None:
        """Keep (n, d) features of any floating dtype as float32."""
        check_same("feature width", self.width, values.shape[1])
        check_finite(values, indices)
        if values.shape[0] == 0:
            return
        self._rows.append(values.detach().to("cpu", torch.float32, copy=True))
        self._indices.append(indices.detach().to("cpu", torch.int64, copy=True))
        self.num_samples += values.shape[0]
        self._sorted = False

    def merge(self, other: FeatureBank) -> FeatureBank:
        """The rows of both sample sets.

        Raises:
            StatisticsError: if an index is in both, which would count a sample twice.
        """
        check_same("feature width", self.width, other.width)
        merged = FeatureBank(self.width)
        merged._rows = [*self._rows, *other._rows]
        merged._indices = [*self._indices, *other._indices]
        merged.num_samples = self.num_samples + other.num_samples
        merged._sorted = False
        merged._sort()
        return merged

    def state(self) -> dict[str, Tensor]:
        """``rows`` (n, d) float32 and ``indices`` (n,) int64, by ascending index."""
        return {"rows": self.rows(), "indices": self.indices()}

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> FeatureBank:
        """The bank whose ``state()`` this is."""
        bank = cls(int(state["rows"].shape[1]))
        bank.update(state["rows"], state["indices"])
        return bank

    def rows(self) -> Float32[Tensor, "n d"]:
        """All rows by ascending index, (n, d) float32."""
        self._sort()
        return self._rows[0] if self._rows else torch.zeros((0, self.width), dtype=torch.float32)

    def indices(self) -> Int64[Tensor, " n"]:
        """The indices of the rows, ascending, (n,) int64."""
        self._sort()
        return self._indices[0] if self._indices else torch.zeros(0, dtype=torch.int64)

    def _sort(self) -> None:
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
        rows = torch.empty((len(order), self.width), dtype=torch.float32)
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
