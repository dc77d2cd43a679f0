"""Image files in zip and tar archives, read in place."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from genmetrics.errors import SourceError
from genmetrics.paths import require_file
from genmetrics.sources.decode import BadImage, Decoded, decode_bytes
from genmetrics.sources.loader import Item, ItemSource
from genmetrics.sources.names import (
    IMAGE_EXTENSIONS,
    PassedOver,
    count,
    extension,
    extensions_text,
    is_hidden,
)
from genmetrics.sources.shared_file import SharedFile, zip_data_offset
from genmetrics.sources.tar_walk import TarWalk, is_compressed, tar_errors
from genmetrics.types import AlphaPolicy, Fingerprint

__all__ = ["TarSource", "ZipSource"]

#: A single image of more bytes than this is taken for a damaged or malicious archive.
_MAX_MEMBER_BYTES = 2**30
_ENCRYPTED = 0x1


class _ZipEntry(NamedTuple):
    name: str
    header_offset: int
    method: int
    stored_size: int
    size: int
    crc: int


class _TarEntry(NamedTuple):
    name: str
    ordinal: int
    offset: int
    size: int


_Entry = TypeVar("_Entry", _ZipEntry, _TarEntry)


class ZipSource(ItemSource):
    """The image files of a zip archive, in the order of their names.

    Members are chosen by name as in a folder. Of members with the same name the last one counts, as it would
    after unpacking.
    """

    kind = "zip"

    def __init__(self, path: str | Path) -> None:
        """Read the archive's directory.

        Raises:
            SourceError: if there is no such file, it is no zip archive or a damaged one, holds no image, or
                holds images that are encrypted or packed in another way than stored or deflated.
        """
        self._path = require_file(path, "a zip archive")
        self.description = str(path)
        passed_over = PassedOver()
        try:
            with zipfile.ZipFile(self._path) as archive:
                found = [info for info in archive.infolist() if _is_image(info.filename, info.is_dir(), passed_over)]
        except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
            raise SourceError(
                f"'{path}' is not a zip archive that can be read ({error}); it may be damaged or cut short: "
                "copy, download or pack it again"
            ) from error
        for info in found:
            if info.flag_bits & _ENCRYPTED:
                raise SourceError(f"'{info.filename}' in '{path}' is encrypted; unpack it with its password first")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise SourceError(
                    f"'{info.filename}' in '{path}' is packed with method {info.compress_type}, expected stored or "
                    "deflated; unpack the archive, or pack it with `zip -0 -r`"
                )
        self._entries, repeated = _last_of_each_name(
            _ZipEntry(
                _plain_name(info.filename),
                info.header_offset,
                info.compress_type,
                info.compress_size,
                info.file_size,
                info.CRC,
            )
            for info in found
        )
        _require_images(self._entries, self.kind, path, passed_over)
        self.notes = passed_over.notes() + repeated
        self._file = SharedFile(self._path)

    def __len__(self) -> int:
        return len(self._entries)

    def fingerprint(self) -> Fingerprint:
        """Name, checksum and size of each image, from the archive's directory."""
        digest = hashlib.sha256()
        for entry in self._entries:
            digest.update(f"{entry.name}\0{entry.crc}\0{entry.size}\n".encode("utf-8", "surrogateescape"))
        return Fingerprint(self.kind, self.description, digest.hexdigest())

    def items(self, wanted: Sequence[int]) -> Iterator[Item]:
        """The wanted images in order; reading and unpacking happen in the workers."""
        for index in wanted:
            entry = self._entries[index]
            yield Item(index, entry.name, partial(_load_zipped, self._file, entry))


class TarSource(ItemSource):
    """The image files of a tar archive, plain or compressed with gzip, bzip2 or xz.

    Members are chosen by name as in a folder, and counted in the order of their names. A plain archive is
    read at any place; a compressed one in a single pass, in the order in which it was packed. Links and
    sparse files inside the archive are not followed, and mentioned in ``notes``.
    """

    kind = "tar"

    def __init__(self, path: str | Path) -> None:
        """List the archive; a compressed one is read once for that.

        Raises:
            SourceError: if there is no such file, it is no tar archive, is damaged or cut short, or holds no
                image.
        """
        self._path = require_file(path, "a tar archive")
        self.description = str(path)
        with tar_errors(self._path):
            self._state = self._path.stat()
            self._file = None if is_compressed(self._path) else SharedFile(self._path)
        passed_over = PassedOver()
        walk = TarWalk(self._path)
        found: list[_TarEntry] = []
        links = 0
        for ordinal, (member, _) in enumerate(walk.members(check_rest=True)):
            if not _is_image(member.name, member.isdir(), passed_over):
                continue
            if not member.isreg() or member.issparse():
                links += 1
                continue
            found.append(_TarEntry(_plain_name(member.name), ordinal, member.offset_data, member.size))
        self._entries, repeated = _last_of_each_name(found)
        notes = list(passed_over.notes() + repeated)
        if links:
            notes.append(f"passed over {count(links, 'link')} or special files of an image's name")
        if not walk.has_end:
            notes.append("the archive has no end mark; it may have been cut short between two files")
        if walk.has_more:
            notes.append("more data follows the archive's end mark, such as a second archive; it is not read")
        self.notes = tuple(notes)
        _require_images(self._entries, self.kind, path, passed_over)

    def __len__(self) -> int:
        return len(self._entries)

    def fingerprint(self) -> Fingerprint:
        """Size and time of change of the archive, name and size of each image."""
        digest = hashlib.sha256(f"{self._state.st_size}\0{self._state.st_mtime_ns}\n".encode())
        for entry in self._entries:
            digest.update(f"{entry.name}\0{entry.size}\n".encode("utf-8", "surrogateescape"))
        return Fingerprint(self.kind, self.description, digest.hexdigest())

    def items(self, wanted: Sequence[int]) -> Iterator[Item]:
        """The wanted images: in order from a plain archive, as they come from a compressed one.

        Raises:
            SourceError: if the archive is damaged or has changed since it was listed.
        """
        if self._file is None:
            yield from self._stream(wanted)
            return
        for index in wanted:
            entry = self._entries[index]
            yield Item(index, entry.name, partial(_load_from_tar, self._file, entry))

    def _stream(self, wanted: Sequence[int]) -> Iterator[Item]:
        index_of = {self._entries[index].ordinal: index for index in wanted}
        if not index_of:
            return
        left = len(index_of)
        for ordinal, (member, stream) in enumerate(TarWalk(self._path).members(check_rest=False)):
            index = index_of.get(ordinal)
            if index is None:
                continue
            entry = self._entries[index]
            if (_plain_name(member.name), member.size) != (entry.name, entry.size):
                raise SourceError(f"'{self._path}' has changed since it was opened; open it again")
            with tar_errors(self._path):
                data = stream.read(entry.size) if entry.size <= _MAX_MEMBER_BYTES else b""
            yield Item(index, entry.name, partial(_load_bytes, entry, data))
            left -= 1
            if not left:
                return


def _is_image(name: str, is_folder: bool, passed_over: PassedOver) -> bool:
    if is_folder:
        return False
    if any(is_hidden(part) for part in name.split("/")):
        passed_over.hidden += 1
        return False
    if extension(name) in IMAGE_EXTENSIONS:
        return True
    passed_over.add(name)
    return False


def _plain_name(name: str) -> str:
    """Without the ``./`` of an archive packed from within its folder, so that it sorts as the folder does."""
    return name.removeprefix("./")


def _last_of_each_name(entries: Iterable[_Entry]) -> tuple[tuple[_Entry, ...], tuple[str, ...]]:
    """The entries in the order of their names, each name once, and a note if there were repetitions."""
    by_name: dict[str, _Entry] = {}
    repeated = 0
    for entry in entries:
        repeated += entry.name in by_name
        by_name[entry.name] = entry
    note = f"{count(repeated, 'image')} replaced by a later one of the same name, as unpacking would do"
    return tuple(by_name[name] for name in sorted(by_name)), (note,) if repeated else ()


def _require_images(
    entries: Sequence[_ZipEntry] | Sequence[_TarEntry], kind: str, path: str | Path, passed_over: PassedOver
) -> None:
    if entries:
        return
    found = passed_over.found_text()
    raise SourceError(
        f"{kind} archive '{path}' holds no image: looked for {extensions_text()}; "
        + (f"found only {found}" if found else "the archive is empty")
    )


def _check_size(size: int) -> None:
    if size > _MAX_MEMBER_BYTES:
        raise BadImage(f"its size in the archive is {size:,} bytes, expected at most {_MAX_MEMBER_BYTES:,}")


def _load_zipped(file: SharedFile, entry: _ZipEntry, alpha: AlphaPolicy) -> Decoded:
    _check_size(max(entry.size, entry.stored_size))
    try:
        packed = file.read(zip_data_offset(file, entry.header_offset), entry.stored_size)
        if entry.method == zipfile.ZIP_STORED:
            data = packed
        else:
            # One byte more than promised is enough to notice a member that unpacks to more than it says.
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, entry.size + 1)
    except (OSError, ValueError, zlib.error) as error:
        raise BadImage(f"damaged in the archive: {error}") from error
    if len(data) != entry.size or zlib.crc32(data) != entry.crc:
        raise BadImage("damaged in the archive: its size or checksum is not the recorded one")
    return decode_bytes(data, alpha)


def _load_from_tar(file: SharedFile, entry: _TarEntry, alpha: AlphaPolicy) -> Decoded:
    _check_size(entry.size)
    try:
        data = file.read(entry.offset, entry.size)
    except OSError as error:
        raise BadImage(f"cannot be read from the archive: {error.strerror or error}") from error
    return _load_bytes(entry, data, alpha)


def _load_bytes(entry: _TarEntry, data: bytes, alpha: AlphaPolicy) -> Decoded:
    _check_size(entry.size)
    if len(data) != entry.size:
        raise BadImage(f"cut short in the archive: {len(data):,} of {entry.size:,} bytes")
    return decode_bytes(data, alpha)
