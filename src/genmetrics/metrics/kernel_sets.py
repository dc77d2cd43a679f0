"""Whole sets about their common centre, whoever holds the rows: panel by panel what ``kernel_centred`` does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from genmetrics.accumulators.rows import Panel, Peers, Rows, pairs_between
from genmetrics.metrics.kernel_centred import (
    CentredRows,
    Moments,
    centred_rows,
    few_rows,
    smooth_diagonal,
    smooth_row_sums,
    subset_moments,
)

__all__ = ["CentredSet", "Heights", "Pair", "centred_sets", "pairs_of_sets"]


@runtime_checkable
class Heights(Protocol):
    """Rows about a centre, all here or not, of which some can be had."""

    @property
    def height(self) -> Tensor:
        """(n,) float64, h of ``kernel_centred``."""

    @property
    def length(self) -> Tensor:
        """(n,) float64, |u|²/d."""

    @property
    def width(self) -> int:
        """Of a row."""

    def take(self, places: Int64[Tensor, " m"]) -> CentredRows:
        """Some of the rows; all processes must ask for the same."""


@dataclass(frozen=True)
class Pair:
    """Two panels of which this process is to compute all pairs of samples.

    Attributes:
        here: where the rows of the first are in their set.
        there: where those of the second are in theirs.
        a: the first.
        b: the second; the same object for pairs within a panel.
    """

    here: slice
    there: slice
    a: CentredRows
    b: CentredRows


@dataclass(frozen=True)
class CentredSet:
    """A set about a centre.

    Attributes:
        rows: of all processes.
        centre: (d,) float64.
        height: (n,) float64, of all samples.
        length: (n,) float64.
        whole: all of the set's rows, where one process holds them as one panel.
    """

    rows: Rows
    centre: Tensor
    height: Tensor
    length: Tensor
    whole: CentredRows | None

    @property
    def width(self) -> int:
        """Of a row."""
        return self.rows.width

    @property
    def device(self) -> torch.device:
        """Where pairs are computed."""
        return self.centre.device

    @property
    def peers(self) -> Peers:
        """Who holds the rows."""
        return self.rows.peers

    @property
    def diagonal(self) -> Float64[Tensor, " n"]:
        """The smooth part of the kernel of each sample with itself."""
        return smooth_diagonal(self.height, self.length)

    def panel(self, panel: Panel, rows: Tensor) -> CentredRows:
        """A panel about the centre."""
        if self.whole is not None:
            return self.whole
        return centred_rows(rows, self.centre, self.height[panel.where], self.length[panel.where])

    def pairs(self) -> Iterator[Pair]:
        """The pairs of panels that are this process's to work on."""
        for here, x, there, y in self.rows.pairs():
            a = self.panel(here, x)
            yield Pair(here.where, there.where, a, a if here == there else self.panel(there, y))

    def take(self, places: Int64[Tensor, " m"]) -> CentredRows:
        """Some of the rows, on every process; all must ask for the same."""
        if self.whole is not None:
            return self.whole.take(places)
        on_device = places.to(self.device)
        return centred_rows(self.rows.take(places), self.centre, self.height[on_device], self.length[on_device])

    def moments(self, subsets: Int64[Tensor, "subsets size"] | None = None) -> Moments:
        """What the smooth part of the kernel takes of each subset, None for one of all; see ``subset_moments``."""
        count = 1 if subsets is None else len(subsets)
        shapes: tuple[tuple[int, ...], ...] = ((count, 4), (count, 3, self.width), (count,))
        sums = [torch.zeros(shape, dtype=torch.float64, device=self.device) for shape in shapes]
        for panel in self.rows.own:
            found = subset_moments(self.panel(panel, self.rows.read(panel)), subsets, panel.where.start)
            for number, part in enumerate((found.heights, found.rows, found.diagonal)):
                sums[number] += part
        return Moments(*map(self.peers.total, sums))

    def smooth_row_sums(self, others: Sequence[Moments]) -> list[Float64[Tensor, " n"]]:
        """See ``kernel_centred.smooth_row_sums``."""
        sums = torch.zeros((len(others), len(self.rows)), dtype=torch.float64, device=self.device)
        for panel in self.rows.own:
            found = smooth_row_sums(self.panel(panel, self.rows.read(panel)), others)
            sums[:, panel.where] = torch.stack(found)
        return list(self.peers.total(sums))


def centred_sets(gen: Rows, ref: Rows, device: torch.device) -> tuple[CentredSet, CentredSet]:
    """Both sets about the mean of all their samples.

    Args:
        gen: (n, d) float32.
        ref: (m, d) float32; where either is spread over processes, both are worked on by all of them.
        device: where to compute, with float64.
    """
    gen, ref = gen.shared_with(ref), ref.shared_with(gen)
    total = torch.zeros(gen.width, dtype=torch.float64, device=device)
    for side in (gen, ref):
        for panel in side.own:
            rows = side.read(panel)
            for here in few_rows(len(rows)):
                total += rows[here].to(device, torch.float64).sum(dim=0)
    centre = gen.peers.total(total) / (len(gen) + len(ref))
    return _about(gen, centre), _about(ref, centre)


def pairs_of_sets(gen: CentredSet, ref: CentredSet) -> Iterator[Pair]:
    """The pairs of panels of two sets that are this process's to work on."""
    for here, x, there, y in pairs_between(gen.rows, ref.rows):
        yield Pair(here.where, there.where, gen.panel(here, x), ref.panel(there, y))


def _about(rows: Rows, centre: Tensor) -> CentredSet:
    both = torch.zeros((2, len(rows)), dtype=torch.float64, device=centre.device)
    found = None
    for panel in rows.own:
        found = centred_rows(rows.read(panel), centre)
        both[0, panel.where], both[1, panel.where] = found.height, found.length
    height, length = rows.peers.total(both)
    return CentredSet(rows, centre, height, length, found if rows.whole else None)
