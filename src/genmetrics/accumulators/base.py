"""The contract of an accumulator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from genmetrics.errors import StatisticsError

__all__ = [
    "Accumulator",
    "check_finite",
    "check_nonzero",
    "check_same",
    "find_not_finite",
    "find_zero",
    "refuse_not_finite",
    "refuse_zero",
]

Self = TypeVar("Self", bound="Accumulator")
Value = TypeVar("Value")


class Accumulator(ABC):
    """Statistics that can be fed in batches, merged over shards, and saved as tensors.

    Whatever the batch split and the order of arrival, the statistics are the same. An accumulator of no
    samples is the identity of ``merge``.

    Fed from a CUDA device, it does not wait for it: what is launched is finished, and a bad sample is refused, in a
    later ``update`` or when the statistics are read or settled.
    """

    #: How many samples have been fed.
    num_samples: int

    @abstractmethod
    def update(self, values: Tensor, indices: Int64[Tensor, " n"]) -> None:
        """Feed n samples.

        Args:
            values: (n, ...) what the accumulator keeps statistics of.
            indices: (n,) int64, the samples' indices in their image set.

        Raises:
            StatisticsError: if a value is NaN or infinite.
        """

    def settle(self) -> None:  # noqa: B027
        """Wait for a device that still works on what was fed; reading does it too.

        Raises:
            StatisticsError: if a value is NaN or infinite.
        """

    @abstractmethod
    def merge(self: Self, other: Self) -> Self:
        """The statistics of both sample sets, as a new accumulator; both arguments stay as they are.

        Raises:
            StatisticsError: if the two are not of one kind, width and settings.
        """

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Everything that ``from_state`` needs, as tensors on the CPU."""

    @classmethod
    @abstractmethod
    def from_state(cls: type[Self], state: Mapping[str, Tensor]) -> Self:
        """The accumulator whose ``state()`` this is."""


def check_finite(values: Tensor, indices: Tensor) -> None:
    """Raise a ``StatisticsError`` that names the samples with NaN or infinite values, if there are any."""
    refuse_not_finite(find_not_finite(values), indices)


def check_nonzero(values: Tensor, indices: Tensor) -> None:
    """Raise a ``StatisticsError`` that names the samples whose features are all zero, if there are any."""
    refuse_zero(find_zero(values), indices)


def find_not_finite(values: Float[Tensor, "n ..."]) -> Bool[Tensor, " n"]:
    """Which samples have NaN or infinite values."""
    return ~torch.isfinite(values).flatten(1).all(dim=1)


def find_zero(values: Float[Tensor, "n ..."]) -> Bool[Tensor, " n"]:
    """Which samples' features are all zero."""
    return (values == 0).flatten(1).all(dim=1)


def refuse_not_finite(found: Bool[Tensor, " n"], indices: Int64[Tensor, " n"]) -> None:
    """Raise a ``StatisticsError`` that names the samples found to have NaN or infinite values, if there are any."""
    if bool(found.any()):
        bad = indices[found.cpu()]
        raise StatisticsError(
            f"the features of {len(bad)} image(s) contain NaN or infinity (indices {_listed(bad)}); no number computed "
            "from them would mean anything. Look at these images, the weights, and the precision of the network"
        )


def refuse_zero(found: Bool[Tensor, " n"], indices: Int64[Tensor, " n"]) -> None:
    """Raise a ``StatisticsError`` that names the samples found to be all zero, if there are any."""
    if bool(found.any()):
        bad = indices[found.cpu()]
        raise StatisticsError(
            f"the features of {len(bad)} image(s) are all zero (indices {_listed(bad)}): they have no direction and "
            "cannot be scaled to unit norm. Look at these images and the weights of the network"
        )


def check_same(what: str, ours: Value, theirs: Value) -> None:
    """Raise a ``StatisticsError`` if two accumulators to be merged differ in a setting."""
    if ours != theirs:
        raise StatisticsError(f"statistics with {what} {ours} and {what} {theirs} cannot be merged")


def _listed(indices: Tensor) -> str:
    shown = ", ".join(str(index) for index in indices[:10].tolist())
    return shown + (", …" if len(indices) > 10 else "")
