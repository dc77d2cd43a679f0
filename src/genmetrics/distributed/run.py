"""One run that all ranks share: they agree on what it is, wait for one another, and fail together.

A rank enters a collective only once all others are there, which they say on the board; until then it watches for
errors and for ranks that are gone. So nobody is left waiting in a collective that never comes about, and a slow rank
may take as long as it likes whatever the process group's timeout.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Generic, TypeVar

import torch.distributed as dist

from genmetrics.distributed.board import Board
from genmetrics.distributed.failures import Failure, origin_of
from genmetrics.distributed.group import current_shard, is_shared
from genmetrics.distributed.transfer import Link, LinkBroken, Traffic
from genmetrics.distributed.watch import Watch, no_store
from genmetrics.errors import DistributedError, GenmetricsWarning, UsageError

__all__ = ["SharedRun", "agree", "check", "current", "over_all_ranks", "post", "shared_run", "until_all_are_here"]

Found = TypeVar("Found")
Result = TypeVar("Result")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.25
#: How long rank 0 stays for the others to read the board, which ends with it, and a broken exchange for its reason.
_LINGER_SECONDS = 2.0
_TAGS_A_RUN = 1 << 12
_TAGS = 1 << 31

_CURRENT: ContextVar[SharedRun | None] = ContextVar("genmetrics_shared_run", default=None)


class _Step(Generic[Result]):
    """Work in a thread of its own, so that this one can look whether it will ever end."""

    def __init__(self, work: Callable[[_Step[Result]], Result]) -> None:
        self.done = threading.Event()
        self.given_up = threading.Event()
        self._work = work
        self._result: Result | None = None
        self._error: BaseException | None = None
        threading.Thread(target=self._do, name="genmetrics-exchange", daemon=True).start()

    def give_up(self) -> None:
        """Look no further; most work ends soon then.

        A thread that comes back from torch while the interpreter is taken down would abort the process.
        """
        self.given_up.set()
        self.done.wait(_LONGEST_PAUSE)

    def result(self) -> Result:
        """What came of the work once it is done; raises what it raised."""
        if self._error is not None:
            raise self._error
        result: Result = self._result  # type: ignore[assignment]
        return result

    def _do(self) -> None:
        try:
            self._result = self._work(self)
        except BaseException as error:
            self._error = error
        finally:
            self.done.set()


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
            self._board, self._number = _within(self._watch.timeout, self._enter)
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

        def compare(step: _Step[str]) -> str:
            self._check_same_step(key, f"agreement on {', '.join(facts)}")
            if self.rank == 0:
                self._board.write(key, json.dumps(dict(facts)))
            return self._wait_for(step, lambda: self._board.read(key))

        theirs = json.loads(self._finish(_Step(compare)))
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

        def meet_and_work(step: _Step[Result]) -> Result:
            if meet:
                self._meet(step, key, what)
            return work(Link(self.rank, self.count, tag % _TAGS, self.traffic))

        return self._finish(_Step(meet_and_work))

    def waiting(self, what: str) -> Generator[None, None, None]:
        """Come back now and then until all ranks are here, and once more, when what they have counted is complete."""
        key = self._next_key()

        def meet(step: _Step[None]) -> None:
            self._watch.push(self._board)
            self._meet(step, key, what)
            self._watch.push(self._board)

        step: _Step[None] = _Step(meet)
        try:
            while not step.done.wait(_LONGEST_PAUSE):
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

        def meet(step: _Step[None]) -> None:
            self._meet(step, key, "end")
            gone = self._board.add(f"{key}/gone", 1)
            until = time.monotonic() + _LINGER_SECONDS
            while self.rank == 0 and gone < self.count and time.monotonic() < until:
                time.sleep(5 * _FIRST_PAUSE)
                gone = self._board.number(f"{key}/gone")

        self._finish(_Step(meet))

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
            stands = _within(_LINGER_SECONDS, lambda: self._board.post(self.scope, ours))
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
            until = time.monotonic() + _LINGER_SECONDS
            while self._board.number(f"seen/{self.scope}") < self.count and time.monotonic() < until:
                time.sleep(5 * _FIRST_PAUSE)

        with contextlib.suppress(RuntimeError, TimeoutError):
            _within(_LINGER_SECONDS + 1, stay)

    def _look(self) -> None:
        """While this rank waits: raise what another failed with, and say once if some never came to the run at all."""
        self._watch.check()
        waited = time.monotonic() - self._began
        if self._asked or waited < self._watch.timeout:
            return
        self._asked = True
        with contextlib.suppress(RuntimeError, TimeoutError):
            begun = _within(_LINGER_SECONDS, lambda: self._board.number(f"{self.scope}/begun"))
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

    def _meet(self, step: _Step[Result], key: str, what: str) -> None:
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

    def _wait_for(self, step: _Step[Result], look: Callable[[], Found | None]) -> Found:
        pause = _FIRST_PAUSE
        while (found := look()) is None:
            if step.given_up.wait(pause):
                raise TimeoutError
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        return found

    def _finish(self, step: _Step[Result]) -> Result:
        """Wait for a step and look meanwhile whether it will ever end."""
        try:
            while not step.done.wait(_LONGEST_PAUSE / 5):
                self._look()
        finally:
            step.give_up()
        try:
            return step.result()
        except (dist.DistError, LinkBroken) as error:
            # The other end of a connection is gone. Why, the board says soon, or never if that is gone as well.
            until = time.monotonic() + _LINGER_SECONDS
            while time.monotonic() < until:
                self._watch.check()
                time.sleep(_LONGEST_PAUSE / 5)
            raise DistributedError(
                f"rank {self.rank} lost the connection to another rank ({str(error).splitlines()[0]}): a process was "
                "killed or its machine is out of reach. Look at the other ranks' own output"
            ) from error


def current() -> SharedRun | None:
    """The shared run that this thread is in."""
    return _CURRENT.get()


@contextmanager
def shared_run(
    what: str, facts: Mapping[str, str] | None = None, *, also: tuple[str, ...] = ()
) -> Iterator[SharedRun | None]:
    """A block that all ranks run, and that ends on all of them in the same way.

    An error on one rank is raised on all of them, and none leaves the block in peace before all can. Inside
    another run it belongs to that one. Where no processes share the work it does nothing.

    Args:
        what: what is done, for people.
        facts: what all ranks must have been told alike, as text by name.
        also: scopes of ``post`` whose failures end it.

    Raises:
        UsageError: if the ranks differ in a fact, naming it.
        DistributedError: if a rank is gone.
    """
    if not is_shared():
        yield None
        return
    facts = {"the function": what, **(facts or {})}
    outer = _CURRENT.get()
    if outer is not None:
        outer.agree(facts)
        yield outer
        return
    run = SharedRun(what, also)
    token = _CURRENT.set(run)
    try:
        run.agree(facts)
        yield run
        run.close()
    except BaseException as error:
        raised = run.failed(error)
        if raised is error:
            raise
        raise raised from raised.__cause__
    finally:
        _CURRENT.reset(token)
        run.end()


@contextmanager
def _any_run(what: str) -> Iterator[SharedRun]:
    run = _CURRENT.get()
    if run is not None:
        yield run
        return
    with shared_run(what) as opened:
        assert opened is not None
        yield opened


def over_all_ranks(
    what: str, work: Callable[[Link], Result], alone: Callable[[], Result], *, meet: bool = True
) -> Result:
    """Do an exchange of all ranks, or what stands for it in a process that shares its work with none.

    Args:
        what: what is exchanged; the same on every rank.
        work: this rank's part.
        alone: what to do where there are no others.
        meet: whether the ranks meet first; see ``SharedRun.exchange``. The first of a run has to.
    """
    if not is_shared():
        return alone()
    with _any_run(what) as run:
        return run.exchange(what, work, meet=meet)


def check() -> None:
    """Raise what another rank failed with, if one did."""
    run = _CURRENT.get()
    if run is not None:
        run.check()


def agree(facts: Mapping[str, str]) -> None:
    """Refuse to go on if the ranks were told different things.

    Raises:
        UsageError: naming what differs.
    """
    if is_shared():
        with _any_run("agreement") as run:
            run.agree(facts)


def until_all_are_here(what: str) -> Generator[None, None, None]:
    """Come back now and then until all ranks have come to this point."""
    run = _CURRENT.get()
    if run is not None:
        yield from run.waiting(what)


def post(scope: str, error: BaseException) -> None:
    """Tell runs that look for this scope of an error outside of any run."""
    if is_shared():
        shard = current_shard()
        with contextlib.suppress(RuntimeError, TimeoutError):
            board = Board(shard.index, shard.count)
            _within(_LINGER_SECONDS, lambda: board.post(scope, Failure.of(error, shard.index)))


def _within(seconds: float, work: Callable[[], Result]) -> Result:
    """Do something that may never end; raises a ``TimeoutError`` after so many seconds."""
    step = _Step(lambda _: work())
    if not step.done.wait(seconds):
        raise TimeoutError
    return step.result()
