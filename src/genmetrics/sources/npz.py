"""Images in ``.npz`` files, the layout in which ADM, DiT and others exchange sample sets.

Such a file may be larger than the memory, so that nothing but single rows is ever loaded, also from a
compressed one. Pickled objects are never loaded.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
from jaxtyping import Int64

from genmetrics.errors import SourceError
from genmetrics.file_kinds import ArrayHeader, read_array_header
from genmetrics.paths import require_file
from genmetrics.sources.decode import BadImage, Decoded, decode_array
from genmetrics.sources.file_state import SetDigest, file_state, require_unchanged
from genmetrics.sources.layout import check_array
from genmetrics.sources.loader import Item, ItemSource
from genmetrics.sources.shared_file import SharedFile, zip_data_offset
from genmetrics.types import AlphaPolicy, Fingerprint

__all__ = ["NpzSource"]

_EXPECTED = "expected 'arr_0', uint8 (n, h, w, 3), and perhaps 'arr_1' with n integer labels"
#: How much is read at once to pass over images that are not wanted.
_CHUNK = 2**16


class NpzSource(ItemSource):
    """``arr_0`` of an ``.npz`` file, uint8 (n, h, w, 3), with the labels of ``arr_1`` if there are any.

    One channel is grey and four are RGBA under the alpha policy.
    """

    kind = "npz"

    def __init__(self, path: str | Path) -> None:
        """Read the directory, the array's header and the labels.

        Raises:
            SourceError: if there is no such file, it is damaged or cut short, or holds something else.
        """
        self._path = require_file(path, "an .npz file")
        self.description = str(path)
        with _npz_errors(self._path):
            self._state = file_state(self._path)
        with _npz_errors(self._path), zipfile.ZipFile(self._path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            self._directory = sorted((name, info.CRC, info.file_size) for name, info in members.items())
            if "arr_0" not in members:
                raise SourceError(_without_images(str(path), list(members)))
            self._member = members["arr_0"]
            with _open(archive, self._member) as file:
                header = _read_header(file, f"'arr_0' of '{path}'")
                #: How many bytes of the member come before the values.
                self._header_size = file.tell()
            check_array(f"'arr_0' of '{path}'", str(header.dtype), header.shape)
            if header.fortran_order:
                raise SourceError(
                    f"'arr_0' of '{path}' is in Fortran order, expected C order; save `np.ascontiguousarray(x)`"
                )
            held, promised = self._member.file_size - self._header_size, math.prod(header.shape)
            if held != promised:
                raise SourceError(f"'{path}' is damaged: 'arr_0' holds {held:,} values, its header says {promised:,}")
            self._header = header
            self._labels = _read_labels(archive, members["arr_1"], str(path), len(self)) if "arr_1" in members else None
        self._file = SharedFile(self._path) if self._member.compress_type == zipfile.ZIP_STORED else None

    def __len__(self) -> int:
        return self._header.shape[0]

    def fingerprint(self) -> Fingerprint:
        """Name, recorded checksum and size of each array, size and times of change of the file."""
        digest = self._listing()
        digest.add_state(self._path)
        return digest.fingerprint(self.kind, self.description)

    def identity(self) -> str:
        """Name, recorded checksum and size of each array."""
        return self._listing().hexdigest()

    def _listing(self) -> SetDigest:
        digest = SetDigest()
        for name, checksum, size in self._directory:
            digest.add(name, checksum, size)
        return digest

    def names(self) -> Sequence[str]:
        """The file and row of each image."""
        return [f"{self.description}[{index}]" for index in range(len(self))]

    def known_labels(self) -> Sequence[int] | None:
        """The class of each image, in their order."""
        return None if self._labels is None else self._labels.tolist()

    def items(self, wanted: Sequence[int]) -> Iterator[Item]:
        """The wanted images in order.

        Raises:
            SourceError: if the file is damaged or has changed since it was opened.
        """
        require_unchanged(self._path, self._state)
        if self._file is None:
            yield from self._stream(wanted)
            return
        row_size = math.prod(self._header.shape[1:])
        with _npz_errors(self._path):
            start = zip_data_offset(self._file, self._member.header_offset) + self._header_size
        for index in wanted:
            load = partial(_read_row, self._file, start + index * row_size, self._header.shape[1:])
            yield self._item(index, load)

    def _stream(self, wanted: Sequence[int]) -> Iterator[Item]:
        """From a compressed member, which can only be read from front to back."""
        shape = self._header.shape[1:]
        row_size = math.prod(shape)
        position = 0
        with (
            _npz_errors(self._path),
            zipfile.ZipFile(self._path) as archive,
            _open(archive, self._member) as file,
        ):
            _skip(file, self._header_size)
            for index in wanted:
                _skip(file, (index - position) * row_size)
                row = _read_exactly(file, row_size)
                position = index + 1
                if position == len(self) and file.read(1):  # reading to the end verifies the checksum
                    raise ValueError("'arr_0' is longer than its header says")
                yield self._item(index, partial(_decode_row, row, shape))

    def _item(self, index: int, load: partial[Decoded]) -> Item:
        label = None if self._labels is None else int(self._labels[index])
        return Item(index, f"{self.description}[{index}]", load, label)


def _without_images(path: str, keys: list[str]) -> str:
    if "mu" in keys and "sigma" in keys:
        return (
            f"'{path}' is a statistics file (it holds 'mu' and 'sigma'), not an image source; for a source, {_EXPECTED}"
        )
    holds = ", ".join(repr(key) for key in sorted(keys)[:10]) if keys else "nothing"
    return f"'{path}' holds {holds}; {_EXPECTED}, as `np.savez(path, images)` writes it"


def _open(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> zipfile.ZipExtFile:
    return cast("zipfile.ZipExtFile", archive.open(member))


def _read_header(file: zipfile.ZipExtFile, what: str) -> ArrayHeader:
    header = read_array_header(file)
    if header.dtype.hasobject:
        raise SourceError(f"{what} holds pickled Python objects, which are never loaded; {_EXPECTED}")
    return header


def _read_labels(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: str, total: int) -> Int64[np.ndarray, " n"]:
    what = f"'arr_1' of '{path}'"
    with _open(archive, member) as file:
        header = _read_header(file, what)
    if header.shape != (total,) or header.dtype.kind not in "iu":
        raise SourceError(
            f"{what} is {header.dtype} of shape {header.shape}, expected one integer label for each of the "
            f"{total:,} images; save the images alone, or the labels as `labels.astype(np.int64)`"
        )
    with _open(archive, member) as file:
        labels = np.lib.format.read_array(file, allow_pickle=False)
    return labels.astype(np.int64)


def _read_row(file: SharedFile, offset: int, shape: tuple[int, ...], alpha: AlphaPolicy) -> Decoded:
    size = math.prod(shape)
    try:
        row = file.read(offset, size)
    except OSError as error:
        raise BadImage(f"cannot be read: {error.strerror or error}") from error
    if len(row) < size:
        raise BadImage(f"cut short: {len(row):,} of {size:,} bytes")
    return _decode_row(row, shape, alpha)


def _decode_row(row: bytes, shape: tuple[int, ...], alpha: AlphaPolicy) -> Decoded:
    return decode_array(np.frombuffer(row, dtype=np.uint8).reshape(shape), alpha)


def _skip(file: zipfile.ZipExtFile, size: int) -> None:
    while size > 0:
        size -= len(_read_exactly(file, min(size, _CHUNK)))


def _read_exactly(file: zipfile.ZipExtFile, size: int) -> bytes:
    parts = []
    left = size
    while left > 0:
        part = file.read(left)
        if not part:
            raise EOFError("'arr_0' ends early")
        parts.append(part)
        left -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


@contextmanager
def _npz_errors(path: Path) -> Iterator[None]:
    """Turn all errors of a damaged file into a ``SourceError`` that names it."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        OSError,
        EOFError,
        zlib.error,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(
            f"'{path}' is not an .npz file that can be read, or it is damaged or cut short ({error}); copy, "
            "download or save it again"
        ) from error
