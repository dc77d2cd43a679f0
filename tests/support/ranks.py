"""Starting processes that measure together, none of which outlives its test."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

__all__ = [
    "Ended",
    "environment",
    "free_port",
    "run_ranks",
    "run_together",
    "run_workers",
    "two_and_one",
    "write_images",
]

_CLASSES = 2
_SET_BY_LAUNCHERS = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT"}


@dataclass(frozen=True)
class Ended:
    """A process that is over.

    Attributes:
        code: its exit code; None if it had to be killed for its time was up.
        out: what it wrote to standard output.
        log: what it wrote to standard error.
        seconds: when it ended, from the start of the first.
    """

    code: int | None
    out: str
    log: str
    seconds: float


def environment(**more: str) -> dict[str, str]:
    """The environment for processes of one machine, with one thread each, so that sums come in the same order."""
    ours = {name: value for name, value in os.environ.items() if name not in _SET_BY_LAUNCHERS}
    return {**ours, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", **more}


def free_port() -> int:
    """A port at which nobody listens, and that no other test is given.

    It lies below those that systems hand to whoever asks for any: until the process that it is for has started, which
    takes seconds, one of those may belong to somebody else.
    """
    for port in _PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("unreachable")


def _ports_of_this_worker() -> Iterator[int]:
    """pytest-xdist's workers have a range each; two runs on one machine begin at different places of it."""
    first = 12_000 + 1000 * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 20)
    begin = os.getpid() % 1000
    return itertools.cycle([first + (begin + number) % 1000 for number in range(1000)])


_PORTS = _ports_of_this_worker()


def run_ranks(script: Path, count: int, *arguments: str, seconds: float, **more: str) -> list[Ended]:
    """``script`` as so many ranks of a process group, which ``env://`` finds, without anything that watches them."""
    port = str(free_port())
    places = [
        {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "MASTER_PORT": port}
        for rank in range(count)
    ]
    command = [sys.executable, str(script), *arguments]
    environments = [environment(MASTER_ADDR="127.0.0.1", **place, **more) for place in places]
    return run_together([command] * count, environments, seconds)


def run_workers(
    worker: Path, places: Sequence[tuple[int, int]], folder: Path, seconds: float = 300, **more: str
) -> None:
    """A worker in some places at the same time; in each it must succeed.

    Args:
        worker: a script that takes its rank, the number of processes and a folder.
        places: the rank and the number of processes of each.
        folder: where the processes meet, and write.
        seconds: how long they may take.
        more: variables of their environment.
    """
    commands = [[sys.executable, str(worker), str(rank), str(count), str(folder)] for rank, count in places]
    ended = run_together(commands, [environment(**more)] * len(places), seconds, until_one_fails=True)
    codes = [process.code for process in ended]
    logs = "\n".join(process.log for process in ended)
    assert set(codes) == {0}, f"exit codes {codes} (None: no end within {seconds} s)\n{logs}"


def two_and_one(worker: Path, folder: Path) -> dict[str, tuple[int, int]]:
    """A worker as both of two processes and as the one of one; see ``run_workers``.

    Returns:
        The rank and the number of processes of ``first``, ``second`` and ``alone``.
    """
    places = {"first": (0, 2), "second": (1, 2), "alone": (0, 1)}
    run_workers(worker, list(places.values()), folder)
    return places


def run_together(
    commands: Sequence[Sequence[str]],
    environments: Sequence[Mapping[str, str]],
    seconds: float,
    *,
    until_one_fails: bool = False,
) -> list[Ended]:
    """Run commands at the same time, and end them and whatever they started when their time is up.

    Args:
        commands: one for each process.
        environments: likewise.
        seconds: how long they may take.
        until_one_fails: end the others as soon as one has failed, for which they would wait.
    """
    began = time.monotonic()
    processes = [
        subprocess.Popen(
            command,
            env=dict(each),
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        for command, each in zip(commands, environments, strict=True)
    ]
    ended: list[Ended] = []
    try:
        codes: dict[int, tuple[int, float]] = {}
        # Nothing that they write comes near what a pipe holds.
        while len(codes) < len(processes) and time.monotonic() - began < seconds:
            if until_one_fails and any(code for code, _ in codes.values()):
                break
            time.sleep(0.02)
            for number, process in enumerate(processes):
                if number not in codes and process.poll() is not None:
                    codes[number] = (process.returncode, time.monotonic() - began)
    finally:
        for number, process in enumerate(processes):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # by its id: it leads a group of its own
            out, log = process.communicate()
            code, after = codes.get(number, (None, seconds))
            ended.append(Ended(code, out, log, after))
    return ended


def write_images(folder: Path, count: int, seed: int) -> None:
    """Coloured noise in folders of two classes, 6x6 PNG files."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 200, (count, 1, 1, 3)) + rng.integers(0, 56, (count, 6, 6, 3))
    for number, image in enumerate(pixels.astype(np.uint8)):
        home = folder / f"class-{number % _CLASSES}"
        home.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(home / f"{number:03d}.png")
