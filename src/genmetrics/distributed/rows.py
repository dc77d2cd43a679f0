"""Exchange of rows that processes hold together; see ``accumulators.rows``, whose ``Peers`` this is.

All exchange of feature rows between processes goes through the three methods here.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from genmetrics.distributed.group import cpu_group, current_shard

__all__ = ["Ranks"]

#: Numbers that are gathered at once where all processes' are added.
_AT_ONCE = 2**20


class Ranks:
    """The processes of this run. Every method is called by all of them at once, with tensors on the CPU."""

    def __init__(self) -> None:
        shard = current_shard()
        self.index, self.count = shard.index, shard.count
        self._group = cpu_group()

    def from_owner(self, values: Tensor, owner: int) -> Tensor:
        """The owner's values, on every process; the others give room of the same shape and type, which is filled.

        Network: each process but the owner receives the values once.
        """
        if values.numel() == 0:
            return values
        values = values.contiguous()
        dist.broadcast(values, owner, group=self._group)
        return values

    def total(self, values: Tensor) -> Tensor:
        """The sum of all processes' values, added in the order of the processes: the same bits on all of them.

        Network: each process receives the values of every other.
        """
        flat = values.detach().cpu().contiguous().view(-1)
        found = torch.empty_like(flat)
        for start in range(0, len(flat), _AT_ONCE):
            part = flat[start : start + _AT_ONCE]
            parts = [torch.empty_like(part) for _ in range(self.count)]
            dist.all_gather(parts, part, group=self._group)
            found[start : start + _AT_ONCE] = parts[0]
            for other in parts[1:]:
                found[start : start + _AT_ONCE] += other
        return found.view(values.shape).to(values.device)

    def gather(self, values: Tensor) -> list[Tensor]:
        """The values of all processes, which may be of unlike lengths, in the order of the processes."""
        own = torch.tensor([len(values)])
        lengths = [torch.empty_like(own) for _ in range(self.count)]
        dist.all_gather(lengths, own, group=self._group)
        found = []
        for owner, length in enumerate(lengths):
            mine = owner == self.index
            shape = (int(length), *values.shape[1:])
            found.append(self.from_owner(values if mine else values.new_empty(shape), owner))
        return found
