"""Where the rows of a feature bank lie: in memory, or beyond a limit in a file that nobody else sees."""

from __future__ import annotations

import mmap
import os
import re
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import torch
from jaxtyping import Float
from torch import Tensor

from genmetrics.errors import OutputError, UsageError

__all__ = ["FOLDER", "LIMIT", "RowFile", "bank_memory", "new_rows"]

#: How much of a bank's rows may be in memory, such as ``4G``; the rest goes to the folder for temporary files.
LIMIT = "GENMETRICS_BANK_MEMORY"
#: The folder of those files; without it that of ``TMPDIR``.
FOLDER = "GENMETRICS_BANK_FOLDER"

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_PART_OF_MEMORY = 4
_ZEROS = 2**20
#: Files that say what a container may have, of cgroups version 2 and 1.
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def bank_memory() -> int:
    """How many bytes of one bank's rows a process may keep in memory.

    ``GENMETRICS_BANK_MEMORY`` says so; else it is a quarter of what the machine, or the container, has, shared out
    among the processes that ``torchrun`` started on the machine.

    Raises:
        UsageError: if the variable is no size.
    """
    given = os.environ.get(LIMIT)
    if given is not None:
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", given.strip(), re.IGNORECASE)
        if found is None:
            raise UsageError(f"{LIMIT}={given!r}: expected a number of bytes, such as 500M or 4G")
        return int(float(found[1]) * _UNITS[found[2].upper()])
    processes = max(1, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    return _memory_of_machine() // _PART_OF_MEMORY // processes


def new_rows(count: int, width: int, dtype: torch.dtype, limit: int) -> Tensor:
    """Room for (count, width) rows: in memory up to ``limit`` bytes, else in a file of which the room is reserved.

    The file has no name, so that it is gone with the last tensor of it, or with the process however that ends.

    Raises:
        OutputError: if the disk has no room for it.
    """
    size = count * width * dtype.itemsize
    if size <= limit or size == 0:
        return torch.empty((count, width), dtype=dtype)
    with _saying_what_failed(f"room for {count} feature rows ({size / 1e9:.2f} GB)"), _unnamed() as file:
        _reserve(file.fileno(), size)
        return _mapped(file.fileno(), count, width, dtype)


class RowFile:
    """Rows that are put into a file one batch after the other."""

    def __init__(self, width: int, dtype: torch.dtype) -> None:
        self._width, self._dtype, self._count = width, dtype, 0
        with _saying_what_failed("feature rows"), _unnamed() as file:
            self._file = os.dup(file.fileno())
        self._ending = weakref.finalize(self, os.close, self._file)

    def append(self, rows: Float[Tensor, "n d"]) -> None:
        """Write rows behind those before.

        Raises:
            OutputError: if the disk is full.
        """
        with _saying_what_failed(f"feature row {self._count + len(rows)} ({rows.nbytes / 1e6:.1f} MB)"):
            left = rows.contiguous().view(-1).view(torch.uint8).numpy().data
            while left:  # a system writes at most 2 GB at a time, and on a full disk what there is room for
                left = left[os.write(self._file, left) :]
        self._count += len(rows)

    def after(self, count: int) -> Float[Tensor, "n d"]:
        """A copy of all but the first so many; more can be added."""
        rows = torch.empty((max(0, self._count - count), self._width), dtype=self._dtype)
        room, at = rows.view(-1).view(torch.uint8).numpy().data, count * self._width * self._dtype.itemsize
        with _saying_what_failed("feature rows"):
            while room:
                read = os.preadv(self._file, [room], at)
                room, at = room[read:], at + read
        return rows

    def rows(self) -> Float[Tensor, "n d"]:
        """All of them, mapped into memory; nothing can be added any more."""
        rows = _mapped(self._file, self._count, self._width, self._dtype)
        self._ending()
        return rows


def _unnamed() -> IO[bytes]:
    return tempfile.TemporaryFile(dir=_folder())


def _folder() -> str:
    return os.environ.get(FOLDER) or tempfile.gettempdir()


def _mapped(file: int, count: int, width: int, dtype: torch.dtype) -> Tensor:
    size = count * width * dtype.itemsize
    return torch.frombuffer(mmap.mmap(file, size), dtype=dtype).view(count, width)


@contextmanager
def _saying_what_failed(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"feature banks beyond the limit of {LIMIT} ({bank_memory() / 1e9:.2f} GB) are kept in temporary files, "
            f"and {what} cannot be written in '{_folder()}': {error.strerror or error}. Make room there, name another "
            f"folder with {FOLDER}, or allow more memory with {LIMIT}"
        ) from error


def _reserve(file: int, size: int) -> None:
    """Take the room from the disk now: a write through a map to a full disk would end the process."""
    try:
        os.posix_fallocate(file, 0, size)
    except AttributeError:  # a system without it
        for start in range(0, size, _ZEROS):
            os.write(file, bytes(min(_ZEROS, size - start)))


def _memory_of_machine() -> int:
    """Of the machine, or of the container where that may have less."""
    most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in _CGROUP_LIMITS:
        try:
            text = Path(name).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdigit():
            most = min(most, int(text))
    return most
