"""What a rank that fails tells the others, and what they raise then."""

from __future__ import annotations

import json
import os
import socket
import traceback
from dataclasses import asdict, dataclass

from genmetrics import errors
from genmetrics.errors import BadImageError, DistributedError, GenmetricsError

__all__ = ["Failure", "FromAnotherRank", "origin_of"]

_LONGEST_TRACEBACK = 16_384


class FromAnotherRank(Exception):
    """The cause of an error that was first raised on another rank.

    Attributes:
        failure: what that rank said of it.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"rank {failure.rank} on {failure.host}:\n{failure.traceback or failure.text}")
        self.failure = failure


def origin_of(error: BaseException) -> Failure | None:
    """What another rank said of an error that was its; None of one of this process's own."""
    cause = error.__cause__
    return cause.failure if isinstance(cause, FromAnotherRank) else None


@dataclass(frozen=True)
class Failure:
    """An error of one rank, as text.

    Attributes:
        rank: which rank speaks.
        host: where it runs; see ``this_host``.
        kind: the name of the error's class, or of the nearest of ``genmetrics.errors`` that it derives from.
        text: its message.
        traceback: where it was raised, for errors that are not ours.
        ours: whether genmetrics raised it on purpose.
        named: whether the others say which rank it was of; not where the text says it itself.
        images: of a ``BadImageError``.
    """

    rank: int
    host: str
    kind: str
    text: str
    traceback: str = ""
    ours: bool = True
    named: bool = True
    images: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, error: BaseException, rank: int) -> Failure:
        """What a rank says of an error of its own."""
        if not isinstance(error, GenmetricsError):
            lines = "".join(traceback.format_exception(error))[-_LONGEST_TRACEBACK:]
            return cls(rank, this_host(), type(error).__name__, str(error), lines, ours=False)
        known = {vars(errors)[name] for name in errors.__all__}
        kind = next(base.__name__ for base in type(error).__mro__ if base in known)
        images = error.images if isinstance(error, BadImageError) else ()
        named = kind != DistributedError.__name__  # which says itself which rank it is of
        return cls(rank, this_host(), kind, str(error), named=named, images=images)

    @classmethod
    def lost(cls, text: str, rank: int) -> Failure:
        """What a rank says where it finds another gone."""
        return cls(rank, this_host(), DistributedError.__name__, text, named=False)

    def to_text(self) -> str:
        """For the board."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Failure:
        """Of the board."""
        values = json.loads(text)
        return cls(**{**values, "images": tuple((name, reason) for name, reason in values["images"])})

    @property
    def interrupts(self) -> bool:
        """Whether somebody ended that rank from its keyboard."""
        return not self.ours and self.kind == KeyboardInterrupt.__name__

    def same_as(self, other: Failure) -> bool:
        """Whether two ranks met the same error by themselves."""
        return (self.kind, self.text, self.ours) == (other.kind, other.text, other.ours)

    def error(self, rank: int) -> BaseException:
        """What a rank raises for it: the same class of error with the same text, after the number of whose it was.

        An error that is not ours is a ``DistributedError`` on the others, with the traceback in its cause; an
        interrupt interrupts them too.
        """
        if rank == self.rank and self.ours:
            return self._made(self.text)
        error: BaseException
        if self.interrupts:
            error = KeyboardInterrupt(f"rank {self.rank} was interrupted")
        elif not self.ours:
            said = f"{self.kind}: {self.text}" if self.text else self.kind
            error = DistributedError(f"rank {self.rank} failed with {said}")
        else:
            error = self._made(f"rank {self.rank}: {self.text}" if self.named else self.text)
        if rank != self.rank:
            error.__cause__ = FromAnotherRank(self)
        return error

    def _made(self, text: str) -> GenmetricsError:
        kind: type[GenmetricsError] = vars(errors)[self.kind]
        return BadImageError(text, self.images) if kind is BadImageError else kind(text)


def this_host() -> str:
    """What tells the machines of a run apart: torchrun's number of the node where there is one, and the name."""
    return f"{os.environ.get('GROUP_RANK', '')} {socket.gethostname()}".strip()
