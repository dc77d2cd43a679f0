"""Walking through the members of a tar archive, plain or compressed, from front to back.

``tarfile``'s own iteration takes a damaged header for the end of the archive and would lose all images behind
it in silence. Here each end other than the proper one is an error.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tarfile import EmptyHeaderError, EOFHeaderError  # type: ignore[attr-defined]  # missing in typeshed
from typing import Any, cast

from genmetrics.errors import SourceError
from genmetrics.sources.remote import AnyPath, RemotePath

__all__ = ["TarWalk", "is_compressed", "tar_errors"]

#: What each compression begins with, as (offset, bytes). Of bzip2 more than the first letters are looked at, since
#: a plain archive begins with the name of its first member.
_MAGIC: tuple[tuple[int, bytes, Callable[..., Any]], ...] = (
    (0, b"\x1f\x8b", gzip.open),
    (4, b"1AY&SY", bz2.open),
    (0, b"\xfd7zXZ\x00", lzma.open),
)
_CHUNK = 2**20


def is_compressed(path: AnyPath) -> bool:
    """Whether the file is compressed with gzip, bzip2 or xz."""
    return _opener(path) is not None


def _opener(path: AnyPath) -> Callable[..., Any] | None:
    with path.open("rb") as file:
        start = file.read(16)
    for offset, magic, opener in _MAGIC:
        if start.startswith(magic, offset):
            return opener
    return None


@contextmanager
def tar_errors(path: AnyPath) -> Iterator[None]:
    """Turn all errors of a damaged archive into a ``SourceError`` that names it."""
    try:
        yield
    except (OSError, EOFError, tarfile.TarError, zlib.error, lzma.LZMAError, ValueError) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(
            f"'{path}' is not a tar archive that can be read, or it is damaged or cut short ({error}); copy, "
            "download or pack it again"
        ) from error


class TarWalk:
    """An iterator over the members; between two of them, the data of the first can be read.

    Attributes:
        has_end: after the last member: whether the archive has its end mark.
        has_more: after the last member: whether anything comes after the end mark.
    """

    def __init__(self, path: AnyPath) -> None:
        self._path = path
        self.has_end = False
        self.has_more = False

    def members(self, check_rest: bool) -> Iterator[tuple[tarfile.TarInfo, io.BufferedIOBase]]:
        """Each member, and the file, positioned at the member's data.

        Args:
            check_rest: after the last member, read to the end of the file. This verifies the checksum of a
                compressed archive and finds what was appended.

        Raises:
            SourceError: if the archive is damaged or ends early.
        """
        with tar_errors(self._path), self._open() as stream:
            # Constructing a TarFile reads the first header; all reading below goes by the stream itself.
            archive = tarfile.TarFile(fileobj=stream, mode="r")
            plain_size = None if is_compressed(self._path) else self._path.stat().st_size
            stream.seek(0)
            archive.offset = 0
            while True:
                try:
                    member = tarfile.TarInfo.fromtarfile(archive)
                except EOFHeaderError:
                    self.has_end = True
                    break
                except EmptyHeaderError:
                    break
                if plain_size is not None and member.offset_data + member.size > plain_size and member.isreg():
                    raise EOFError(f"'{member.name}' goes beyond the end of the file")
                if not member.issparse():
                    stream.seek(member.offset_data)
                yield member, stream
                if stream.seek(archive.offset) < archive.offset:
                    raise EOFError(f"the file ends within '{member.name}'")
            while check_rest and (rest := stream.read(_CHUNK)):
                self.has_more = self.has_more or rest.count(0) < len(rest)
                if self.has_more and plain_size is not None:
                    break

    def _open(self) -> io.BufferedIOBase:
        opener = _opener(self._path)
        if opener is None:
            return self._path.open("rb")
        given = self._path.open("rb") if isinstance(self._path, RemotePath) else self._path
        return cast("io.BufferedIOBase", opener(given, "rb"))
