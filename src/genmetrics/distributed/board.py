"""A board beside the collectives, on which ranks say how far they are and what went wrong.

Every process group has a key-value store, through which its ranks found one another. Looking something up there
takes no other rank, so that a rank can say that it failed, or see that another did, where a collective would wait.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from torch.distributed.distributed_c10d import PrefixStore, _get_default_store

from genmetrics.distributed.failures import Failure

__all__ = ["EVERYWHERE", "Board"]

#: The scope of failures that end every run: of ranks that are gone.
EVERYWHERE = "all"
_LEFT = "left"


class Board:
    """This process's connection to the board; threads that wait at the same time have one each.

    All of it raises torch's ``RuntimeError`` where the store cannot be reached any more.
    """

    def __init__(self, rank: int, count: int) -> None:
        """Connect to the store of the process group that there is."""
        store: Any = _get_default_store()
        # A connection of its own: whoever waits for a key holds up all others of a connection. Some stores have none.
        with suppress(AttributeError, NotImplementedError, RuntimeError):
            store = store.clone()
        self._store = PrefixStore("genmetrics", store)
        self.rank = rank
        self.count = count

    def next_number(self, what: str) -> int:
        """How often this rank has asked for this, with this time; alike on all ranks that do alike."""
        return int(self._store.add(f"{what}/{self.rank}", 1))

    def post(self, scope: str, failure: Failure) -> Failure:
        """Say what went wrong; what was said first of a scope stands and is given back."""
        stands = self._store.compare_set(f"failed/{scope}", "", failure.to_text())
        return Failure.from_text(stands.decode())

    def failure(self, scope: str) -> Failure | None:
        """What went wrong, if anything did."""
        text = self.read(f"failed/{scope}")
        return None if text is None else Failure.from_text(text)

    def write(self, key: str, text: str) -> None:
        """Put something up."""
        self._store.set(key, text)

    def write_first(self, key: str, text: str) -> str:
        """Put something up unless another rank has; what is there then."""
        return self._store.compare_set(key, "", text).decode()

    def read(self, key: str) -> str | None:
        """What is there; None for nothing. It never waits."""
        return self._store.get(key).decode() if self._store.check([key]) else None

    def add(self, key: str, count: int) -> int:
        """Add to a number that all ranks share; what it is then."""
        return int(self._store.add(key, count))

    def number(self, key: str) -> int:
        """A number that all ranks share; 0 where none has added to it."""
        return int(self.read(key) or 0)

    def beat(self, number: int) -> None:
        """Give a sign of life."""
        self.write(f"beat/{self.rank}", str(number))

    def leave(self) -> None:
        """Say that no further sign will come, and that it is meant so."""
        self.write(f"beat/{self.rank}", _LEFT)

    def sign_of(self, rank: int) -> str | None:
        """The last sign of life of a rank; None before the first."""
        return self.read(f"beat/{rank}")

    @staticmethod
    def has_left(sign: str | None) -> bool:
        """Whether a sign says that the rank has left."""
        return sign == _LEFT
