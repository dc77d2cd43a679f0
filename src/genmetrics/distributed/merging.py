"""Gather what the ranks have, and merge it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar, runtime_checkable

import torch.distributed as dist
from torch import Tensor

from genmetrics.distributed.group import is_shared
from genmetrics.distributed.rows import Ranks

__all__ = ["Mergeable", "gather", "merge_over_ranks"]

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
    if not is_shared():
        return [value]
    values: list[Value | None] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return [entry for entry in values if entry is not None]


def merge_over_ranks(accumulator: Kind) -> Kind:
    """One accumulator of all ranks' samples, the same on every rank."""
    if not is_shared():
        return accumulator
    spread = _spread(accumulator)
    if isinstance(spread, type(accumulator)):
        return spread
    first, *rest = (type(accumulator).from_state(state) for state in gather(accumulator.state()))
    for other in rest:
        first = first.merge(other)
    return first


def _spread(accumulator: object) -> Mergeable | None:
    return accumulator.spread(Ranks()) if isinstance(accumulator, Spreadable) else None
