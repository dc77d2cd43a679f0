"""Whether a file may have changed, told without reading it, and the fingerprints that rest on it."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import NamedTuple

from genmetrics.types import Fingerprint

__all__ = ["FileState", "SetDigest", "file_state"]

#: The clock that file systems stamp changes with stands still for up to 10 ms. A file that changed within this
#: time could change once more and keep its stamps.
_CLOCK_STEP_NS = 20_000_000


class FileState(NamedTuple):
    """What the file system says of a file's content.

    The time of modification can be set back by any program, as copying tools do, the time of the last change
    of the file's record (``ctime``) by none. The inode tells apart two files that came about in one moment,
    one of which a link was turned to.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


def file_state(path: Path) -> FileState:
    """The state of a file, links followed.

    Call it before the content is read: content that changes in between is then known by a state that no file
    will have again. A file that has changed just now is waited for, some milliseconds, so that its next
    change is sure to show.

    Raises:
        OSError: if there is no such file.
    """
    found = path.stat()
    age = time.time_ns() - found.st_ctime_ns
    if 0 <= age < _CLOCK_STEP_NS:
        time.sleep((_CLOCK_STEP_NS - age) / 1e9)
    return FileState(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


class SetDigest:
    """Builds a fingerprint: what a copy of the set keeps goes into both digests, states of files into one."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._listing = hashlib.sha256()

    def add(self, *values: object) -> None:
        """Add what a copy keeps, such as a name and a size."""
        line = _line(values)
        self._digest.update(line)
        self._listing.update(line)

    def add_state(self, state: FileState | None) -> None:
        """Add the state of a file; None stands for one that cannot be looked at."""
        self._digest.update(_line(state or ("unreadable",)))

    def add_file(self, name: str, path: Path) -> None:
        """Add a file by its name, its size and its state; one that has gone is written down as such."""
        try:
            state = file_state(path)
        except OSError:
            state = None
        self.add(name, "unreadable" if state is None else state.size)
        self.add_state(state)

    def fingerprint(self, kind: str, description: str) -> Fingerprint:
        """The fingerprint of all that was added."""
        return Fingerprint(kind, description, self._digest.hexdigest(), self._listing.hexdigest())


def _line(values: tuple[object, ...]) -> bytes:
    return ("\0".join(map(str, values)) + "\n").encode("utf-8", "surrogateescape")
