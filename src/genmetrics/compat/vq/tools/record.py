"""What the tools append to a text file of the ``--work-dir``."""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path

from genmetrics.errors import OutputError

__all__ = ["append_record"]


def append_record(path: Path, args: argparse.Namespace, **results: object) -> None:
    """Append the time, the arguments and the results, each as ``name=value``; what stands there stays.

    Args:
        path: the file, made if there is none.
        args: the arguments, under the names that the original has for them.
        results: what was measured, by name.

    Raises:
        OutputError: if it cannot be written.
    """
    lines = [str(datetime.datetime.now()), f"{args=}", *(f"{name}={value!r}" for name, value in results.items())]
    try:
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write("".join(f"{line}\n" for line in lines))  # at once, so that two runs do not mix
    except OSError as error:
        raise OutputError(f"cannot append to '{path}': {error.strerror or error}") from error
