"""Bringing small tensors to a device without stopping the thread that feeds it."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["sent", "staged"]


def sent(values: Tensor, device: torch.device) -> Tensor:
    """A CPU tensor on a device; a CUDA device's current stream has it in order, and the caller goes on at once.

    A plain ``to`` from ordinary memory would wait until the device has done everything launched so far.

    Args:
        values: on the CPU, in memory of any kind; they may be changed as soon as this returns.
        device: where to.

    Source: the notes on CUDA semantics in PyTorch's documentation, use of page-locked memory: the block that the copy
    comes from is not handed out again before the copy is over.
    """
    if device.type != "cuda":
        return values.to(device)
    return staged(values).to(device, non_blocking=True)


def staged(values: Tensor) -> Tensor:
    """A copy in a page-locked block of torch's own.

    ``pin_memory`` would give values that are in such memory already back as they are, and a copy to the device would
    then read what the caller has changed meanwhile.

    Args:
        values: on the CPU.
    """
    return torch.empty_like(values, pin_memory=True).copy_(values)
