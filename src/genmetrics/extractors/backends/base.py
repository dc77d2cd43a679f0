"""The contract of a backend: it takes preprocessed batches, and gives features when they are asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from jaxtyping import Float32
from torch import Tensor, nn

__all__ = ["Backend", "MakeNetwork", "Pending"]

#: Waits for the features of a batch that was started, and gives them; called once.
Pending = Callable[[], dict[str, Tensor]]

#: Makes the network as it was published, in evaluation and float32 on the CPU; the backend may change it.
MakeNetwork = Callable[[], nn.Module]


class Backend(ABC):
    """Carries out a network on one device and at one precision.

    Attributes:
        name: what records call it.
    """

    name: ClassVar[str]
    #: The most images for which a larger batch is faster; None where larger is better.
    largest_batch: int | None = None

    @abstractmethod
    def start(self, inputs: Float32[Tensor, "n c h w"], wanted: tuple[str, ...]) -> Pending:
        """Begin with a batch; whether anything is done before the answer is asked for is the backend's affair.

        Args:
            inputs: (n, 3, h, w) float32 on the backend's device; they may not be changed before the answer is there.
            wanted: names of the network's outputs.

        Returns:
            What gives (n, d) float32 for each wanted output, on the same device.
        """
