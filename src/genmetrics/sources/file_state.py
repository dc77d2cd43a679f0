"""Whether a file may have changed, told without reading it, and the fingerprints that rest on it."""

from __future__ import annotations

import hashlib
import time
from typing import NamedTuple

from genmetrics.errors import SourceError
from genmetrics.sources.remote import AnyPath
from genmetrics.types import Fingerprint

__all__ = ["FileState", "SetDigest", "file_state", "require_unchanged"]

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


def file_state(path: AnyPath) -> FileState:
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


def require_unchanged(path: AnyPath, state: FileState) -> None:
    """Raise an error if a file is not as it was when it was opened, so that what is known of it does not hold.

    Args:
        path: the file.
        state: how it was.

    Raises:
        SourceError: if it is another now, or gone.
    """
    if _state_or_none(path) != state:
        raise SourceError(f"'{path}' has changed since it was opened; open it again")


class SetDigest:
    """Builds a digest of a set from what is known of its parts."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, *values: object) -> None:
        """Add what is known, such as a name and a size."""
        self._digest.update(_line(values))

    def add_bytes(self, data: bytes) -> None:
        """Add content."""
        self.add(len(data))
        self._digest.update(data)

    def add_state(self, path: AnyPath) -> None:
        """Add the state that a file is in now; one that has gone is written down as such."""
        self.add(*(_state_or_none(path) or ("unreadable",)))

    def add_file(self, name: str, path: AnyPath) -> None:
        """Add a file by its name and the state that it is in now."""
        self.add(name)
        self.add_state(path)

    def hexdigest(self) -> str:
        """Of all that was added."""
        return self._digest.hexdigest()

    def fingerprint(self, kind: str, description: str) -> Fingerprint:
        """The fingerprint of all that was added."""
        return Fingerprint(kind, description, self.hexdigest())


def _state_or_none(path: AnyPath) -> FileState | None:
    try:
        return file_state(path)
    except OSError:
        return None


def _line(values: tuple[object, ...]) -> bytes:
    return ("\0".join(map(str, values)) + "\n").encode("utf-8", "surrogateescape")
