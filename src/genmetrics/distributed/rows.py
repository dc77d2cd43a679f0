"""Exchange of rows that processes hold together; see ``accumulators.rows``, whose ``Peers`` this is.

All exchange of feature rows between processes goes through the three methods here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from genmetrics.distributed.group import current_shard
from genmetrics.distributed.shared import over_all_ranks
from genmetrics.distributed.transfer import Link

__all__ = ["Ranks"]

#: Numbers that are gathered at once where all processes' are added.
_AT_ONCE = 2**20


class Ranks:
    """The processes of this run. Every method is called by all of them at once, with tensors on the CPU."""

    def __init__(self) -> None:
        shard = current_shard()
        self.index, self.count = shard.index, shard.count

    def from_owner(self, values: Tensor, owner: int) -> Tensor:
        """The owner's values, on every process; the others give room of the same shape and type, which is filled.

        Network: each process but the owner receives the values once.
        """
        if values.numel() == 0:
            return values
        return over_all_ranks("rows", lambda link: link.broadcast(values, owner), lambda: values)

    def total(self, values: Tensor) -> Tensor:
        """The sum of all processes' values, added in the order of the processes: the same bits on all of them.

        Network: each process receives the values of every other.
        """
        flat = values.detach().cpu().contiguous().view(-1)

        def work(link: Link) -> Tensor:
            found = torch.empty_like(flat)
            for start in range(0, len(flat), _AT_ONCE):
                here = slice(start, start + _AT_ONCE)
                first, *others = link.all_gather(flat[here])
                found[here] = first
                for other in others:
                    found[here] += other
            return found

        return over_all_ranks("sums", work, lambda: flat).view(values.shape).to(values.device)

    def gather(self, values: Tensor) -> list[Tensor]:
        """The values of all processes, which may be of unlike lengths, in the order of the processes."""

        def work(link: Link) -> list[Tensor]:
            lengths = link.all_gather(torch.tensor([len(values)]))
            found = []
            for owner, length in enumerate(lengths):
                mine = owner == self.index
                shape = (int(length), *values.shape[1:])
                found.append(link.broadcast(values if mine else values.new_empty(shape), owner))
            return found

        return over_all_ranks("values", work, lambda: [values])
