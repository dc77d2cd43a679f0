"""Progress for people: a bar on a terminal, plain lines elsewhere, nothing if they want quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from genmetrics.cli.console import say
from genmetrics.types import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

__all__ = ["showing_progress"]

_LINE_EVERY_SECONDS = 10.0
_LABELS = {"ref": "reference", "gen": "generated", "metrics": "metrics"}


@contextmanager
def showing_progress(quiet: bool, labels: Mapping[str, str] = _LABELS) -> Iterator[Callable[[Progress], None]]:
    """Yield what takes the progress records.

    Args:
        quiet: show nothing.
        labels: what each stage is called.
    """
    if quiet:
        yield lambda record: None
    elif sys.stderr.isatty():
        with _bars() as bars:
            yield _BarView(bars, labels)
    else:
        yield _LineView(labels)


def _bars() -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    return Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
    )


class _BarView:
    """One bar a stage, with images a second and the time left."""

    def __init__(self, bars: Bar, labels: Mapping[str, str]) -> None:
        self._bars = bars
        self._labels = labels
        self._tasks: dict[str, TaskID] = {}
        self._started: dict[str, float] = {}
        self._begun_at: dict[str, int] = {}

    def __call__(self, record: Progress) -> None:
        if record.stage == "advice":
            self._bars.print(f"advice: {record.message}", markup=False, highlight=False)
            return
        if record.stage not in self._tasks:
            self._started[record.stage] = time.monotonic()
            self._begun_at[record.stage] = record.done
            self._tasks[record.stage] = self._bars.add_task(self._labels[record.stage], total=record.total, rate="")
        rate = ""
        done = record.done - self._begun_at[record.stage]
        if record.stage != "metrics" and done:
            rate = f"{done / max(time.monotonic() - self._started[record.stage], 1e-9):.1f} images/s"
        self._bars.update(self._tasks[record.stage], completed=record.done, total=record.total, rate=rate)


class _LineView:
    """A line at each stage's start and end, and every ten seconds between."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = labels
        self._stage = ""
        self._started = 0.0
        self._last_line = 0.0
        self._begun_at = 0
        self._ended = False

    def __call__(self, record: Progress) -> None:
        if record.stage == "advice":
            say(f"advice: {record.message}")
            return
        now = time.monotonic()
        finished = record.done == record.total
        if record.stage != self._stage:
            self._stage, self._started, self._last_line = record.stage, now, now
            # A run that goes on from a checkpoint has done a part already, and not at this speed.
            self._begun_at, self._ended = record.done, False
            if record.stage != "metrics":
                say(f"{self._labels[record.stage]}: {record.message}, {record.total} images")
            return
        if record.stage == "metrics" or self._ended or (not finished and now - self._last_line < _LINE_EVERY_SECONDS):
            return
        self._last_line, self._ended = now, finished
        elapsed = max(now - self._started, 1e-9)
        rate = (record.done - self._begun_at) / elapsed
        left = ""
        if record.total is not None and not finished and rate > 0:
            left = f", {_clock((record.total - record.done) / rate)} left"
        say(f"{self._labels[record.stage]}: {record.done}/{record.total} images, {rate:.1f}/s{left}")


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
