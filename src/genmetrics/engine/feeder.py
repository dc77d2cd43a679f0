"""The contract of what images are fed to in a pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from jaxtyping import Int64, UInt8
from torch import Tensor

from genmetrics.accumulators.base import Accumulator
from genmetrics.errors import StatisticsError
from genmetrics.types import Need

__all__ = ["Feeder", "Unbroken"]

_EARLIER = (
    "an earlier batch failed, so that what was fed is not known to be whole; reset() of an Evaluator begins anew. It "
    "failed thus: "
)


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

    def flush(self) -> None:  # noqa: B027  # most have nothing under way between two calls
        """Bring all images so far into the accumulators; more may be fed afterwards.

        Raises:
            StatisticsError: as ``add``.
        """

    @abstractmethod
    def finish(self) -> None:
        """Do what is left to do after the last image; every rank calls it."""

    def close(self) -> None:  # noqa: B027  # most have nothing that runs on
        """Wait for what still runs, whatever comes of it; for passes that end before they are finished, too."""


class Unbroken:
    """Lets nothing more be done with what an error has left half done."""

    def __init__(self) -> None:
        self._reason: str | None = None

    @contextmanager
    def doing(self) -> Iterator[None]:
        """What leaves this block by an exception is the last that was done.

        Raises:
            StatisticsError: if an earlier block ended so; the text says how.
        """
        self.check()
        try:
            yield
        except BaseException as error:
            # Of a part inside that was broken already, what broke it.
            self._reason = (str(error) or type(error).__name__).removeprefix(_EARLIER)
            raise

    def check(self) -> None:
        """Refuse if a block ended by an exception.

        Raises:
            StatisticsError: see ``doing``.
        """
        if self._reason is not None:
            raise StatisticsError(_EARLIER + self._reason)
