"""Blocks and steps that all ranks do together, for whoever does not want to know whether there are any others."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from genmetrics.distributed.board import Board
from genmetrics.distributed.failures import Failure
from genmetrics.distributed.group import current_shard, is_shared
from genmetrics.distributed.run import LINGER_SECONDS, SharedRun
from genmetrics.distributed.steps import within
from genmetrics.distributed.transfer import Link

__all__ = ["agree", "current", "over_all_ranks", "post", "shared_run", "until_all_are_here"]

Result = TypeVar("Result")

_CURRENT: ContextVar[SharedRun | None] = ContextVar("genmetrics_shared_run", default=None)


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
            within(LINGER_SECONDS, lambda: board.post(scope, Failure.of(error, shard.index)))
