"""Counting which samples of one set lie in the balls about the other's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

from genmetrics.metrics.neighbour_search import rounded_up
from genmetrics.metrics.neighbour_spaces import Distances

__all__ = ["BallCounter", "Radii"]

_PAIRS_AT_ONCE = 2**20


@dataclass(frozen=True)
class Radii:
    """Balls about every sample of one set.

    Attributes:
        of_columns: whether the balls are about the columns of a tile, else about its rows.
        squared: (n,) float64 squared radii, scaled as the distances.
        inclusive: whether the surface belongs to the ball.
    """

    of_columns: bool
    squared: Float64[Tensor, " n"]
    inclusive: bool


class BallCounter:
    """Takes tiles and counts, for several sets of balls at once.

    A tile is compared once with the largest radius at each row and column. The few pairs that may be inside are then
    told apart one by one, those within the error of a radius in float64.
    """

    def __init__(self, distances: Distances, radii: Sequence[Radii]) -> None:
        self._distances, self._radii = distances, radii
        counts = (distances.num_rows, distances.num_columns)
        self._bars = [
            _largest([each.squared for each in radii if each.of_columns is of_columns]) for of_columns in (False, True)
        ]
        self._per_row, self._per_column = (
            [torch.zeros(count, dtype=torch.int64, device=distances.device) for _ in radii] for count in counts
        )

    def take(self, rows: slice, columns: slice, tile: Float32[Tensor, "r c"]) -> None:
        """Count a tile of lower bounds."""
        near = self._near(rows, columns, tile)
        if near is None:
            return
        for part in _parts(near):
            at, beside = near[part].nonzero(as_tuple=True)
            lower = tile[part][at, beside].to(torch.float64)
            self._count(at + (rows.start + part.start), beside + columns.start, lower)

    def _count(self, i: Tensor, j: Tensor, lower: Tensor) -> None:
        """Tell pairs apart of which the lower bounds are given."""
        upper = lower + self._distances.slack(i, j)
        bars = [each.squared[j if each.of_columns else i] for each in self._radii]
        doubtful = torch.zeros_like(lower, dtype=torch.bool)
        for bar in bars:
            doubtful |= (lower <= bar) & (bar <= upper)
        upper[doubtful] = self._distances.exact(i[doubtful], j[doubtful])
        for number, (each, bar) in enumerate(zip(self._radii, bars, strict=True)):
            inside = upper <= bar if each.inclusive else upper < bar
            self._per_row[number] += torch.bincount(i[inside], minlength=self._distances.num_rows)
            self._per_column[number] += torch.bincount(j[inside], minlength=self._distances.num_columns)

    def counts(self) -> list[tuple[Int64[Tensor, " others"], Int64[Tensor, " balls"]]]:
        """Of each set of balls: how many each other sample is in, and how many other samples each holds."""
        return [
            (row.cpu(), column.cpu()) if each.of_columns else (column.cpu(), row.cpu())
            for each, row, column in zip(self._radii, self._per_row, self._per_column, strict=True)
        ]

    def _near(self, rows: slice, columns: slice, tile: Tensor) -> Tensor | None:
        of_rows, of_columns = self._bars
        near = None if of_columns is None else tile <= of_columns[columns]
        if of_rows is None:
            return near
        of_row = tile <= of_rows[rows, None]
        return of_row if near is None else near.logical_or_(of_row)


def _parts(near: Tensor) -> Iterator[slice]:
    """Rows at a time that have no more near pairs than are told apart at once; a single row may have more."""
    until = near.sum(dim=1).cumsum(dim=0)
    start = 0
    while start < len(near):
        told = int(until[start - 1]) if start else 0
        stop = max(start + 1, int(torch.searchsorted(until, told + _PAIRS_AT_ONCE, right=True)))
        yield slice(start, stop)
        start = stop


def _largest(squared: Sequence[Tensor]) -> Tensor | None:
    """The largest radius of each sample in float32, never smaller than it is."""
    if not squared:
        return None
    return rounded_up(torch.stack(list(squared)).amax(dim=0))
