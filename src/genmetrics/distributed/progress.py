"""Progress of all ranks together."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from typing import TypeVar

from genmetrics.distributed.shared import current
from genmetrics.types import Progress

__all__ = ["over_ranks"]

Result = TypeVar("Result")


def over_ranks(steps: Generator[Progress, None, Result], total: int | None = None) -> Generator[Progress, None, Result]:
    """The records of this rank's share as those of the whole, and between them a look at how the others fare.

    Args:
        steps: what this rank does.
        total: how many of what the first record counts there are on all ranks; None if that is not known.

    Raises:
        BaseException: what another rank failed with.
    """
    run = current()
    if run is None:
        return (yield from steps)
    shown: dict[str, Progress] = {}
    with closing(steps):
        while True:
            run.check()
            try:
                record = next(steps)
            except StopIteration as finished:
                result: Result = finished.value
                return result
            key = f"{record.stage}/{record.message}"
            before = shown.get(key)
            done = run.counted(key, record.done)
            of = None if record.total is None else run.counted(f"{key}/of", record.total)
            if before is not None:
                done = max(done, before.done)
                of = before.total if of is None else max(of, before.total or 0)
            if total is not None and next(iter(shown), key) == key:
                of = total
            shown[key] = replace(record, done=done, total=of)
            yield shown[key]
