"""One network on one or several devices, which share each batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from jaxtyping import Float32, Shaped
from torch import Tensor

from genmetrics.errors import UsageError
from genmetrics.extractors.base import load_extractor

__all__ = ["SharedNetwork", "devices_to_use"]


class SharedNetwork:
    """An extractor whose batches are cut into as many even parts as there are devices.

    An image's features do not depend on the part that it is in, so that several devices give the numbers of one.

    Attributes:
        devices: where it runs.
        weights: the file of its weights.
    """

    def __init__(self, name: str, devices: Sequence[torch.device], weights: Path | None = None) -> None:
        """Load the network on each device.

        Args:
            name: the extractor's id.
            devices: at least one; a device may come more than once.
            weights: a weight file in place of the published one.

        Raises:
            WeightsError: if the weights are missing, damaged or refused.
        """
        if not devices:
            raise UsageError("no device was given for the network; expected at least one")
        self.devices = tuple(devices)
        self._extractors = []
        for device in self.devices:
            extractor = load_extractor(name, weights)
            extractor.to(device, "exact")
            self._extractors.append(extractor)
        self.weights = self._extractors[0].weights

    def __call__(
        self,
        images: Shaped[Tensor, "n 3 h w"],
        prepare: Callable[[Float32[Tensor, "n 3 h w"]], Float32[Tensor, "n 3 s s"]],
        wanted: Sequence[str],
    ) -> dict[str, Float32[Tensor, "n _"]]:
        """The wanted features of one batch, on the CPU.

        Args:
            images: (n, 3, h, w) of any type, at least one, on any device; they are sent over as they are.
            prepare: makes the network's input of them, as float32, on the device.
            wanted: the names of the outputs.
        """
        pending = []
        # All parts are under way before the first answer is waited for.
        for extractor, part in zip(self._extractors, images.detach().chunk(len(self._extractors)), strict=False):
            device = extractor.device
            here = torch.cuda.device(device) if device.type == "cuda" else nullcontext()
            with torch.no_grad(), here:
                pending.append(extractor.start(prepare(part.to(device).to(torch.float32)), wanted))
        found = [answer() for answer in pending]
        return {name: torch.cat([part[name].cpu() for part in found]) for name in wanted}


def devices_to_use(cuda: bool) -> list[torch.device]:
    """All CUDA devices that are visible, or the CPU where there are none or they are not wanted."""
    if not cuda or not torch.cuda.is_available():
        return [torch.device("cpu")]
    return [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
