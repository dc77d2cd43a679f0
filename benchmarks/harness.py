"""Times competitors in turn in one run, and writes what was seen with the machine that it was seen on.

Every benchmark here goes through these functions, so that all result files read alike: ``rows``, each with ``what`` is
timed, the ``ours`` and ``peer`` figures (median and every round), and ``ratio``, how many times faster ours was, round
by round. A ratio above 1 means that ours is faster. ``foreign_share`` is the part of the machine that other processes
had during a round: where it is high, look at the ratios and not at the seconds.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from environment import environment

__all__ = ["RESULTS", "ROOT", "Timing", "compared", "in_turn", "processes_in_turn", "save"]

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


@dataclass
class Timing:
    """What was seen of one competitor, a figure for each round.

    Attributes:
        seconds: wall-clock time.
        cpu_seconds: user and system time of its process (and threads, and ended children).
        foreign_share: the part of the machine's time that other processes had, 0..1.
        peak_mib: of the largest single process; empty where competitors share a process.
        output: the last line that a process printed, or what a function gave back in the last round.
    """

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    foreign_share: list[float] = field(default_factory=list)
    peak_mib: list[float] = field(default_factory=list)
    output: Any = None

    @property
    def median(self) -> float:
        """The median wall-clock time."""
        return statistics.median(self.seconds)

    def as_dict(self) -> dict[str, object]:
        """For a result file."""
        figures = {
            "seconds_median": _short(self.median),
            "seconds": [_short(value) for value in self.seconds],
            "cpu_seconds": [_short(value) for value in self.cpu_seconds],
            "foreign_share": [round(value, 2) for value in self.foreign_share],
        }
        if self.peak_mib:
            figures["peak_mib_median"] = round(statistics.median(self.peak_mib), 1)
            figures["peak_mib"] = [round(value, 1) for value in self.peak_mib]
        return figures


def in_turn(cases: Mapping[str, Callable[[], object]], rounds: int = 5, warmup: int = 1) -> dict[str, Timing]:
    """Time functions of this process in turn: A B C, A B C, …, so that a machine that drifts drifts for all.

    Args:
        cases: the competitors by name.
        rounds: how often each is timed.
        warmup: how often each runs before, untimed.
    """
    timings = {name: Timing() for name in cases}
    for number in range(-warmup, rounds):
        for name, run in cases.items():
            with _Clock() as clock:
                output = run()
            if number >= 0:
                clock.add_to(timings[name], output)
    return timings


def processes_in_turn(
    cases: Mapping[str, Sequence[str]], rounds: int = 3, warmup: int = 0, env: Mapping[str, str] | None = None
) -> dict[str, Timing]:
    """Time whole processes in turn, start-up included, with the peak memory of each.

    Args:
        cases: command lines by name; one that fails ends the benchmark with what it printed.
        rounds: how often each is timed.
        warmup: how often each runs before, untimed.
        env: environment variables to add.
    """
    timings = {name: Timing() for name in cases}
    for number in range(-warmup, rounds):
        for name, command in cases.items():
            with _Clock() as clock:
                peak, output = _run(command, {**os.environ, **(env or {})})
            if number >= 0:
                clock.add_to(timings[name], output)
                timings[name].peak_mib.append(peak)
    return timings


def compared(
    what: str, timings: Mapping[str, Timing], ours: str, peer: str, work: float | None = None, **more: object
) -> dict[str, object]:
    """A row of a result file: ours beside a peer's, and the ratio of their times round by round.

    Args:
        what: what was done, in words, with its size.
        timings: of a run of several competitors.
        ours: which of them is ours.
        peer: which of them it is compared with.
        work: how much was done (images, floating-point operations …); rates per second are written beside the times.
        more: other figures of the row, such as values that both must agree on.
    """
    ratios = [theirs / own for theirs, own in zip(timings[peer].seconds, timings[ours].seconds, strict=True)]
    row: dict[str, object] = {
        "what": what,
        "ours": {"name": ours, **timings[ours].as_dict()},
        "peer": {"name": peer, **timings[peer].as_dict()},
        "ratio": _short(statistics.median(ratios)),
        "ratio_min": _short(min(ratios)),
        "ratio_max": _short(max(ratios)),
    }
    if timings[ours].peak_mib and timings[peer].peak_mib:
        peaks = [statistics.median(timings[name].peak_mib) for name in (ours, peer)]
        row["peak_ratio"] = _short(peaks[0] / peaks[1])
    if work is not None:
        row["rate"] = {name: _short(work / timings[name].median) for name in (ours, peer)}
    return {**row, **more}


def save(name: str, what: str, rows: Sequence[Mapping[str, object]], **more: object) -> Path:
    """Write ``results/<name>.json`` and print its rows.

    Args:
        name: of the file.
        what: a sentence that says what was measured, on what data.
        rows: see ``compared``; others may be of any form with a ``what``.
        more: whatever else belongs to the result.
    """
    target = RESULTS / f"{name}.json"
    result = {"what": what, "rows": list(rows), **more, **environment(), "load_average": round(os.getloadavg()[0], 2)}
    target.write_text(json.dumps(result, indent=2) + "\n")
    for row in rows:
        if "ratio" in row:
            peer, ours = row["peer"], row["ours"]
            print(
                f"{row['what']}: {ours['name']} {ours['seconds_median']} s, {peer['name']} {peer['seconds_median']} s: "
                f"{row['ratio']} x ({row['ratio_min']} to {row['ratio_max']})"
            )
        else:
            print(row)
    print(f"written to {target.relative_to(ROOT)}")
    return target


class _Clock:
    """Wall-clock and CPU time of a block, and what others had of the machine meanwhile."""

    def __enter__(self) -> _Clock:
        self._cpu, self._machine, self._wall = _own_cpu(), _machine_busy(), time.perf_counter()
        return self

    def __exit__(self, *failure: object) -> None:
        self.seconds = time.perf_counter() - self._wall
        self.cpu = _own_cpu() - self._cpu
        foreign = _machine_busy() - self._machine - self.cpu
        self.foreign = max(0.0, foreign / (self.seconds * (os.cpu_count() or 1)))

    def add_to(self, timing: Timing, output: object) -> None:
        timing.seconds.append(self.seconds)
        timing.cpu_seconds.append(self.cpu)
        timing.foreign_share.append(self.foreign)
        timing.output = output


def _own_cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _machine_busy() -> float:
    """Seconds of work of all processors since the machine started; 0 where the system does not tell."""
    stat = Path("/proc/stat")
    if not stat.is_file():
        return 0.0
    user, nice, system = (int(value) for value in stat.read_text().split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def _run(command: Sequence[str], env: Mapping[str, str]) -> tuple[float, str]:
    """Peak memory in MiB and the last line of a process that must succeed."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(env)) as process:
        assert process.stdout is not None and process.stderr is not None
        # Read to the end before waiting: wait4 alone tells the memory of this very process.
        errors: list[str] = []
        reader = threading.Thread(target=lambda: errors.append(process.stderr.read()))  # type: ignore[union-attr]
        reader.start()
        printed = process.stdout.read()
        reader.join()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)}\nended with {process.returncode}:\n{printed}{errors[0]}")
    lines = printed.splitlines()
    # ru_maxrss is in KiB, but on macOS in bytes.
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10), lines[-1] if lines else ""


def _short(value: float) -> float:
    """Four significant digits."""
    return float(f"{value:.4g}")
