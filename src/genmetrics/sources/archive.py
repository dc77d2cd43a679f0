"""Image files in zip archives, read in place."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from genmetrics.errors import SourceError
from genmetrics.paths import require_file
from genmetrics.sources.decode import BadImage, Decoded, decode_bytes
from genmetrics.sources.file_state import SetDigest, file_state, require_unchanged
from genmetrics.sources.label_files import DATASET_JSON, container_labels
from genmetrics.sources.loader import Item, ItemSource
from genmetrics.sources.members import (
    check_size,
    is_image,
    last_of_each_name,
    outside_note,
    plain_name,
    repeated_notes,
    require_images,
)
from genmetrics.sources.names import PassedOver
from genmetrics.sources.shared_file import SharedFile, zip_data_offset
from genmetrics.types import AlphaPolicy, Fingerprint

__all__ = ["ZipSource"]

_ENCRYPTED = 0x1


class _ZipEntry(NamedTuple):
    name: str
    header_offset: int
    method: int
    stored_size: int
    size: int
    crc: int


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
            self._state = file_state(self._path)
            with zipfile.ZipFile(self._path) as archive:
                found = [info for info in archive.infolist() if is_image(info.filename, info.is_dir(), passed_over)]
                json = archive.read(DATASET_JSON) if DATASET_JSON in archive.namelist() else b""
        except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, ValueError, zlib.error) as error:
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
        self._entries, repeated = last_of_each_name(
            _ZipEntry(
                plain_name(info.filename),
                info.header_offset,
                info.compress_type,
                info.compress_size,
                info.file_size,
                info.CRC,
            )
            for info in found
        )
        require_images(self._entries, "zip archive", path, passed_over)
        self._labels, self.label_problem = container_labels(json, self.names())
        if self._labels is not None:
            self.class_names = self._labels.class_names
            passed_over.take_back(DATASET_JSON)
        self.notes = passed_over.notes() + repeated_notes(repeated) + outside_note(self._entries)
        self._file = SharedFile(self._path)

    def __len__(self) -> int:
        return len(self._entries)

    def fingerprint(self) -> Fingerprint:
        """Name, recorded checksum and size of each image, size and times of change of the archive."""
        digest = self._listing()
        digest.add_state(self._path)
        return digest.fingerprint(self.kind, self.description)

    def identity(self) -> str:
        """Name, recorded checksum and size of each image, and the labels."""
        return self._listing().hexdigest()

    def _listing(self) -> SetDigest:
        digest = SetDigest()
        for entry in self._entries:
            digest.add(entry.name, entry.crc, entry.size)
        if self._labels is not None:
            digest.add("labels", self._labels.values.tolist(), self.class_names)
        return digest

    def names(self) -> Sequence[str]:
        """The path of each image in the archive."""
        return [entry.name for entry in self._entries]

    def paths(self) -> Sequence[str]:
        """The path of each image in the archive."""
        return self.names()

    def known_labels(self) -> Sequence[int] | None:
        """The class of each image, in their order."""
        return None if self._labels is None else self._labels.values.tolist()

    def items(self, wanted: Sequence[int]) -> Iterator[Item]:
        """The wanted images in order; reading and unpacking happen in the workers.

        Raises:
            SourceError: if the archive has changed since it was opened.
        """
        require_unchanged(self._path, self._state)
        for index in wanted:
            entry = self._entries[index]
            label = None if self._labels is None else int(self._labels.values[index])
            yield Item(index, entry.name, partial(_load_zipped, self._file, entry), label)


def _load_zipped(file: SharedFile, entry: _ZipEntry, alpha: AlphaPolicy) -> Decoded:
    check_size(max(entry.size, entry.stored_size))
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
