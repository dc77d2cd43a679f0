"""The processes that share a run: who they are, joining them and leaving."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.distributed as dist

from genmetrics.distributed.watch import Watch
from genmetrics.errors import DistributedError, UsageError
from genmetrics.types import Shard

__all__ = ["alone", "current_shard", "is_shared", "join_from_environment", "leave", "local_rank"]

_ALONE: ContextVar[bool] = ContextVar("genmetrics_alone", default=False)


def is_shared() -> bool:
    """Whether other processes take part in this run."""
    return not _ALONE.get() and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


@contextmanager
def alone() -> Iterator[None]:
    """Inside, this process shares its work with no other, whatever process group there is.

    For calls that one rank may make and the others not.
    """
    token = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(token)


def join_from_environment(backend: str) -> bool:
    """Join the processes that ``torchrun`` started, if it did and nobody has yet.

    Args:
        backend: ``nccl`` for CUDA devices, else ``gloo``. Beside NCCL there is always gloo for what is on the CPU.

    Returns:
        Whether this call joined, and ``leave`` is owed.

    Raises:
        DistributedError: if the others cannot be reached.
        UsageError: if the environment does not say who they are.
    """
    if not dist.is_available() or dist.is_initialized() or _number("WORLD_SIZE", 1) < 2:
        return False
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        if not os.environ.get(name):
            raise UsageError(
                f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, and {name} is not set: start the ranks with torchrun, or "
                "set RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT for each, as docs/distributed.md shows"
            )
    if backend == "nccl":
        # More ranks than GPUs are refused where the device is chosen, in words.
        if local_rank() < torch.cuda.device_count():
            torch.cuda.set_device(local_rank())
        backend = "cpu:gloo,cuda:nccl"
    try:
        dist.init_process_group(backend)
    except (dist.DistError, RuntimeError) as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise DistributedError(
            f"rank {os.environ['RANK']} cannot join the others through {where} ({str(error).splitlines()[0]})"
        ) from error
    return True


def leave() -> None:
    """Leave the processes that ``join_from_environment`` joined."""
    if is_shared():
        Watch.of_group(dist.get_rank(), dist.get_world_size()).end()
    dist.destroy_process_group()


def local_rank() -> int:
    """This process's number on its machine."""
    return _number("LOCAL_RANK", 0)


def current_shard() -> Shard:
    """This process's share of every image set."""
    if not is_shared():
        return Shard()
    return Shard(dist.get_rank(), dist.get_world_size())


def _number(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdecimal():
        raise UsageError(f"{name}={text}: expected a whole number, as torchrun sets it")
    return int(text)
