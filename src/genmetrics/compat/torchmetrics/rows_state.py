"""Rows of features in lists of tensors, torchmetrics' kind of state, brought together so that no process waits.

torchmetrics gathers such a list tensor by tensor: processes with unlike numbers of batches make unlike numbers of
collective calls, and hang or pair up the wrong tensors. Here each process has one tensor when states are gathered, of
no rows if nothing came, and of a type that they have agreed on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

__all__ = ["TYPES", "Gather", "Header", "agreed", "gathering_on", "header", "joined", "permutation"]

#: torchmetrics' ``dist_sync_fn``: a tensor and a group to the tensors of all processes, in their order.
Gather = Callable[..., list[Tensor]]
#: What processes tell each other before states are gathered: a seed, and of each state the place of its type below.
Header = Tensor

#: Types that features may have, from narrow to wide.
TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_NONE = -1


def joined(parts: Sequence[Tensor]) -> Float[Tensor, "n d"]:
    """The rows of all parts in one tensor; (0, 0) where there are none."""
    filled = [part for part in parts if part.shape[0] > 0]
    if not filled:
        return torch.zeros((0, 0))
    return filled[0] if len(filled) == 1 else torch.cat(filled)


def header(states: Sequence[Tensor], device: torch.device) -> Header:
    """What this process has to tell; the seed is of torch's generator."""
    types = [TYPES.index(rows.dtype) if len(rows) else _NONE for rows in states]
    seed = int(torch.randint(2**62, (1,), device="cpu"))
    return torch.tensor([seed, *types], dtype=torch.int64, device=device)


def agreed(headers: Sequence[Header]) -> tuple[int, list[torch.dtype]]:
    """The first process's seed, and of each state the type that holds what all processes have."""
    told = torch.stack(list(headers)).cpu()
    types = []
    for column in told[:, 1:].T.tolist():
        known = [TYPES[number] for number in column if number != _NONE]
        types.append(reduce(torch.promote_types, known) if known else torch.float32)
    return int(told[0, 0]), types


def gathering_on(device: torch.device, gather: Gather) -> Gather:
    """The same through a device that processes can talk from; what comes back is where the values were."""

    def gathered(values: Tensor, group: Any = None) -> list[Tensor]:
        return [part.to(values.device) for part in gather(values.to(device), group=group)]

    return gathered


def permutation(count: int, draws: torch.Generator | None) -> Int64[Tensor, " n"]:
    """A random order, on the CPU.

    Args:
        count: of what.
        draws: what it comes from; None is torch's own generator, drawn from as torchmetrics does.
    """
    if draws is None:
        return torch.randperm(count).cpu()
    return torch.randperm(count, generator=draws, device="cpu")
