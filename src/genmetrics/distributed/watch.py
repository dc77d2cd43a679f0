"""The thread of each rank that gives signs of life and looks for those of the others."""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref

from torch.distributed import distributed_c10d

from genmetrics.distributed.board import EVERYWHERE, Board
from genmetrics.distributed.failures import Failure
from genmetrics.errors import DistributedError, UsageError

__all__ = ["TIMEOUT_VARIABLE", "Watch", "no_store"]

TIMEOUT_VARIABLE = "GENMETRICS_RANK_TIMEOUT"
_TIMEOUT_SECONDS = 60.0
_LOOK_EVERY = 0.25
_BEATS_A_TIMEOUT = 8
_LONGEST_BEAT = 5.0
_LEFT_FOR = 3.0


class Watch(threading.Thread):
    """Looks at the board four times a second, so that nobody who works or waits has to.

    It runs from the first run that is shared until the process group or the process ends, between runs as well: a
    process that is killed in a training loop is missed by those that wait for it in ``Evaluator.compute``. Each rank
    watches the next one, whatever their number, and says on the board if that one is gone.
    """

    def __init__(self, rank: int, count: int) -> None:
        """Remember the process group that there is.

        Raises:
            UsageError: if the environment variable is no number of seconds.
        """
        super().__init__(name="genmetrics-watch", daemon=True)
        self.timeout = _timeout()
        self._ending = threading.Event()
        # The store is let go with the group: whoever makes another at once must not meet the old one's.
        self._group = weakref.ref(distributed_c10d._get_default_group(), lambda _: self._ending.set())
        self._rank, self._count = rank, count
        self._scopes: tuple[str, ...] = ()
        self._found: dict[str, Failure] = {}
        self._lost: Failure | None = None
        self._last_round = time.monotonic()
        self._lock = threading.Lock()
        self._pushing = threading.Lock()
        self._counts: dict[str, int] = {}
        self._pushed: dict[str, int] = {}
        self._sums: dict[str, int] = {}
        self._acknowledged: set[str] = set()
        self._sign: str | None = None
        self._sign_since = self._last_round

    @classmethod
    def of_group(cls, rank: int, count: int) -> Watch:
        """The one of the process group that there is, begun now if it was not."""
        group = distributed_c10d._get_default_group()
        for thread in threading.enumerate():
            if isinstance(thread, cls) and thread._group() is group and not thread._ending.is_set():
                return thread
        watch = cls(rank, count)
        watch.start()
        # A thread that returns from torch while the interpreter is taken down would take the process with it.
        atexit.register(watch.end)
        return watch

    def attend(self, scopes: tuple[str, ...]) -> None:
        """Look for what is posted under these scopes from here on, and forget what was found under others."""
        with self._pushing, self._lock:
            self._scopes = scopes
            self._counts, self._pushed, self._sums = {}, {}, {}
            self._acknowledged &= {EVERYWHERE}
            self._found = {scope: found for scope, found in self._found.items() if scope == EVERYWHERE}

    def check(self) -> None:
        """Raise what another rank has posted.

        Raises:
            DistributedError: if a rank, or the store, is gone.
            BaseException: whatever a rank failed with, see ``Failure.error``.
        """
        with self._lock:
            found = [*self._found.values(), *(() if self._lost is None else (self._lost,))]
        if found:
            raise found[0].error(self._rank)
        if self._silence() > self.timeout:
            # Where the caller let no other thread run, this one has its turn now.
            time.sleep(4 * _LOOK_EVERY)
            if self._silence() > self.timeout:
                raise DistributedError(no_store(f"it has not answered for {self._silence():.0f} s"))

    def _silence(self) -> float:
        return time.monotonic() - self._last_round

    def count(self, key: str, number: int) -> int:
        """Say how many of something this rank has done; how many all have, as far as is known."""
        with self._lock:
            self._counts[key] = number
            return self._sums.get(key, 0) + number - self._pushed.get(key, 0)

    def push(self, board: Board) -> None:
        """Put the counts on the board."""
        with self._pushing:
            with self._lock:
                counts, scopes = dict(self._counts), self._scopes
            for key, number in counts.items():
                delta = number - self._pushed.get(key, 0)
                name = f"{scopes[0] if scopes else ''}/count/{key}"
                total = board.add(name, delta) if delta else board.number(name)
                with self._lock:
                    if self._scopes == scopes:
                        self._pushed[key] = number
                        self._sums[key] = total

    def acknowledge(self, board: Board, scope: str) -> None:
        """Say that this rank knows of a failure, once, and while it attends to its scope."""
        with self._pushing:
            if scope in self._attended() and scope not in self._acknowledged:
                board.add(f"seen/{scope}", 1)
                self._acknowledged.add(scope)

    def look_for_failures(self, board: Board) -> None:
        """Note what was posted under the scopes that this rank attends to."""
        for scope in self._attended():
            if scope in self._found or (failure := board.failure(scope)) is None:
                continue
            with self._lock:
                # The run may have ended while the board answered: the next one has nothing to do with its errors.
                if scope in self._attended():
                    self._found[scope] = failure
            self.acknowledge(board, scope)

    def end(self) -> None:
        """Give no more signs of life, and say so."""
        self._ending.set()
        atexit.unregister(self.end)
        if threading.current_thread() is not self:
            self.join(2.0)

    def run(self) -> None:
        """Look, until the process group or the process ends."""
        board = None
        began, number, next_beat = time.monotonic(), 0, 0.0
        try:
            while self._is_current():
                board = Board(self._rank, self._count) if board is None else board
                now = time.monotonic()
                if now >= next_beat:
                    board.beat(number)
                    number += 1
                    next_beat = now + min(_LONGEST_BEAT, self.timeout / _BEATS_A_TIMEOUT)
                    self._look_at_next(board, now)
                self.look_for_failures(board)
                self.push(board)
                self._last_round = time.monotonic()
                self._ending.wait(_LOOK_EVERY if now - began > 1 else _LOOK_EVERY / 5)
                if self._ending.is_set() and self._is_current():
                    board.leave()
                    return
        except RuntimeError as error:
            if self._is_current():
                self._lost = Failure.lost(no_store(str(error)), self._rank)
                # It stays to say so: another one would try for minutes to connect.
                self._ending.wait()

    def _attended(self) -> tuple[str, ...]:
        return (*self._scopes, EVERYWHERE)

    def _is_current(self) -> bool:
        group = self._group()
        return group is not None and distributed_c10d._world.default_pg is group

    def _look_at_next(self, board: Board, now: float) -> None:
        """Say so if the next rank has given no sign for too long."""
        following = (self._rank + 1) % self._count
        sign = board.sign_of(following)
        if sign != self._sign:
            self._sign, self._sign_since = sign, now
            return
        silent = now - self._sign_since
        if sign is None:
            return  # it has begun none of our runs yet, and may be busy with others
        if Board.has_left(sign):
            scopes = self._scopes  # which may be others at any moment
            if scopes and silent > _LEFT_FOR:
                text = f"rank {following} has ended or left the process group while others wait for it"
                board.post(scopes[0], Failure.lost(text, self._rank))
            return
        if silent > self.timeout:
            text = (
                f"rank {following} has given no sign for {silent:.0f} s: its process was killed or is stopped, or its "
                f"machine is out of reach. Look at that rank's own output; {TIMEOUT_VARIABLE} sets how long to wait, "
                f"{self.timeout:g} s here"
            )
            board.post(EVERYWHERE, Failure.lost(text, self._rank))


def _timeout() -> float:
    text = os.environ.get(TIMEOUT_VARIABLE, "")
    try:
        seconds = float(text) if text else _TIMEOUT_SECONDS
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UsageError(f"{TIMEOUT_VARIABLE}={text}: expected a number of seconds above 0, such as 60")
    return seconds


def no_store(how: str) -> str:
    """What to say where the store is gone, and how that shows."""
    how = how.splitlines()[0].rstrip(".")
    return (
        "the store through which the ranks find one another, which rank 0 or its launcher keeps, cannot be reached any "
        f"more ({how}): that process has ended, or its machine is out of reach. Look at rank 0's own output"
    )
