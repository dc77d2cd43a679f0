"""The k smallest figures of every row, from tiles of lower bounds, as float64 would find them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

from genmetrics.accumulators.rows import Peers
from genmetrics.metrics.neighbour_spaces import Space

__all__ = ["Best", "Nearest", "rounded_up"]

#: How many candidates beyond the k asked for are carried along; ties beyond them are looked for once more.
_SPARE = 4
#: In place of a row's number where nothing was found yet; it comes after every other.
_NOWHERE = 2**62
_ROWS_AT_ONCE = 2**16


class Nearest:
    """Collects the candidates of every row while tiles go by, then settles them in float64.

    Args:
        space: whose figures they are.
        count: how many to find in each row, at most the number of columns (without the row itself).
        block: columns at a time where ties have to be looked for again.
    """

    def __init__(self, space: Space, count: int, block: int) -> None:
        self.space, self.count, self._block = space, count, block
        # Where ties are looked for, most of a tile may have to be decided: fewer rows at a time.
        self._rows_again = max(1, block // 8)
        #: Which rows may have more columns as near as the last of theirs; once settled.
        self.tied = torch.zeros(space.num_rows, dtype=torch.bool, device=space.device)
        keep = min(count + _SPARE, space.num_columns)
        self._lower = torch.full((space.num_rows, keep), torch.inf, dtype=torch.float32, device=space.device)
        self._index = torch.zeros((space.num_rows, keep), dtype=torch.int64, device=space.device)

    def offer(self, rows: slice, columns: slice, tile: Float32[Tensor, "r c"]) -> None:
        """Take from a tile of lower bounds what may be among the smallest."""
        keep = self._lower.shape[1]
        values, at = tile.topk(min(keep, tile.shape[1]), dim=1, largest=False, sorted=False)
        values = torch.cat((self._lower[rows], values), dim=1)
        index = torch.cat((self._index[rows], at + columns.start), dim=1)
        self._lower[rows], order = values.topk(keep, dim=1, largest=False, sorted=True)
        self._index[rows] = index.gather(1, order)

    def settle(self) -> tuple[Float64[Tensor, "n k"], Int64[Tensor, "n k"]]:
        """The figures in ascending order and their columns; of equal figures the earlier column comes first."""
        lower, index, k = self._lower.to(torch.float64), self._index, self.count
        row = torch.arange(len(lower), device=lower.device)[:, None].expand_as(index)
        upper = lower + self.space.slack(row, index)
        # The k-th smallest figure is at most this; what lies above it for sure is out.
        bar = upper.kthvalue(k, dim=1, keepdim=True).values
        wanted = lower <= bar
        figures = torch.full_like(lower, torch.inf)
        figures[wanted] = self.space.exact(row[wanted], index[wanted])
        figures, index = _in_order(figures, index)
        tied = torch.zeros(len(figures), dtype=torch.bool, device=figures.device)
        if figures.shape[1] > k:
            tied = (figures[:, k] == figures[:, k - 1]) & figures[:, k].isfinite()
        figures, index = figures[:, :k].contiguous(), index[:, :k].contiguous()
        if lower.shape[1] < self.space.num_columns - int(self.space.same):
            beyond = (lower[:, -1:] <= bar).squeeze(1)
            tied |= beyond
            # More than were carried along may be as near as the k-th; but nothing is nearer than zero.
            again = (beyond & (figures[:, -1] > 0)).nonzero().squeeze(1)
            for rows in torch.split(again, self._rows_again) if len(again) else ():
                figures[rows], index[rows] = self._search_again(rows, figures[rows, -1])
        self.tied = tied
        return figures, index

    def within(self, rows: Int64[Tensor, " r"], bar: Float64[Tensor, " r"]) -> Iterator[Int64[Tensor, " pairs"]]:
        """The columns whose figure in one of the rows is at most that row's ``bar``, once for each such row."""
        for number in range(0, len(rows), self._rows_again):
            these, bars = rows[number : number + self._rows_again], bar[number : number + self._rows_again]
            for at, column, figures in self._near(these, bars):
                yield column[figures <= bars[at]]

    def _search_again(self, rows: Tensor, bar: Tensor) -> tuple[Tensor, Tensor]:
        """Everything of these rows that may be as small as ``bar``, decided in float64."""
        best = torch.full((len(rows), self.count), torch.inf, dtype=torch.float64, device=rows.device)
        index = torch.zeros((len(rows), self.count), dtype=torch.int64, device=rows.device)
        for at, column, figures in self._near(rows, bar):
            best, index = _merged(best, index, at, column, figures)
        return best, index

    def _near(self, rows: Tensor, bar: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Block by block the pairs that may be as near as ``bar``, as numbers of ``rows`` and of columns, exactly."""
        above = rounded_up(bar)[:, None]
        for start in range(0, self.space.num_columns, self._block):
            columns = slice(start, min(start + self._block, self.space.num_columns))
            at, column = (self.space.tile(rows, columns) <= above).nonzero(as_tuple=True)
            column = column + start
            if self.space.same:
                other = rows[at] != column
                at, column = at[other], column[other]
            yield at, column, self.space.exact(rows[at], column)


class Best:
    """The smallest figures of every row of a set, of those found among the rows of one panel after the other."""

    def __init__(self, num_rows: int, count: int, device: torch.device) -> None:
        self._figures = torch.full((num_rows, count), torch.inf, dtype=torch.float64, device=device)
        self._index = torch.full((num_rows, count), _NOWHERE, dtype=torch.int64, device=device)

    def offer(self, rows: slice, search: Nearest, start: int) -> None:
        """Take what was found for some rows in a panel whose first row is the set's row ``start``."""
        figures, index = search.settle()
        self._take(rows, figures, index + start)

    def settle(self, peers: Peers) -> tuple[Float64[Tensor, "n k"], Int64[Tensor, "n k"]]:
        """Of all processes: the figures in ascending order and where they are from, equal ones in that order."""
        if peers.count > 1:
            for start in range(0, len(self._figures), _ROWS_AT_ONCE):
                rows = slice(start, start + _ROWS_AT_ONCE)
                found = [peers.gather(held[rows].to("cpu", copy=True)) for held in (self._figures, self._index)]
                self._figures[rows], self._index[rows] = torch.inf, _NOWHERE
                for figures, index in zip(*found, strict=True):
                    self._take(rows, figures.to(self._figures), index.to(self._index))
        return self._figures, self._index

    def _take(self, rows: slice, figures: Tensor, index: Tensor) -> None:
        both = torch.cat((self._figures[rows], figures), dim=1), torch.cat((self._index[rows], index), dim=1)
        figures, index = _in_order(*both)
        count = self._figures.shape[1]
        self._figures[rows], self._index[rows] = figures[:, :count], index[:, :count]


def rounded_up(values: Tensor) -> Tensor:
    """As float32, never smaller."""
    return torch.nextafter(values.to(torch.float32), torch.tensor(torch.inf, device=values.device))


def _in_order(figures: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Each row by ascending figure, then by ascending column."""
    index, order = index.sort(dim=1)
    figures, by_size = figures.gather(1, order).sort(dim=1, stable=True)
    return figures, index.gather(1, by_size)


def _merged(best: Tensor, index: Tensor, at: Tensor, column: Tensor, figures: Tensor) -> tuple[Tensor, Tensor]:
    """The smallest of each row after pairs (row ``at``, ``column``) with their figures have come."""
    count = best.shape[1]
    at = torch.cat((torch.arange(len(best), device=at.device).repeat_interleave(count), at))
    column, figures = torch.cat((index.flatten(), column)), torch.cat((best.flatten(), figures))
    # Stable sorts, the least significant key first.
    order = column.argsort(stable=True)
    order = order[figures[order].argsort(stable=True)]
    order = order[at[order].argsort(stable=True)]
    at, column, figures = at[order], column[order], figures[order]
    first = torch.searchsorted(at, torch.arange(len(best), device=at.device))
    chosen = first[:, None] + torch.arange(count, device=at.device)
    return figures[chosen], column[chosen]
