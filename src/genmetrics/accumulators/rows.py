"""The rows of a set in panels, whoever holds them: what metrics of single samples are computed from.

A bank that is too large for one process stays spread over the processes that made it. A metric then goes over the
panels of all processes, which come by one after the other, and does what there is to do with the panels that are its
own. With one process everything is its own, and what fits into memory is one panel: it is the same code.

Every process must go through every loop over panels to its end and make the same calls in the same order, since all of
them take part in each exchange.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

__all__ = ["Alone", "Panel", "Peers", "Rows", "pairs_between", "panel_size"]

#: How much memory a panel may take.
PANEL_BYTES = 2**27
#: Into how many panels a process's share is cut at least, so that pairs of panels are shared out evenly.
_PANELS_EACH = 4
_ROWS_AT_ONCE = 1024


@runtime_checkable
class Peers(Protocol):
    """The processes that hold rows together; every method is called by all of them at once."""

    index: int
    count: int

    def from_owner(self, values: Tensor, owner: int) -> Tensor:
        """The owner's values, on every process; the others give room of the same shape and type, which is filled."""

    def total(self, values: Tensor) -> Tensor:
        """The sum of all processes' values, added in the order of the processes, the same on all."""

    def gather(self, values: Tensor) -> list[Tensor]:
        """The values of all processes, which may be of unlike lengths, in the order of the processes."""


class Alone:
    """One process, which holds everything."""

    index, count = 0, 1

    def from_owner(self, values: Tensor, owner: int) -> Tensor:
        """What it has."""
        return values

    def total(self, values: Tensor) -> Tensor:
        """Its own."""
        return values

    def gather(self, values: Tensor) -> list[Tensor]:
        """Its own."""
        return [values]


@dataclass(frozen=True)
class Panel:
    """A run of rows of one process.

    Attributes:
        number: its place among all panels.
        where: its rows, counted over the whole set.
        owner: the process that does what there is to do with it.
    """

    number: int
    where: slice
    owner: int

    def __len__(self) -> int:
        return int(self.where.stop - self.where.start)


@dataclass(frozen=True)
class Rows:
    """The (n, d) rows of a set, of which this process may hold a part.

    Attributes:
        held: (h, d), those that this process holds, by ascending index.
        bounds: process r holds the rows from ``bounds[r]`` to ``bounds[r + 1]``.
        most: rows of a panel at most.
        peers: who holds the others.
        everywhere: whether every process holds all rows, and the bounds only say who works on which.
    """

    held: Float[Tensor, "h d"]
    bounds: tuple[int, ...]
    most: int
    peers: Peers = field(default_factory=Alone)
    everywhere: bool = True

    @classmethod
    def of(cls, rows: Float[Tensor, "n d"] | Rows, most: int | None = None) -> Rows:
        """Rows that one process holds, as one panel unless told otherwise."""
        return rows if isinstance(rows, Rows) else cls(rows, (0, len(rows)), most or max(1, len(rows)))

    @property
    def width(self) -> int:
        """The width of a row."""
        return self.held.shape[1]

    @property
    def shape(self) -> tuple[int, int]:
        """Of all rows."""
        return len(self), self.width

    def __len__(self) -> int:
        return self.bounds[-1]

    @property
    def whole(self) -> bool:
        """Whether one panel of one process is all there is."""
        return self.peers.count == 1 and len(self) <= self.most

    @property
    def panels(self) -> list[Panel]:
        """All panels in the order of their rows."""
        panels: list[Panel] = []
        for owner, (start, stop) in enumerate(zip(self.bounds, self.bounds[1:], strict=False)):
            for begin in range(start, stop, self.most):
                panels.append(Panel(len(panels), slice(begin, min(begin + self.most, stop)), owner))
        return panels

    @property
    def own(self) -> list[Panel]:
        """The panels of this process."""
        return [panel for panel in self.panels if panel.owner == self.peers.index]

    def read(self, panel: Panel) -> Float[Tensor, "p d"]:
        """The rows of a panel that this process holds."""
        first = 0 if self.everywhere else self.bounds[self.peers.index]
        return self.held[panel.where.start - first : panel.where.stop - first]

    def visit(self) -> Iterator[tuple[Panel, Float[Tensor, "p d"]]]:
        """All panels, which come by one after the other, with their rows; the rows are overwritten by the next."""
        room = self.held.new_empty((0, self.width))
        for panel in self.panels:
            if self.everywhere or panel.owner == self.peers.index:
                rows = self.read(panel)
            else:
                if len(room) < len(panel):
                    room = self.held.new_empty((len(panel), self.width))
                rows = room[: len(panel)]
            yield panel, rows if self.everywhere else self.peers.from_owner(rows, panel.owner)

    def pairs(self) -> Iterator[tuple[Panel, Tensor, Panel, Tensor]]:
        """The pairs of panels of the set that are this process's to work on, each pair once and each panel with itself.

        The first of a pair is its own, the second comes by.
        """
        count, own = len(self.panels), self.own
        for there, visiting in self.visit():
            for here in own:
                if _works_on(here.number, there.number, count):
                    yield here, visiting if here == there else self.read(here), there, visiting

    def of_each(self, function: Callable[[Tensor], Tensor], like: Tensor) -> Tensor:
        """A figure of each row, or several, on every process.

        Args:
            function: from some rows to as many figures; of a spread set it must not depend on which others there are.
            like: an empty tensor of the figures' type and device, (0, ...).
        """
        found = like.new_zeros((len(self), *like.shape[1:]))
        for panel in self.own:
            for rows, part in zip(
                torch.split(self.read(panel), _ROWS_AT_ONCE),
                torch.split(found[panel.where], _ROWS_AT_ONCE),
                strict=True,
            ):
                part.copy_(function(rows))
        return self.peers.total(found)

    def take(self, places: Int64[Tensor, " m"]) -> Float[Tensor, "m d"]:
        """Some of the rows, on every process; all must ask for the same."""
        places = places.cpu()
        if self.everywhere:
            return self.held[places]
        found = self.held.new_empty((len(places), self.width))
        for owner, (start, stop) in enumerate(zip(self.bounds, self.bounds[1:], strict=False)):
            at = ((places >= start) & (places < stop)).nonzero().squeeze(1)
            if len(at):
                mine = owner == self.peers.index
                rows = self.held[places[at] - start] if mine else self.held.new_empty((len(at), self.width))
                found[at] = self.peers.from_owner(rows, owner)
        return found

    def only(self, places: Int64[Tensor, " m"]) -> Rows:
        """Some of the rows as a set of their own; every process keeps what it holds of them.

        Args:
            places: ascending, the same on every process.
        """
        places = places.cpu()
        bounds = tuple(int(bound) for bound in torch.searchsorted(places, torch.tensor(self.bounds)))
        if self.everywhere:
            return replace(self, held=self.held[places], bounds=bounds)
        start, stop = bounds[self.peers.index], bounds[self.peers.index + 1]
        held = self.held[places[start:stop] - self.bounds[self.peers.index]]
        return replace(self, held=held, bounds=bounds)

    def shared_with(self, other: Rows) -> Rows:
        """Rows that every process holds, of which each works on its share, if the other side is spread."""
        if self.peers.count > 1 or other.peers.count == 1:
            return self
        count = other.peers.count
        bounds = tuple(len(self) * rank // count for rank in range(count + 1))
        return replace(self, bounds=bounds, most=panel_size(self.shape, count), peers=other.peers)


def pairs_between(a: Rows, b: Rows) -> Iterator[tuple[Panel, Tensor, Panel, Tensor]]:
    """The pairs of panels of two sets that are this process's to work on: those of its panels of the first set."""
    own = a.own
    for there, visiting in b.visit():
        for here in own:
            yield here, a.read(here), there, visiting


def panel_size(shape: tuple[int, int], processes: int) -> int:
    """How many rows make a panel, of sets that are spread or too large for memory."""
    count, width = shape
    fits = max(1, PANEL_BYTES // (4 * max(1, width)))
    return fits if processes == 1 else max(1, min(fits, -(-count // (processes * _PANELS_EACH))))


def _works_on(here: int, there: int, count: int) -> bool:
    """Whether the owner of the first works on the pair: of all panels in a ring each takes half of the others."""
    ahead = (there - here) % count
    if 2 * ahead == count:  # opposite each other
        return (here if here < there else there) % 2 == (0 if here < there else 1)
    return 2 * ahead < count
