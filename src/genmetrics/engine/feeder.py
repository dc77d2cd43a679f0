"""The contract of what images are fed to in a pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from jaxtyping import Int64, UInt8
from torch import Tensor

from genmetrics.accumulators.base import Accumulator
from genmetrics.types import Need

__all__ = ["Feeder"]


class Feeder(ABC):
    """Takes the images of a pass and fills accumulators from them.

    Attributes:
        accumulators: what is filled, by the need that each meets; of this process's share of the images, until they
            are merged over the ranks.
    """

    accumulators: Mapping[Need, Accumulator]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of what was fed."""
        return ()

    @property
    @abstractmethod
    def num_waiting(self) -> int:
        """How many images were fed and are not through all networks yet."""

    @abstractmethod
    def add(
        self, images: UInt8[Tensor, "n 3 h w"], indices: Int64[Tensor, " n"], labels: Int64[Tensor, " n"] | None
    ) -> None:
        """Feed images of one size with their indices and, if they have any, their classes."""

    @abstractmethod
    def finish(self) -> None:
        """Do what is left to do after the last image; every rank calls it."""
