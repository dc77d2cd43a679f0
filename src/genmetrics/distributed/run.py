"""A run that all ranks share: they agree on what it is, wait for one another, and fail together.

A rank enters a collective only once all others are there, which they say on the board; until then it watches for
errors and for ranks that are gone. So nobody is left waiting in a collective that never comes about, and a slow rank
may take as long as it likes whatever the process group's timeout.
"""

from __future__ import annotations

import contextlib
import json
import time
import warnings
from collections.abc import Callable, Generator, Mapping
from typing import TypeVar

import torch.distributed as dist

from genmetrics.distributed.board import Board
from genmetrics.distributed.failures import Failure, origin_of
from genmetrics.distributed.group import current_shard
from genmetrics.distributed.steps import LONGEST_PAUSE, Step, within
from genmetrics.distributed.transfer import Link, LinkBroken, Traffic
from genmetrics.distributed.watch import Watch, no_store
from genmetrics.errors import DistributedError, GenmetricsWarning, UsageError

__all__ = ["LINGER_SECONDS", "SharedRun"]

Found = TypeVar("Found")
Result = TypeVar("Result")

_FIRST_PAUSE = 0.001
#: How long rank 0 stays for the others to read the board, which ends with it, and a broken exchange for its reason.
LINGER_SECONDS = 2.0
_TAGS_A_RUN = 1 << 12
_TAGS = 1 << 31


class SharedRun:
    """A run of this process and all others.

    Attributes:
        traffic: how many bytes the exchanges of the run sent and received here.
    """

    def __init__(self, what: str, also: tuple[str, ...] = ()) -> None:
        """Take the run's number.

        Args:
            what: what it is, for people.
            also: other scopes whose failures end it.
        """
        shard = current_shard()
        self.rank, self.count = shard.index, shard.count
        self.traffic = Traffic()
        self._what = what
        self._watch = Watch.of_group(self.rank, self.count)
        self._watch.check()
        try:
            self._board, self._number = within(self._watch.timeout, self._enter)
        except (dist.DistError, TimeoutError) as error:
            raise DistributedError(no_store(str(error) or f"no answer for {self._watch.timeout:g} s")) from error
        self.scope = f"run/{self._number}"
        self._also = also
        self._num_steps = 0
        self._began = time.monotonic()
        self._asked = False
        self._watch.attend((self.scope, *also))

    def _enter(self) -> tuple[Board, int]:
        board = Board(self.rank, self.count)
        number = board.next_number("run")
        board.add(f"run/{number}/begun", 1)
        return board, number

    def check(self) -> None:
        """Raise what another rank failed with, if one did; it costs nothing."""
        self._watch.check()

    def agree(self, facts: Mapping[str, str]) -> None:
        """Refuse to go on if a rank was told something else than rank 0.

        Raises:
            UsageError: naming what differs.
        """
        key = self._next_key()

        def compare(step: Step[str]) -> str:
            self._check_same_step(key, f"agreement on {', '.join(facts)}")
            if self.rank == 0:
                self._board.write(key, json.dumps(dict(facts)))
            return self._wait_for(step, lambda: self._board.read(key))

        theirs = json.loads(self._finish(Step(compare)))
        differing = [
            f"{name} is {text} on rank {self.rank} and {theirs[name]} on rank 0"
            for name, text in facts.items()
            if text != theirs[name]
        ]
        if differing:
            raise UsageError(f"the ranks of one run differ: {'; '.join(differing)}. Start all ranks with the same")

    def exchange(self, what: str, work: Callable[[Link], Result], *, meet: bool = True) -> Result:
        """Wait for all ranks to come to this exchange, and do it.

        Args:
            what: the same on every rank.
            work: this rank's part.
            meet: whether to meet on the board first, which makes sure that all do the same. Without it an exchange
                costs less, and waits for the others where they are needed; for those of which there are many.
        """
        key, tag = self._next_key(), self._number * _TAGS_A_RUN + self._num_steps

        def meet_and_work(step: Step[Result]) -> Result:
            if meet:
                self._meet(step, key, what)
            return work(Link(self.rank, self.count, tag % _TAGS, self.traffic))

        return self._finish(Step(meet_and_work))

    def waiting(self, what: str) -> Generator[None, None, None]:
        """Come back now and then until all ranks are here, and once more, when what they have counted is complete."""
        key = self._next_key()

        def meet(step: Step[None]) -> None:
            self._watch.push(self._board)
            self._meet(step, key, what)
            self._watch.push(self._board)

        step: Step[None] = Step(meet)
        try:
            while not step.done.wait(LONGEST_PAUSE):
                self._look()
                yield
        finally:
            step.give_up()
        self._finish(step)
        yield

    def counted(self, key: str, number: int) -> int:
        """Say how many of something this rank has done; how many all have, as far as is known."""
        return self._watch.count(key, number)

    def close(self) -> None:
        """Wait until no rank can fail any more; rank 0 stays until all know it, because the store ends with it."""
        key = self._next_key()

        def meet(step: Step[None]) -> None:
            self._meet(step, key, "end")
            gone = self._board.add(f"{key}/gone", 1)
            until = time.monotonic() + LINGER_SECONDS
            while self.rank == 0 and gone < self.count and time.monotonic() < until:
                time.sleep(5 * _FIRST_PAUSE)
                gone = self._board.number(f"{key}/gone")

        self._finish(Step(meet))

    def end(self) -> None:
        """Look for no failures of this run any more."""
        self._watch.attend(())

    def failed(self, error: BaseException) -> BaseException:
        """Tell the others of an error of this rank, or take over theirs; what is to be raised here."""
        if origin_of(error) is not None:
            self._linger()
            return error
        ours = Failure.of(error, self.rank)
        with contextlib.suppress(RuntimeError, TimeoutError):
            stands = within(LINGER_SECONDS, lambda: self._board.post(self.scope, ours))
            self._linger()
            if stands.rank != self.rank and isinstance(error, Exception):
                theirs = stands.error(self.rank)
                if not ours.same_as(stands):
                    return theirs
                # All met the same by themselves: one speaks for all.
                error.__cause__ = theirs.__cause__
        return error

    def _linger(self) -> None:
        """Rank 0 keeps the store, in which the others read what went wrong: it stays until they did."""

        def stay() -> None:
            self._watch.acknowledge(self._board, self.scope)
            if self.rank != 0:
                return
            until = time.monotonic() + LINGER_SECONDS
            while self._board.number(f"seen/{self.scope}") < self.count and time.monotonic() < until:
                time.sleep(5 * _FIRST_PAUSE)

        with contextlib.suppress(RuntimeError, TimeoutError):
            within(LINGER_SECONDS + 1, stay)

    def _look(self) -> None:
        """While this rank waits: raise what another failed with, and say once if some never came to the run at all."""
        self._watch.check()
        waited = time.monotonic() - self._began
        if self._asked or waited < self._watch.timeout:
            return
        self._asked = True
        with contextlib.suppress(RuntimeError, TimeoutError):
            begun = within(LINGER_SECONDS, lambda: self._board.number(f"{self.scope}/begun"))
            if begun < self.count:
                warnings.warn(
                    f"after {waited:.0f} s only {begun} of {self.count} ranks have called {self._what}, and rank "
                    f"{self.rank} waits for the others: every rank has to call it",
                    GenmetricsWarning,
                    stacklevel=2,
                )

    def _next_key(self) -> str:
        self._num_steps += 1
        return f"{self.scope}/{self._num_steps}"

    def _meet(self, step: Step[Result], key: str, what: str) -> None:
        """Say that this rank is here, and wait until all are."""
        self._check_same_step(key, what)
        here = f"{key}/here"
        if self._board.add(here, 1) < self.count:
            self._wait_for(step, lambda: self._board.number(here) == self.count or None)

    def _check_same_step(self, key: str, what: str) -> None:
        at = self._board.write_first(f"{key}/what", what)
        if at != what:
            raise UsageError(
                f"rank {self.rank} has come to {what!r} where another is at {at!r}: the ranks were given different "
                "things. All have to call the same functions of genmetrics in the same order, with the same arguments"
            )

    def _wait_for(self, step: Step[Result], look: Callable[[], Found | None]) -> Found:
        pause = _FIRST_PAUSE
        while (found := look()) is None:
            if step.given_up.wait(pause):
                raise TimeoutError
            pause = min(pause * 1.5, LONGEST_PAUSE)
        return found

    def _finish(self, step: Step[Result]) -> Result:
        """Wait for a step and look meanwhile whether it will ever end."""
        try:
            while not step.done.wait(LONGEST_PAUSE / 5):
                self._look()
        finally:
            step.give_up()
        try:
            return step.result()
        except (dist.DistError, LinkBroken) as error:
            # The other end of a connection is gone. Why, the board says soon, or never if that is gone as well.
            until = time.monotonic() + LINGER_SECONDS
            while time.monotonic() < until:
                self._watch.check()
                time.sleep(LONGEST_PAUSE / 5)
            raise DistributedError(
                f"rank {self.rank} lost the connection to another rank ({str(error).splitlines()[0]}): a process was "
                "killed or its machine is out of reach. Look at the other ranks' own output"
            ) from error
