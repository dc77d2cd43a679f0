"""One tar archive: what is in it, and its images one by one."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import NamedTuple

from genmetrics.errors import SourceError
from genmetrics.sources import members
from genmetrics.sources.decode import BadImage, Decoded, decode_bytes
from genmetrics.sources.file_state import FileState, file_state, require_unchanged
from genmetrics.sources.members import check_size, is_image, last_of_each_name, plain_name
from genmetrics.sources.names import IMAGE_EXTENSIONS, PassedOver, extension, is_hidden
from genmetrics.sources.remote import AnyPath
from genmetrics.sources.shared_file import SharedFile
from genmetrics.sources.tar_walk import TarWalk, is_compressed, tar_errors
from genmetrics.types import AlphaPolicy

__all__ = ["TarEntry", "TarShard", "column", "sample"]

_LABEL_EXTENSION = ".cls"
#: More than any number needs; the rest of a longer text is not read.
_MAX_LABEL_BYTES = 64


class TarEntry(NamedTuple):
    """One image: its name, its position among all members, and where its data is."""

    name: str
    ordinal: int
    offset: int
    size: int


@dataclass(frozen=True)
class TarShard:
    """One archive, listed once by its headers.

    Attributes:
        path: the archive.
        state: of the file, when it was listed.
        compressed: whether it can only be read from front to back.
        entries: the images in the order of their names.
        labels: the content of each ``.cls`` file, by its name without the extension.
        repeated: how many images were replaced by a later one of the same name.
        links: how many links and special files have an image's name.
        has_end: whether the archive has its end mark.
        has_more: whether anything comes after the end mark.
    """

    path: AnyPath
    state: FileState
    compressed: bool
    entries: tuple[TarEntry, ...]
    labels: dict[str, bytes]
    repeated: int
    links: int
    has_end: bool
    has_more: bool

    @classmethod
    def read(cls, path: AnyPath, webdataset: bool, passed_over: PassedOver) -> TarShard:
        """List an archive; a compressed one is read once for that.

        Args:
            path: the archive.
            webdataset: whether an image such as ``key.mask.png`` is another column of a sample, and passed
                over.
            passed_over: counts what is no image.

        Raises:
            SourceError: if it is no tar archive, or is damaged or cut short.
        """
        with tar_errors(path):
            state = file_state(path)
            compressed = is_compressed(path)
        walk = TarWalk(path)
        found: list[TarEntry] = []
        labels: dict[str, bytes] = {}
        links = 0
        for ordinal, (member, stream) in enumerate(walk.members(check_rest=True)):
            label = _label(member, stream)
            if label is not None:
                labels[plain_name(member.name).removesuffix(_LABEL_EXTENSION)] = label
                continue
            if not is_image(member.name, member.isdir(), passed_over):
                continue
            if not member.isreg() or member.issparse():
                links += 1
                continue
            if webdataset and column(member.name):
                passed_over.extensions[column(member.name)] += 1
                continue
            found.append(TarEntry(plain_name(member.name), ordinal, member.offset_data, member.size))
        entries, repeated = last_of_each_name(found)
        return cls(path, state, compressed, entries, labels, repeated, links, walk.has_end, walk.has_more)

    def label(self, entry: TarEntry) -> bytes | None:
        """The content of the ``.cls`` file beside an image; None if there is none."""
        beside = str(PurePosixPath(entry.name).with_suffix(""))
        return self.labels.get(beside, self.labels.get(sample(entry.name)))

    def items(self, wanted: Sequence[int]) -> Iterator[tuple[int, partial[Decoded]]]:
        """How the wanted images are loaded: in order from a plain archive, as they come from a compressed one.

        Args:
            wanted: positions among ``entries``, ascending.

        Raises:
            SourceError: if the archive is damaged or has changed since it was listed.
        """
        if not wanted:
            return
        require_unchanged(self.path, self.state)
        if self.compressed:
            for position, stream in self._stream(wanted):
                entry = self.entries[position]
                size = entry.size if entry.size <= members.MAX_MEMBER_BYTES else 0
                yield position, partial(_load_bytes, entry, _read(stream, size, self.path))
            return
        with tar_errors(self.path):
            # Open only while images of this shard are on their way: a set may have more shards than a process
            # may have files.
            file = SharedFile(self.path)
        for position in wanted:
            yield position, partial(_load_from_file, file, self.entries[position])

    def starts(self, wanted: Sequence[int], size: int) -> Iterator[tuple[int, bytes]]:
        """The first ``size`` bytes of each of the wanted images, in any order.

        Args:
            wanted: positions among ``entries``, ascending.
            size: how much is read of each.

        Raises:
            SourceError: if the archive is damaged or has changed since it was listed.
        """
        if not wanted:
            return
        require_unchanged(self.path, self.state)
        if self.compressed:
            for position, stream in self._stream(wanted):
                yield position, _read(stream, min(size, self.entries[position].size), self.path)
            return
        with tar_errors(self.path):
            file = SharedFile(self.path)
            for position in wanted:
                entry = self.entries[position]
                yield position, file.read(entry.offset, min(size, entry.size))

    def _stream(self, wanted: Sequence[int]) -> Iterator[tuple[int, io.BufferedIOBase]]:
        """The wanted images as they come in a compressed archive, each with the stream at its data."""
        position_of = {self.entries[position].ordinal: position for position in wanted}
        left = len(position_of)
        for ordinal, (member, stream) in enumerate(TarWalk(self.path).members(check_rest=False)):
            position = position_of.get(ordinal)
            if position is None:
                continue
            entry = self.entries[position]
            if (plain_name(member.name), member.size) != (entry.name, entry.size):
                raise SourceError(f"'{self.path}' has changed since it was opened; open it again")
            yield position, stream
            left -= 1
            if not left:
                return


def sample(name: str) -> str:
    """The key of the webdataset sample that a file belongs to: its path up to the first dot of its own name."""
    folder, slash, own = name.rpartition("/")
    return folder + slash + own.partition(".")[0]


def column(name: str) -> str:
    """The column of a webdataset sample that an image is, such as ``.mask.png``; empty for ``.png`` alone."""
    extensions = name.rpartition("/")[2].partition(".")[2]
    return "" if f".{extensions}".lower() in IMAGE_EXTENSIONS else f".{extensions}".lower()


def _label(member: tarfile.TarInfo, stream: io.BufferedIOBase) -> bytes | None:
    """The content of a ``.cls`` file; None for other members."""
    if extension(member.name) != _LABEL_EXTENSION or not member.isreg() or member.issparse():
        return None
    if any(is_hidden(part) for part in member.name.split("/")):
        return None
    return stream.read(min(member.size, _MAX_LABEL_BYTES))


def _read(stream: io.BufferedIOBase, size: int, path: AnyPath) -> bytes:
    with tar_errors(path):
        return stream.read(size)


def _load_from_file(file: SharedFile, entry: TarEntry, alpha: AlphaPolicy) -> Decoded:
    check_size(entry.size)
    try:
        data = file.read(entry.offset, entry.size)
    except OSError as error:
        raise BadImage(f"cannot be read from the archive: {error.strerror or error}") from error
    return _load_bytes(entry, data, alpha)


def _load_bytes(entry: TarEntry, data: bytes, alpha: AlphaPolicy) -> Decoded:
    check_size(entry.size)
    if len(data) != entry.size:
        raise BadImage(f"cut short in the archive: {len(data):,} of {entry.size:,} bytes")
    return decode_bytes(data, alpha)
