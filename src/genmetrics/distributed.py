"""The only place that talks to other processes: gather states, then merge them.

Every function is the identity where torch.distributed is not running, so that callers need not ask.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Protocol, TypeVar, runtime_checkable

import torch
import torch.distributed as dist
from torch import Tensor

from genmetrics.types import Shard

__all__ = ["current_shard", "gather", "join_from_environment", "leave", "local_rank", "merge_over_ranks"]

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


def join_from_environment(backend: str) -> bool:
    """Join the processes that ``torchrun`` started, if it did and nobody has yet.

    Args:
        backend: ``nccl`` for CUDA devices, else ``gloo``.

    Returns:
        Whether this call joined, and ``leave`` is owed.
    """
    if not dist.is_available() or dist.is_initialized() or int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return False
    if backend == "nccl":
        torch.cuda.set_device(local_rank())
    dist.init_process_group(backend)
    return True


def leave() -> None:
    """Leave the processes that ``join_from_environment`` joined."""
    dist.destroy_process_group()


def local_rank() -> int:
    """This process's number on its machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def current_shard() -> Shard:
    """This process's share of every image set."""
    if not _running():
        return Shard()
    return Shard(dist.get_rank(), dist.get_world_size())


def gather(value: Value) -> list[Value]:
    """The values of all ranks, in their order, on every rank."""
    if not _running():
        return [value]
    values: list[Value | None] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return [entry for entry in values if entry is not None]


def merge_over_ranks(accumulator: Kind) -> Kind:
    """One accumulator of all ranks' samples, the same on every rank."""
    if not _running():
        return accumulator
    first, *rest = (type(accumulator).from_state(state) for state in gather(accumulator.state()))
    for other in rest:
        first = first.merge(other)
    return first


def _running() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
