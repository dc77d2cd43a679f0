"""Tensors from one rank to another: the only place where bytes of statistics go over the network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import distributed_c10d

__all__ = ["Link", "LinkBroken", "Traffic", "exchange_group"]

_NAME = "genmetrics"
#: A rank that does not answer is found by the signs of life that it does not give; a transfer may take its time.
_PATIENCE = timedelta(days=7)


class LinkBroken(Exception):
    """The other end of a connection is gone; why is not known here."""


@dataclass
class Traffic:
    """How many bytes this process has sent to other ranks and received from them."""

    sent: int = 0
    received: int = 0


def exchange_group() -> dist.ProcessGroup:
    """The group of all ranks that exchanges tensors on the CPU, made now if there is none.

    The process group that a training script made may be NCCL's, which moves no CPU tensors, and has its own timeout
    and collectives under way.
    """
    for group in distributed_c10d._world.pg_map:
        if group.group_desc == _NAME:
            return group
    made: dist.ProcessGroup = dist.new_group(backend="gloo", timeout=_PATIENCE, group_desc=_NAME)
    return made


class Link:
    """Sends named tensors between the ranks, in one exchange that all take part in."""

    def __init__(self, rank: int, count: int, tag: int, traffic: Traffic) -> None:
        """Take a tag that no other exchange has, so that what a broken one left behind is nobody else's."""
        self.rank = rank
        self.count = count
        self._tag = tag
        self._traffic = traffic
        with _breaking():
            self._group = exchange_group()

    def send(self, tensors: Mapping[str, Tensor], to: int) -> None:
        """Send tensors on the CPU, as they are."""
        fields = [
            [name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape)] for name, tensor in tensors.items()
        ]
        header = torch.frombuffer(bytearray(json.dumps(fields).encode()), dtype=torch.uint8)
        self._send(torch.tensor([len(header)]), to)
        self._send(header, to)
        for tensor in tensors.values():
            if tensor.numel():
                self._send(tensor.detach().contiguous().reshape(-1).view(torch.uint8), to)

    def receive(self, origin: int) -> dict[str, Tensor]:
        """What that rank sends."""
        length = torch.zeros(1, dtype=torch.int64)
        self._receive(length, origin)
        header = torch.empty(int(length), dtype=torch.uint8)
        self._receive(header, origin)
        tensors: dict[str, Tensor] = {}
        for name, dtype, shape in json.loads(bytes(header.numpy())):
            tensors[name] = torch.empty(shape, dtype=getattr(torch, dtype))
            if tensors[name].numel():
                self._receive(tensors[name].reshape(-1).view(torch.uint8), origin)
        return tensors

    def broadcast(self, tensor: Tensor, owner: int) -> Tensor:
        """The owner's tensor on the CPU, on every rank; the others give room of its shape and type, which is filled.

        It goes down a tree, so that no rank sends it more than log2 of their number times.
        """
        if not tensor.numel():
            return tensor
        tensor = tensor.detach().contiguous()
        flat = tensor.reshape(-1).view(torch.uint8)
        place, reach = (self.rank - owner) % self.count, 1
        while reach < self.count and place % (2 * reach) == 0:
            reach *= 2
        if place:
            self._receive(flat, (place - reach + owner) % self.count)
        while reach > 1:
            reach //= 2
            if place + reach < self.count:
                self._send(flat, (place + reach + owner) % self.count)
        return tensor

    def all_gather(self, tensor: Tensor) -> list[Tensor]:
        """All ranks' tensors on the CPU, of one shape and type, in the order of the ranks."""
        return [
            self.broadcast(tensor if owner == self.rank else torch.empty_like(tensor), owner)
            for owner in range(self.count)
        ]

    def _send(self, tensor: Tensor, to: int) -> None:
        with _breaking():
            dist.send(tensor, to, group=self._group, tag=self._tag)
        self._traffic.sent += tensor.nbytes

    def _receive(self, tensor: Tensor, origin: int) -> None:
        with _breaking():
            dist.recv(tensor, origin, group=self._group, tag=self._tag)
        self._traffic.received += tensor.nbytes


@contextmanager
def _breaking() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise LinkBroken(str(error).splitlines()[0]) from error
