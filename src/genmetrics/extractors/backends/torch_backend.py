"""Torch itself: layer by layer as published, or the same function faster."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from genmetrics.extractors.backends.base import Backend, MakeNetwork, Pending
from genmetrics.extractors.backends.folding import fold_norms
from genmetrics.precision import choosing_algorithms, computing_at
from genmetrics.types import Precision

__all__ = ["ReferenceBackend", "TorchBackend", "prepared"]


class ReferenceBackend(Backend):
    """The network as it was published, layer by layer: the same bits as the tools that run it so."""

    name: ClassVar[str] = "reference"

    def __init__(self, make: MakeNetwork, device: torch.device, precision: Precision) -> None:
        self._network = make().to(device)
        self._device = device
        self._precision = precision

    def start(self, inputs: Float32[Tensor, "n c h w"], wanted: tuple[str, ...]) -> Pending:
        """Compute at once; on a GPU that is to put it into the stream."""
        search = False if self._precision == "exact" else None
        with torch.inference_mode(), computing_at(self._precision, self._device), choosing_algorithms(search):
            found = self._network(inputs, wanted)
        outputs = {name: found[name].to(torch.float32) for name in wanted}
        return lambda: outputs


class TorchBackend(Backend):
    """Folded batch normalisation, channels last, and only the convolutions in bfloat16; batches run as they come."""

    name: ClassVar[str] = "torch"

    def __init__(self, make: MakeNetwork, device: torch.device, precision: Precision) -> None:
        self._network = prepared(make(), device, precision)
        self._device = device
        self._precision = precision

    def start(self, inputs: Float32[Tensor, "n c h w"], wanted: tuple[str, ...]) -> Pending:
        """Compute at once; on a GPU that is to put it into the stream."""
        if self._precision == "bf16":
            inputs = inputs.to(torch.bfloat16)
        # Convolutions in bfloat16 are by the weights' type: autocast would convert them anew for each batch.
        exactness: Precision = "exact" if self._precision == "bf16" else self._precision
        with torch.inference_mode(), computing_at(exactness, self._device):
            found = self._network(inputs.contiguous(memory_format=torch.channels_last), wanted)
            outputs = {name: found[name].to(torch.float32) for name in wanted}
        return lambda: outputs


def prepared(network: nn.Module, device: torch.device, precision: Precision) -> nn.Module:
    """The network on its device, folded and channels last; with bf16 its convolutions, nearly all of the work, in it.

    Pooling and the layers after it stay in float32, where bfloat16 would round what the statistics are made of.

    Args:
        network: in evaluation and float32 on the CPU; it is changed in place.
        device: where it is to run.
        precision: how exactly.
    """
    network = fold_norms(network).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if precision == "bf16":
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.to(torch.bfloat16)
    return network
