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
from genmetrics.accumulators.row_storage import RowFile, bank_memory, new_rows
from genmetrics.accumulators.rows import Peers, Rows, panel_size
from genmetrics.errors import StatisticsError

__all__ = ["FeatureBank", "RowBank", "Scalars"]

Self = TypeVar("Self", bound="RowBank")

#: How many batches may be on their way from the device at once.
_MOST_ARRIVING = 4
_ROWS_AT_ONCE = 1024
#: How many times its even share of the rows a process may hold before they are shared out anew.
_MOST_UNEVEN = 2


class RowBank(Accumulator):
    """All (n, d) rows on the CPU, in the order of their indices.

    Rows of more than ``bank_memory()`` bytes lie in a temporary file that is mapped into memory; see ``row_storage``.
    """

    #: As what the rows are kept.
    dtype: torch.dtype

    def __init__(self, width: int) -> None:
        self.width = width
        self.num_samples = 0
        self._rows: list[Tensor] = []
        self._file: RowFile | None = None  # of rows behind these
        self._limit = bank_memory()
        self._arriving: deque[Fetched] = deque()
        self._late = LateChecks()
        # Of the rows in their order, with room behind. Small blocks of their own would lie between those of the batches
        # and keep the memory of these from being used again.
        self._indices = torch.empty(0, dtype=torch.int64)
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
        stop = self.num_samples + values.shape[0]
        if stop > len(self._indices):
            self._indices = torch.cat((self._indices[: self.num_samples], self._indices.new_empty(stop)))
        self._indices[self.num_samples : stop] = indices.detach()
        self.num_samples = stop
        self._sorted = False

    def settle(self) -> None:
        """Wait for rows that are on their way from a device."""
        self._late.settle()
        self._close()

    def merge(self: Self, other: Self) -> Self:
        """The rows of both sample sets.

        Raises:
            StatisticsError: if an index is in both, which would count a sample twice.
        """
        check_same("feature width", self.width, other.width)
        self._require_whole()
        other._require_whole()
        self.settle()
        other.settle()
        merged = type(self)(self.width)
        merged._rows = [*self._rows, *other._rows]
        merged._indices = torch.cat((self._indices[: self.num_samples], other._indices[: other.num_samples]))
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
        rows, indices = state["rows"], state["indices"]
        bank = cls(int(rows.shape[1]))
        if rows.dtype != bank.dtype or not bank._too_large(len(rows)):
            bank.update(rows, indices)
            return bank
        # Rows of a mapped file stay where they are.
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            here = slice(start, start + _ROWS_AT_ONCE)
            bank._late.finite(rows[here], indices[here])
        bank._rows, bank._indices = [rows.detach()], indices.to(torch.int64, copy=True)
        bank.num_samples, bank._sorted = len(rows), bool((indices[1:] > indices[:-1]).all())
        return bank

    def arrived_after(self, count: int) -> dict[str, Tensor]:
        """``rows`` and ``indices`` as ``state`` has them, of all but the first so many samples, as they arrived."""
        self._late.settle()
        self._receive(0)
        parts, start = [torch.zeros((0, self.width), dtype=self.dtype)], 0
        for block in self._rows:
            if start + block.shape[0] > count:
                parts.append(block[max(0, count - start) :])
            start += block.shape[0]
        if self._file is not None:
            parts.append(self._file.after(max(0, count - start)))
        return {"rows": torch.cat(parts), "indices": self._indices[count : self.num_samples].clone()}

    def rows(self) -> Float[Tensor, "n d"]:
        """All rows by ascending index, (n, d)."""
        self._sort()
        return self._rows[0] if self._rows else torch.zeros((0, self.width), dtype=self.dtype)

    def indices(self) -> Int64[Tensor, " n"]:
        """The indices of the rows, ascending, (n,) int64."""
        self._sort()
        return self._indices[: self.num_samples]

    def _receive(self, most: int) -> None:
        """Take over rows until at most so many batches are on their way."""
        while len(self._arriving) > most:
            self._take(self._arriving.popleft().take())

    def _take(self, rows: Tensor) -> None:
        """Keep rows behind those before, on disk if together they are too large for memory."""
        if self._file is None and self._too_large(sum(map(len, self._rows)) + len(rows)):
            self._file = RowFile(self.width, self.dtype)
            for earlier in self._rows:
                self._file.append(earlier)
            self._rows.clear()
        if self._file is None:
            self._rows.append(rows)
        else:
            self._file.append(rows)

    def _close(self) -> None:
        """Have all rows as tensors."""
        self._receive(0)
        if self._file is not None:
            self._rows, self._file = [*self._rows, self._file.rows()], None

    def _require_whole(self) -> None:
        """Refuse to go on where this process does not have all rows; nothing unless overridden."""

    def _too_large(self, count: int) -> bool:
        return count * self.width * self.dtype.itemsize > self._limit

    def _sort(self) -> None:
        self.settle()
        if self._sorted or not self._rows:
            return
        indices, order = _in_order(self._indices[: self.num_samples])
        if len(self._rows) == 1 and torch.equal(order, torch.arange(len(order))):
            self._indices, self._sorted = indices, True
            return
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order))
        rows = new_rows(len(order), self.width, self.dtype, self._limit)
        start = 0
        # Each block is let go once it is in its place, so that the rows are not held twice.
        self._rows.reverse()
        while self._rows:
            block = self._rows.pop()
            for part in torch.split(block, _ROWS_AT_ONCE):
                rows[place[start : start + len(part)]] = part
                start += len(part)
        self._rows = [rows]
        self._indices = indices
        self._sorted = True


class FeatureBank(RowBank):
    """All (n, d) features as float32 on the CPU, in the order of their indices.

    Memory, or disk: 4·d bytes a sample, so 8 KB at 2,048 dimensions.
    """

    dtype = torch.float32

    def __init__(self, width: int) -> None:
        super().__init__(width)
        #: The rows where processes hold them together; this one's own are in ``_spread.held`` then.
        self._spread: Rows | None = None

    def spread(self, peers: Peers) -> FeatureBank | None:
        """The bank of all processes' rows, each of which keeps its own; None if it is small enough to be gathered.

        Rows that do not lie in the order of the processes, or mostly with one, are moved to where they do. All
        processes call it at once.

        Raises:
            StatisticsError: if an index is on two processes, or the widths differ; on all of them.
        """
        own = self.indices()
        widths = [int(width) for width in torch.cat(peers.gather(torch.tensor([self.width])))]
        of_ranks = peers.gather(own)
        counts = [len(indices) for indices in of_ranks]
        limits = torch.cat(peers.gather(torch.tensor([self._limit])))
        if sum(counts) * max(widths) * self.dtype.itemsize <= int(limits.min()):
            return None
        for width in widths:
            check_same("feature width", widths[0], width)
        indices, order = _in_order(torch.cat(of_ranks))
        held, bounds = self.rows(), tuple(sum(counts[:rank]) for rank in range(len(counts) + 1))
        uneven = max(counts) * peers.count > _MOST_UNEVEN * len(indices)
        if uneven or not torch.equal(order, torch.arange(len(order))):
            place = torch.empty_like(order)
            place[order] = torch.arange(len(order))
            held, bounds = _moved(Rows(held, bounds, panel_size((len(order), self.width), 2), peers, False), place)
        bank = FeatureBank(self.width)
        bank._indices, bank.num_samples = indices, len(indices)
        bank._spread = Rows(held, bounds, panel_size((len(indices), self.width), peers.count), peers, False)
        return bank

    def in_panels(self) -> Rows:
        """The rows for metrics that take them in panels, of all processes or of this one."""
        if self._spread is not None:
            return self._spread
        rows = self.rows()
        return Rows.of(rows, panel_size((len(rows), self.width), 1) if self._too_large(len(rows)) else None)

    def rows(self) -> Float[Tensor, "n d"]:
        """All rows by ascending index, (n, d); of a bank that is spread, all processes must ask for them at once."""
        self.collect()
        return super().rows()

    def collect(self, *, here: bool = True) -> None:
        """Have the rows of all processes in this one, if the bank is spread; all of them must call it at once.

        Args:
            here: whether this process is to have them, or only helps others to.
        """
        if self._spread is None or self._rows:
            return
        room = new_rows(len(self._spread), self.width, self.dtype, self._limit) if here else None
        for panel, rows in self._spread.visit():
            if room is not None:
                room[panel.where] = rows
        if room is not None:
            self._rows = [room]

    def state(self) -> dict[str, Tensor]:
        """``rows`` (n, d) and ``indices`` (n,) int64, by ascending index.

        Raises:
            StatisticsError: if the bank is spread over processes and was not collected in this one.
        """
        self._require_whole()
        return super().state()

    def _require_whole(self) -> None:
        if self._spread is not None and not self._rows:
            raise StatisticsError(
                f"the {self.num_samples} feature rows are spread over {self._spread.peers.count} processes; call "
                "collect() in all of them first"
            )


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


def _in_order(indices: Int64[Tensor, " n"]) -> tuple[Int64[Tensor, " n"], Int64[Tensor, " n"]]:
    """Ascending indices, and which each was; none may be there twice."""
    indices, order = indices.sort(stable=True)
    twice = indices[1:][indices[1:] == indices[:-1]]
    if twice.numel():
        raise StatisticsError(
            f"image index {int(twice[0])} occurs more than once ({twice.numel()} repeated in all); "
            "each image must be counted exactly once"
        )
    return indices, order


def _moved(rows: Rows, place: Int64[Tensor, " n"]) -> tuple[Tensor, tuple[int, ...]]:
    """Each process's even share of the rows in the order of their places, and the bounds of the shares."""
    count, peers = len(place), rows.peers
    bounds = tuple(count * rank // peers.count for rank in range(peers.count + 1))
    start, stop = bounds[peers.index], bounds[peers.index + 1]
    held = new_rows(stop - start, rows.width, rows.held.dtype, bank_memory())
    for panel, block in rows.visit():
        at = place[panel.where]
        mine = (at >= start) & (at < stop)
        held[at[mine] - start] = block[mine]
    return held, bounds
