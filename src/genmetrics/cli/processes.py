"""Commands that several processes run together, as ``torchrun`` starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from genmetrics.cli.options import backend_of

__all__ = ["among_ranks", "is_first_rank", "is_shared", "origin_to_report"]


def is_shared() -> bool:
    """Whether the environment says that this process is one of several; torch is not imported to know it."""
    return os.environ.get("WORLD_SIZE", "1") not in ("", "0", "1")


def is_first_rank() -> bool:
    """Whether this is the process that prints and writes."""
    return not is_shared() or os.environ.get("RANK", "0") == "0"


@contextmanager
def among_ranks(command: str, device: str) -> Iterator[bool]:
    """A block that all processes run, and that ends on all of them in the same way; gives whether this is the first.

    Args:
        command: what they run.
        device: as ``--device`` takes it.
    """
    if not is_shared():
        yield True
        return
    from genmetrics import distributed

    joined = distributed.join_from_environment(backend_of(device))
    try:
        with distributed.shared_run(command):
            yield distributed.current_shard().index == 0
    finally:
        if joined:
            distributed.leave()


def origin_to_report(error: BaseException) -> tuple[bool, bool]:
    """Of an error in such a block: whether this process prints it, and whether it is a defect on another.

    It is printed by the process whose error it is, and by one on every other machine.
    """
    if error.__cause__ is None or not is_shared():
        return True, False
    from genmetrics import distributed

    origin = distributed.origin_of(error)
    if origin is None:
        return True, False
    speaks = distributed.local_rank() == 0 and origin.host != distributed.this_host()
    return speaks, not (origin.ours or origin.interrupts)
