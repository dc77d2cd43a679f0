"""The processes that share a run: who they are, joining them and leaving."""

from __future__ import annotations

import os

import torch
import torch.distributed as dist

from genmetrics.types import Shard

__all__ = ["cpu_group", "current_shard", "is_shared", "join_from_environment", "leave", "local_rank"]


def is_shared() -> bool:
    """Whether other processes take part in this run."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


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


def cpu_group() -> dist.ProcessGroup:
    """The processes as a group that exchanges tensors on the CPU; all of them call it at once."""
    default = dist.group.WORLD
    assert default is not None
    return default if dist.get_backend() == "gloo" else dist.new_group(backend="gloo")


def current_shard() -> Shard:
    """This process's share of every image set."""
    if not is_shared():
        return Shard()
    return Shard(dist.get_rank(), dist.get_world_size())
