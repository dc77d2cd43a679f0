"""A file that several threads read at once, each at its own place."""

from __future__ import annotations

import os
import struct
import threading
import weakref

from genmetrics.sources.remote import AnyPath, RemotePath

__all__ = ["SharedFile", "zip_data_offset"]

_ZIP_LOCAL_HEADER = struct.Struct("<4s22xHH")


class SharedFile:
    """Reads at given offsets without a common position; closed when the last user lets go of it.

    Readers are workers that may still be busy when the pass that started them is over, so that no ``with``
    block could end at the right time.
    """

    def __init__(self, path: AnyPath) -> None:
        self._remote = path if isinstance(path, RemotePath) else None
        if isinstance(path, RemotePath):
            return
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
        self._lock = threading.Lock()
        weakref.finalize(self, os.close, self._descriptor)

    def read(self, offset: int, size: int) -> bytes:
        """``size`` bytes from ``offset``; fewer at the end of the file."""
        if self._remote is not None:
            return self._remote.read(offset, size)
        parts: list[bytes] = []
        while size > 0:
            part = self._read_some(offset, size)
            if not part:
                break
            parts.append(part)
            offset += len(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _read_some(self, offset: int, size: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._descriptor, size, offset)
        with self._lock:  # Windows has no pread
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            return os.read(self._descriptor, size)


def zip_data_offset(file: SharedFile, header_offset: int) -> int:
    """Where the data of a zip member begins.

    Args:
        file: the archive.
        header_offset: of the member's local header, from the central directory.

    Raises:
        ValueError: if there is no local header.
    """
    header = file.read(header_offset, _ZIP_LOCAL_HEADER.size)
    if len(header) < _ZIP_LOCAL_HEADER.size or header[:4] != b"PK\x03\x04":
        raise ValueError(f"no zip header at byte {header_offset:,}")
    _, name_length, extra_length = _ZIP_LOCAL_HEADER.unpack(header)
    return header_offset + _ZIP_LOCAL_HEADER.size + int(name_length) + int(extra_length)
