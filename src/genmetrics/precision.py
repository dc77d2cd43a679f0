"""How exactly a network computes, without touching what the process around it has chosen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from genmetrics.types import Precision

__all__ = ["at_least_float32", "choosing_algorithms", "computing_at"]


def at_least_float32(x: Tensor) -> Tensor:
    """The same in float32, or as it is in float64: what is pooled is what the statistics are made of."""
    return x if x.dtype == torch.float64 else x.float()


@contextmanager
def computing_at(precision: Precision, device: torch.device) -> Iterator[None]:
    """Float32 without TF32 (exact), with it (tf32), or bfloat16 where autocast uses it (bf16).

    The switches are the process's, so they are put back afterwards: a training loop around this keeps its own,
    and its autocast does not reach in here.
    """
    if precision == "bf16":
        with torch.autocast(device.type, dtype=torch.bfloat16):
            yield
        return
    with torch.autocast(device.type, enabled=False), _float32_as("ieee" if precision == "exact" else "tf32"):
        yield


@contextmanager
def choosing_algorithms(search: bool | None) -> Iterator[None]:
    """Whether cuDNN tries out its algorithms and takes the fastest, which rounds in its own way.

    Args:
        search: None leaves it to the process.
    """
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = before if search is None else search
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


@contextmanager
def _float32_as(wanted: str) -> Iterator[None]:
    """Set what float32 convolutions and products are computed in, on every backend: ``ieee`` or ``tf32``."""
    if not hasattr(torch.backends.cudnn, "conv"):  # before torch 2.9
        with _older_float32_as(wanted):
            yield
        return
    # These, and not torch.get_float32_matmul_precision: that refuses to answer once somebody has used these.
    backends: Any = torch.backends
    switches = [backends.cudnn.conv, backends.cuda.matmul, backends.mkldnn.conv, backends.mkldnn.matmul]
    before = [switch.fp32_precision for switch in switches]
    try:
        for switch in switches:
            switch.fp32_precision = wanted
        yield
    finally:
        for switch, value in zip(switches, before, strict=True):
            switch.fp32_precision = value


@contextmanager
def _older_float32_as(wanted: str) -> Iterator[None]:
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    try:
        torch.set_float32_matmul_precision("highest" if wanted == "ieee" else "high")
        torch.backends.cudnn.allow_tf32 = wanted == "tf32"
        yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions
