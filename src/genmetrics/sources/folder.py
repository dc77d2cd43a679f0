"""Image files: a folder with its subfolders, or a list of paths."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from genmetrics.errors import SourceError
from genmetrics.paths import require_path
from genmetrics.sources.decode import Decoded, decode_file
from genmetrics.sources.file_state import SetDigest
from genmetrics.sources.label_files import DATASET_JSON
from genmetrics.sources.loader import Item, ItemSource
from genmetrics.sources.names import (
    IMAGE_EXTENSIONS,
    PassedOver,
    count,
    extension,
    extensions_text,
    is_hidden,
    some,
)
from genmetrics.sources.patterns import short_names
from genmetrics.sources.sampling import add_files
from genmetrics.sources.tree import ImageTree
from genmetrics.types import AlphaPolicy, Fingerprint

__all__ = ["FolderSource", "PathListSource"]


class FolderSource(ImageTree):
    """All image files in a folder and its subfolders, in the order of their relative paths.

    Linked folders are entered, unless a link leads back to a folder that it is in. Hidden files and folders
    and ``__MACOSX`` are passed over; all other files that are no images are mentioned in ``notes``. A file
    with an image's extension is always an image: if it cannot be read, that is an error and not passed over.

    Classes are those of a ``dataset.json`` in the folder, as StyleGAN's and EDM's tools write it, if there is one.

    Attributes:
        extensions: those of image files, in lower case.
    """

    extensions: ClassVar[frozenset[str]] = IMAGE_EXTENSIONS

    def __init__(self, path: str | Path) -> None:
        """Find the images.

        Args:
            path: the folder.

        Raises:
            SourceError: if there is no such folder, a folder in it cannot be listed, or it holds no image.
        """
        self._root = require_path(path)
        self.description = str(path)
        if not self._root.is_dir():
            raise SourceError(f"'{path}' is a file, expected a folder of images; without 'folder:' it is recognised")
        passed_over = PassedOver()
        self._names, loops = _find_images(self._root, self.extensions, passed_over)
        if not self._names:
            found = passed_over.found_text()
            raise SourceError(
                f"folder '{path}' holds no image: looked in it and its subfolders for "
                f"{extensions_text(self.extensions)}; "
                + (f"found only {found}" if found else "the folder is empty")
                + _instead(self._root)
            )
        self._read_labels(passed_over)
        self.notes = passed_over.notes()
        if loops:
            self.notes += (f"passed over {count(len(loops), 'link')} back to a folder around it: {some(loops)}",)

    def fingerprint(self) -> Fingerprint:
        """Path, size and times of change of each image; one that has gone is written down as such."""
        digest = SetDigest()
        for name in self._names:
            digest.add_file(name, self._root / name)
        self._add_labels(digest)
        return digest.fingerprint(self.kind, self.description)

    def identity(self) -> str:
        """Path in the folder and size of each image, the beginnings of some, and the labels."""
        digest = SetDigest()
        add_files(digest, [(name, self._root / name) for name in self._names])
        self._add_labels(digest)
        return digest.hexdigest()

    def _loader(self, name: str) -> Callable[[AlphaPolicy], Decoded]:
        return partial(decode_file, self._root / name)

    def _read_labels(self, passed_over: PassedOver) -> None:
        path = self._root / DATASET_JSON
        try:
            data = path.read_bytes() if path.is_file() else b""
        except OSError as error:
            raise SourceError(f"'{path}' cannot be read: {error.strerror or error}; make it readable") from error
        self._take_labels(data, passed_over)


class PathListSource(ItemSource):
    """Image files in the order in which they are given."""

    kind = "files"

    def __init__(self, paths: Sequence[str | Path]) -> None:
        """Check the paths.

        Args:
            paths: image files, whatever their extension.

        Raises:
            SourceError: if the list is empty, or paths in it are missing or folders; ten of them are named.
        """
        self._paths = tuple(paths)
        if not self._paths:
            raise SourceError("the list of paths is empty, expected at least one image file")
        files = [Path(path).expanduser() for path in self._paths]
        missing = [str(given) for given, path in zip(self._paths, files, strict=True) if not path.exists()]
        if missing:
            raise SourceError(
                f"{len(missing):,} of {count(len(files), 'path')} in the list do not exist: {some(missing)}"
            )
        others = [str(given) for given, path in zip(self._paths, files, strict=True) if not path.is_file()]
        if others:
            raise SourceError(
                f"{len(others):,} of {count(len(files), 'path')} in the list are no files: {some(others)}; "
                "give image files, or one folder alone as a path"
            )
        self._files = tuple(files)
        more = f" and {len(files) - 1:,} more" if len(files) > 1 else ""
        self.description = f"{self._paths[0]}{more}"
        repeated = len(self._paths) - len(set(self._paths))
        if repeated:
            self.notes = (f"{count(repeated, 'path')} of the list occur in it before and are counted again",)

    def __len__(self) -> int:
        return len(self._files)

    def fingerprint(self) -> Fingerprint:
        """Path, size and times of change of each image; one that has gone is written down as such."""
        digest = SetDigest()
        for given, path in zip(self._paths, self._files, strict=True):
            digest.add_file(str(given), path)
        return digest.fingerprint(self.kind, self.description)

    def identity(self) -> str:
        """Name and size of each image, and the beginnings of some; the path as given where names occur twice."""
        digest = SetDigest()
        add_files(digest, list(zip(short_names(self._files), self._files, strict=True)))
        return digest.hexdigest()

    def items(self, wanted: Sequence[int]) -> Iterator[Item]:
        """The wanted images in order, each named by its path as given."""
        for index in wanted:
            yield Item(index, str(self._paths[index]), partial(decode_file, self._files[index]))


def _instead(root: Path) -> str:
    """What to type if a folder without images holds archives or tables."""
    for pattern in ("*.tar", "*.tar.gz", "*.tar.bz2", "*.tar.xz", "*.tgz"):
        if any(root.glob(pattern)):
            return f"; for the images in these archives, give '{root / pattern}'"
    if any(next(root.rglob(pattern), None) for pattern in ("*.parquet", "*.arrow")):
        return f"; for the images in these tables, give 'hf:{root}'"
    return ""


def _find_images(root: Path, extensions: frozenset[str], passed_over: PassedOver) -> tuple[list[str], list[str]]:
    """The relative paths of all images, sorted, and those of the links that would have led in circles."""
    names: list[str] = []
    loops: list[str] = []
    real_root = os.path.realpath(root)
    # Relative path with a slash behind it, real path, and the real paths of the folders around it.
    folders: list[tuple[str, str, frozenset[str]]] = [("", real_root, frozenset())]
    while folders:
        prefix, real, around = folders.pop()
        inside = around | {real}
        try:
            with os.scandir(root / prefix) as entries:
                for entry in entries:
                    name = prefix + entry.name
                    if is_hidden(entry.name):
                        passed_over.hidden += 1
                    elif entry.is_dir():
                        linked = entry.is_symlink()
                        real_entry = os.path.realpath(entry.path) if linked else f"{real}{os.sep}{entry.name}"
                        if real_entry in inside:
                            loops.append(name)
                        else:
                            folders.append((f"{name}/", real_entry, inside))
                    elif extension(entry.name) in extensions and (entry.is_file() or entry.is_symlink()):
                        # A broken link is taken along, so that it comes up as an image that cannot be read.
                        names.append(name)
                    else:
                        passed_over.add(entry.name)
        except OSError as error:
            raise SourceError(
                f"folder '{root / prefix}' cannot be listed: {error.strerror or error}; make it readable, or "
                "move it elsewhere to leave it out"
            ) from error
    names.sort()
    loops.sort()
    return names, loops
