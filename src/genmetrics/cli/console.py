"""What all commands share in speaking to a person: errors, warnings, exit codes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from genmetrics.cli.processes import origin_to_report
from genmetrics.errors import GenmetricsError

__all__ = ["reporting_errors", "say"]

_DEFECT, _USAGE, _INTERRUPTED = 1, 2, 130


def say(text: str) -> None:
    """Print a line for people, on standard error: standard output is for results."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def reporting_errors(command: str = "genmetrics") -> Iterator[None]:
    """Turn the errors that we raise on purpose into a message and exit code 2, and Ctrl-C into 130.

    Of several processes all exit with the same code, 1 if one of them failed with another error, and one prints.

    Args:
        command: what the messages begin with.
    """
    try:
        yield
    except GenmetricsError as error:
        speaks, defect = origin_to_report(error)
        if speaks:
            say(f"{command}: error: {error}")
        raise typer.Exit(_DEFECT if defect else _USAGE) from None
    except KeyboardInterrupt as error:
        if origin_to_report(error)[0]:
            say(f"{command}: interrupted; nothing was written")
        raise typer.Exit(_INTERRUPTED) from None
