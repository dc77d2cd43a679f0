"""A fixed sample of a set's bytes, which tells apart sets whose files have the same names and sizes.

Raw formats have them: the ``.bmp`` images, or the arrays, of two checkpoints of one model differ in nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

from genmetrics.sources.file_state import SetDigest
from genmetrics.sources.remote import AnyPath

__all__ = ["SAMPLE_BYTES", "add_blocks", "add_files", "evenly_spaced"]

#: How many places of a set are looked at, and how much of each.
_MOST_SAMPLES = 64
SAMPLE_BYTES = 2**16


def evenly_spaced(total: int, files: int = 1) -> tuple[int, ...]:
    """Up to 64 positions of ``total``, the first and the last among them; of each of several files fewer."""
    most = max(1, _MOST_SAMPLES // files)
    if total <= most:
        return tuple(range(total))
    return tuple(index * (total - 1) // max(1, most - 1) for index in range(most))


def add_files(digest: SetDigest, files: Sequence[tuple[str, AnyPath]]) -> None:
    """Add the name and size of each file, and the beginnings of some; one that has gone is written down as such."""
    for name, path in files:
        digest.add(name, _size(path))
    for index in evenly_spaced(len(files)):
        _add_part(digest, files[index][1], 0)


def add_blocks(digest: SetDigest, paths: Sequence[AnyPath]) -> None:
    """Add blocks of large files: of one file from all over it, of many files from some of them."""
    chosen = evenly_spaced(len(paths))
    for index in chosen:
        size = _size(paths[index])
        digest.add(size)
        last = max(0, (size or 0) - SAMPLE_BYTES)
        for place in evenly_spaced(last + 1, len(chosen)):
            _add_part(digest, paths[index], place)


def _size(path: AnyPath) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _add_part(digest: SetDigest, path: AnyPath, start: int) -> None:
    try:
        with path.open("rb") as file:
            file.seek(start)
            digest.add_bytes(file.read(SAMPLE_BYTES))
    except OSError:
        digest.add("unreadable")
