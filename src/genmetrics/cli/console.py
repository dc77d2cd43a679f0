"""What all commands share in speaking to a person: errors, warnings, exit codes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from genmetrics.errors import GenmetricsError

__all__ = ["reporting_errors", "say"]

_USAGE, _INTERRUPTED = 2, 130


def say(text: str) -> None:
    """Print a line for people, on standard error: standard output is for results."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def reporting_errors() -> Iterator[None]:
    """Turn the errors that we raise on purpose into a message and exit code 2, and Ctrl-C into 130."""
    try:
        yield
    except GenmetricsError as error:
        say(f"genmetrics: error: {error}")
        raise typer.Exit(_USAGE) from None
    except KeyboardInterrupt:
        say("genmetrics: interrupted; nothing was written")
        raise typer.Exit(_INTERRUPTED) from None
