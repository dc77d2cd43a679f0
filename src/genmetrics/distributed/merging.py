"""Gather what the ranks have, and merge it in a tree."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from genmetrics.distributed.group import is_shared
from genmetrics.distributed.rows import Ranks
from genmetrics.distributed.shared import over_all_ranks
from genmetrics.distributed.transfer import Link

__all__ = ["Mergeable", "from_first_rank", "gather", "merge_over_ranks"]

Kind = TypeVar("Kind", bound="Mergeable")
Value = TypeVar("Value")


@runtime_checkable
class Mergeable(Protocol):
    """What an accumulator is to this layer: something with a state that can be sent and merged."""

    def merge(self: Kind, other: Kind) -> Kind:
        """Both together, as a new object."""

    def state(self) -> dict[str, Tensor]:
        """Everything that ``from_state`` needs."""

    @classmethod
    def from_state(cls: type[Kind], state: Mapping[str, Tensor]) -> Kind:
        """The object whose state this is."""


@runtime_checkable
class Spreadable(Protocol):
    """What may be too large for one process, so that each keeps its own part."""

    def spread(self, peers: Ranks) -> Mergeable | None:
        """What all processes have together; None if it is small enough to be gathered."""


def gather(value: Value) -> list[Value]:
    """The values of all ranks, in their order, on every rank."""

    def work(link: Link) -> list[Value]:
        held: dict[str, Tensor] = {str(link.rank): _pickled(value)}
        everything = _over_tree(link, held, dict, lambda ours, theirs: {**ours, **theirs})
        return [_unpickled(everything[str(rank)]) for rank in range(link.count)]

    return over_all_ranks("gather", work, lambda: [value])


def from_first_rank(value: Value) -> Value:
    """The first rank's value, on every rank."""

    def work(link: Link) -> Value:
        held: dict[str, Tensor] = {"value": _pickled(value)} if link.rank == 0 else {}
        shared = _over_tree(link, held, dict, lambda ours, theirs: ours)["value"]
        return value if link.rank == 0 else _unpickled(shared)

    return over_all_ranks("from the first rank", work, lambda: value)


def merge_over_ranks(accumulator: Kind) -> Kind:
    """One accumulator of all ranks' samples, the same to the bit on every rank.

    Ranks merge in pairs, lower ranks first: a rank holds its own statistics, those of one other, and what becomes of
    the two. What is too large for that stays spread over them.
    """
    if not is_shared():
        return accumulator
    kind = type(accumulator)
    spread = _spread(accumulator)
    if isinstance(spread, kind):
        return spread

    def work(link: Link) -> Kind:
        merged = _over_tree(
            link, accumulator, lambda held: held.state(), lambda held, state: held.merge(kind.from_state(state))
        )
        return kind.from_state(merged)

    return over_all_ranks(f"merge of {kind.__name__}", work, lambda: accumulator)


def _spread(accumulator: object) -> Mergeable | None:
    return accumulator.spread(Ranks()) if isinstance(accumulator, Spreadable) else None


def _pickled(value: object) -> Tensor:
    return torch.frombuffer(bytearray(pickle.dumps(value)), dtype=torch.uint8)


def _unpickled(sent: Tensor) -> Any:
    """What another process of this run sent; nothing of a file comes here."""
    return pickle.loads(sent.numpy().tobytes())


def _over_tree(
    link: Link,
    held: Value,
    state_of: Callable[[Value], dict[str, Tensor]],
    with_state: Callable[[Value, dict[str, Tensor]], Value],
) -> dict[str, Tensor]:
    """All ranks' states merged in the order of the ranks: up a binomial tree to rank 0, and down again.

    Args:
        link: between the ranks.
        held: what this rank has.
        state_of: what is sent of that.
        with_state: it merged with what another rank sent.
    """
    reach = 1
    while reach < link.count and link.rank % (2 * reach) == 0:
        if link.rank + reach < link.count:
            held = with_state(held, link.receive(link.rank + reach))
        reach *= 2
    state = state_of(held)
    if link.rank:
        link.send(state, link.rank - reach)
        state = link.receive(link.rank - reach)
    while reach > 1:
        reach //= 2
        if link.rank + reach < link.count:
            link.send(state, link.rank + reach)
    return state
