"""What all drop-in commands share in speaking to a person: errors, warnings, exit codes, several processes."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import typer

from genmetrics.cli import allocator
from genmetrics.cli.console import reporting_errors, say
from genmetrics.cli.processes import among_ranks, is_first_rank
from genmetrics.errors import GenmetricsWarning

__all__ = ["running", "say"]


@contextmanager
def running(command: str, device: str = "auto") -> Iterator[bool]:
    """The body of a command: gives whether this process is the one that prints and writes.

    An error that we raise on purpose becomes the line ``<command>: error: …`` on standard error and the exit code 2,
    Ctrl-C 130; any other error stays what it is. Our warnings become lines on standard error. Under ``torchrun`` all
    processes run the body, share the images out, and end in the same way. Arguments are to be parsed before.

    Args:
        command: what the messages begin with.
        device: ``auto``, ``cpu``, ``cuda`` …, which decides how processes talk to each other, and whether glibc keeps
            the memory that tensors leave.

    Raises:
        SystemExit: with the exit code, if the body failed.
    """
    allocator.keep_freed_memory("auto", device)
    with warnings.catch_warnings():
        warnings.simplefilter("always", GenmetricsWarning)
        shown = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if not issubclass(category, GenmetricsWarning):
                shown(message, category, filename, lineno, file, line)
            elif is_first_rank():  # all processes of a run would say the same
                say(f"{command}: warning: {message}")

        warnings.showwarning = show
        try:
            with reporting_errors(command), among_ranks(command, device) as first:
                yield first
        except typer.Exit as done:
            sys.exit(done.exit_code)
