"""Which samples were counted."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

__all__ = ["CountedIndices"]

#: So many unsorted blocks are looked through before they become one.
_MOST_BLOCKS = 32


class CountedIndices:
    """The indices of all samples so far as ranges, and which of them came more than once.

    It merges over ranks as accumulators do.

    Memory: 16 bytes a run of consecutive indices; at worst, of indices without any neighbours, 16 bytes a sample.
    """

    def __init__(self) -> None:
        self.num_samples = 0
        self._blocks: list[tuple[Tensor, Tensor]] = []
        self._repeated = torch.zeros(0, dtype=torch.int64)

    def add(self, indices: Int64[Tensor, " n"]) -> None:
        """Count samples."""
        if not len(indices):
            return
        self._note(torch.tensor(self.repeated_in(indices), dtype=torch.int64))
        ordered, _ = indices.sort()
        first = torch.ones(len(ordered), dtype=torch.bool)
        first[1:] = ordered[1:] != ordered[:-1]
        self._blocks.append(_ranges(ordered[first]))
        self.num_samples += len(indices)
        if len(self._blocks) > _MOST_BLOCKS:
            self._pack()

    def has(self, indices: Int64[Tensor, " n"]) -> Bool[Tensor, " n"]:
        """Whether each was counted, (n,) bool."""
        found = torch.zeros(len(indices), dtype=torch.bool)
        for starts, stops in self._blocks:
            place = torch.searchsorted(starts, indices, right=True) - 1
            found |= (place >= 0) & (indices < stops[place.clamp(min=0)])
        return found

    def repeated_in(self, indices: Int64[Tensor, " n"]) -> list[int]:
        """Those of some indices that were counted, or are there more than once, ascending."""
        if not len(indices):
            return []
        ordered, _ = indices.sort()
        again = self.has(ordered)
        again[1:] |= ordered[1:] == ordered[:-1]
        return sorted(set(ordered[again].tolist()))

    def repeated(self) -> list[int]:
        """The indices that were counted more than once, ascending."""
        found: list[int] = self._repeated.tolist()
        return found

    def missing_of(self, count: int) -> list[int]:
        """Up to ten of the indices 0..count-1 that were not counted, and of those counted beyond that, ascending."""
        missing: list[int] = []
        expected = 0
        for start, stop in zip(*(part.tolist() for part in self._packed()), strict=True):
            missing.extend(range(expected, min(start, expected + 10)))
            if start < 0 or stop > count:
                missing.append(start if start < 0 else max(start, count))
            expected = stop
        missing.extend(range(expected, min(count, expected + 10)))
        return missing[:10]

    def merge(self, other: CountedIndices) -> CountedIndices:
        """What was counted in either; what is in both came more than once."""
        merged = CountedIndices()
        merged._repeated = self._repeated
        merged._note(other._repeated)
        (starts, stops), (other_starts, other_stops) = self._packed(), other._packed()
        merged._blocks = [part for part in ((starts, stops), (other_starts, other_stops)) if len(part[0])]
        merged._note(_overlap(starts, stops, other_starts, other_stops))
        merged.num_samples = self.num_samples + other.num_samples
        merged._pack()
        return merged

    def state(self) -> dict[str, Tensor]:
        """``count``; ``starts`` and ``stops`` of the ranges, (r,) int64; ``repeated`` (m,) int64."""
        starts, stops = self._packed()
        count = torch.tensor(self.num_samples)
        return {"count": count, "starts": starts, "stops": stops, "repeated": self._repeated}

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> CountedIndices:
        """What ``state()`` is of."""
        counted = cls()
        counted.num_samples = int(state["count"])
        counted._blocks = [(state["starts"], state["stops"])] if len(state["starts"]) else []
        counted._repeated = state["repeated"]
        return counted

    def _note(self, indices: Tensor) -> None:
        if len(indices):
            self._repeated = torch.tensor(sorted({*self._repeated.tolist(), *indices.tolist()}))

    def _packed(self) -> tuple[Tensor, Tensor]:
        self._pack()
        none = torch.zeros(0, dtype=torch.int64)
        return self._blocks[0] if self._blocks else (none, none)

    def _pack(self) -> None:
        """One block of ascending ranges that neither touch nor overlap."""
        if len(self._blocks) < 2:
            return
        starts = torch.cat([starts for starts, _ in self._blocks])
        stops = torch.cat([stops for _, stops in self._blocks])
        starts, order = starts.sort()
        stops = stops[order].cummax(dim=0).values
        first = torch.cat((torch.ones(1, dtype=torch.bool), starts[1:] > stops[:-1]))
        last = torch.cat((first[1:], torch.ones(1, dtype=torch.bool)))
        self._blocks = [(starts[first], stops[last])]


def _ranges(indices: Int64[Tensor, " n"]) -> tuple[Int64[Tensor, " r"], Int64[Tensor, " r"]]:
    """Ascending indices, each once, as ranges: where they start, and where they stop."""
    ends = indices[1:] != indices[:-1] + 1
    yes = torch.ones(1, dtype=torch.bool)
    return indices[torch.cat((yes, ends))], indices[torch.cat((ends, yes))] + 1


def _overlap(starts: Tensor, stops: Tensor, other_starts: Tensor, other_stops: Tensor) -> Int64[Tensor, " m"]:
    """The indices that are in ranges of both."""
    if not len(starts) or not len(other_starts):
        return torch.zeros(0, dtype=torch.int64)
    # Of ranges in order, those that a range meets are neighbours.
    first = torch.searchsorted(other_stops, starts, right=True)
    after = torch.searchsorted(other_starts, stops, right=False)
    common = []
    for row in torch.nonzero(after > first)[:, 0].tolist():
        for other in range(int(first[row]), int(after[row])):
            low = max(int(starts[row]), int(other_starts[other]))
            common.append(torch.arange(low, min(int(stops[row]), int(other_stops[other]))))
    return torch.cat(common) if common else torch.zeros(0, dtype=torch.int64)
