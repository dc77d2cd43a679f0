"""The k smallest figures of every row, from tiles of lower bounds, as float64 would find them."""

from __future__ import annotations

import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

from genmetrics.metrics.neighbour_spaces import Space

__all__ = ["Nearest", "rounded_up"]

#: How many candidates beyond the k asked for are carried along; ties beyond them are looked for once more.
_SPARE = 4


class Nearest:
    """Collects the candidates of every row while tiles go by, then settles them in float64.

    Args:
        space: whose figures they are.
        count: how many to find in each row, at most the number of columns (without the row itself).
        block: columns at a time where ties have to be looked for again.
    """

    def __init__(self, space: Space, count: int, block: int) -> None:
        self.space, self.count, self._block = space, count, block
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
        figures, index = figures[:, :k].contiguous(), index[:, :k].contiguous()
        # Zero is the least there is. Otherwise more than were carried along may be as near as the k-th.
        again = ((lower[:, -1:] <= bar) & (figures[:, -1:] > 0)).squeeze(1)
        if lower.shape[1] < self.space.num_columns - int(self.space.same) and bool(again.any()):
            for rows in torch.split(again.nonzero().squeeze(1), self._block):
                figures[rows], index[rows] = self._search_again(rows, figures[rows, -1])
        return figures, index

    def _search_again(self, rows: Tensor, bar: Tensor) -> tuple[Tensor, Tensor]:
        """Everything of these rows that may be as small as ``bar``, decided in float64."""
        above = rounded_up(bar)[:, None]
        best = torch.full((len(rows), self.count), torch.inf, dtype=torch.float64, device=rows.device)
        index = torch.zeros((len(rows), self.count), dtype=torch.int64, device=rows.device)
        for start in range(0, self.space.num_columns, self._block):
            columns = slice(start, min(start + self._block, self.space.num_columns))
            at, column = (self.space.tile(rows, columns) <= above).nonzero(as_tuple=True)
            column = column + start
            if self.space.same:
                other = rows[at] != column
                at, column = at[other], column[other]
            figures = self.space.exact(rows[at], column)
            best, index = _merged(best, index, at, column, figures)
        return best, index


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
