"""What clean-fid takes for a set of images: a folder, a zip archive or a list of files, ``.npy`` arrays among them."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from genmetrics.errors import SourceError, UsageError
from genmetrics.sources.archive import ZipSource
from genmetrics.sources.decode import BadImage, Decoded, decode_array, decode_file
from genmetrics.sources.file_state import SetDigest
from genmetrics.sources.folder import FolderSource, PathListSource
from genmetrics.sources.loader import Item, ItemSource
from genmetrics.sources.names import IMAGE_EXTENSIONS, count, extension, some
from genmetrics.sources.parse import open_source
from genmetrics.types import AlphaPolicy, Fingerprint

__all__ = ["EXTENSIONS", "PathLike", "holds_floats", "listed_images", "opened_images", "pixels_of", "some_of"]

PathLike = str | os.PathLike[str]

ARRAY = ".npy"
#: The extensions of images, in lower case; those of files are taken in any case.
EXTENSIONS = frozenset(name.removeprefix(".") for name in (*IMAGE_EXTENSIONS, ARRAY))


class _Folder(FolderSource):
    extensions = IMAGE_EXTENSIONS | {ARRAY}

    def _loader(self, name: str) -> Callable[[AlphaPolicy], Decoded]:
        return partial(_decode, self._root / name)


class _Files(PathListSource):
    def items(self, wanted: Sequence[int]) -> Iterator[Item]:
        for item in super().items(wanted):
            yield replace(item, load=partial(_decode, self._files[item.index]))


class _Some(ItemSource):
    """Some images of another source, in another order."""

    def __init__(self, whole: ItemSource, order: Sequence[int]) -> None:
        self.whole = whole
        self.order = tuple(order)
        self.kind, self.notes = whole.kind, whole.notes
        self.description = f"{count(len(self.order), 'image')} of {whole.description}"

    def __len__(self) -> int:
        return len(self.order)

    def fingerprint(self) -> Fingerprint:
        whole, digest = self.whole.fingerprint(), SetDigest()
        digest.add(whole.digest, self.order)
        return Fingerprint(self.kind, self.description, None if whole.digest is None else digest.hexdigest())

    def identity(self) -> str | None:
        digest = SetDigest()
        digest.add(self.whole.identity(), self.order)
        return digest.hexdigest()

    def names(self) -> Sequence[str]:
        names = self.whole.names()
        return [names[position] for position in self.order]

    def items(self, wanted: Sequence[int]) -> Iterator[Item]:
        places: dict[int, list[int]] = {}
        for index in wanted:
            places.setdefault(self.order[index], []).append(index)
        for item in self.whole.items(tuple(sorted(places))):
            for index in places[item.index]:
                yield replace(item, index=index, label=None)


def opened_images(fdir: PathLike) -> ItemSource:
    """The images of a folder with its subfolders, in the order of their paths, or of an archive.

    Args:
        fdir: a folder or a zip archive, whatever its name.

    Raises:
        SourceError: if it is missing, empty, damaged or none of these.
    """
    path = Path(fdir).expanduser()
    if path.is_dir():
        return _Folder(path)
    source = open_source(path)
    if not isinstance(source, ZipSource):
        raise SourceError(
            f"'{fdir}' holds images as {source.kind}, expected a folder of images or a zip archive; genmetrics itself "
            f"takes it: genmetrics eval {fdir} --ref REF -m fid_clean"
        )
    return source


def listed_images(files: Sequence[PathLike], fdir: PathLike | None = None) -> ItemSource:
    """Images by their paths, or by their names in a zip archive.

    Args:
        files: in this order.
        fdir: a zip archive that they are in; a folder says nothing, since the paths are whole.

    Raises:
        SourceError: if files are missing.
        UsageError: if there are none.
    """
    if not files:
        raise UsageError("the list of files is empty, expected at least one image")
    if fdir is None or Path(fdir).expanduser().is_dir():
        return _Files([os.fspath(file) for file in files])
    archive = ZipSource(os.fspath(fdir))
    positions = {name: position for position, name in enumerate(archive.names())}
    missing = [os.fspath(file) for file in files if os.fspath(file) not in positions]
    if missing:
        raise SourceError(f"{count(len(missing), 'file')} of the list are no images in '{fdir}': {some(missing)}")
    return _Some(archive, [positions[os.fspath(file)] for file in files])


def some_of(source: ItemSource, num: int | None, shuffle: bool, seed: int) -> ItemSource:
    """The images that ``num``, ``shuffle`` and ``seed`` choose, in their order: those that clean-fid chooses.

    Args:
        source: all of them.
        num: how many, the first ones unless they are shuffled; None takes all in their order.
        shuffle: whether to draw them, with Python's ``random``.
        seed: of the draw.

    Raises:
        UsageError: if ``num`` is no number of images.
    """
    if num is None:
        return source
    if num < 1:
        raise UsageError(f"num is {num}, expected at least 1, or None for all images")
    order = list(range(len(source)))
    if shuffle:
        random.Random(seed).shuffle(order)
    return _Some(source, order[:num])


def holds_floats(source: ItemSource) -> bool:
    """Whether some images are ``.npy`` arrays of another type than uint8, which no 8-bit reader takes."""
    if isinstance(source, _Some):
        whole = source.whole
        return any(_is_float(path) for path in map(_paths(whole).get, source.order) if path is not None)
    return any(_is_float(path) for path in _paths(source).values())


def pixels_of(source: ItemSource, index: int) -> np.ndarray:
    """The pixels of one image: (h, w, 3) uint8 RGB, or what an array file holds.

    Raises:
        BadImage: if it cannot be read.
    """
    whole, position = (source.whole, source.order[index]) if isinstance(source, _Some) else (source, index)
    item = next(iter(whole.items((position,))))
    path = _path_of(whole, position)
    return item.load("drop").pixels if path is None else _array(path)


def _paths(source: ItemSource) -> dict[int, Path]:
    """Where the array files of a source are, by position."""
    if not isinstance(source, _Folder | _Files):
        return {}
    found = {position: _path_of(source, position) for position in range(len(source))}
    return {position: path for position, path in found.items() if path is not None}


def _path_of(source: ItemSource, position: int) -> Path | None:
    """Where an array file is; None of an image of another kind."""
    if isinstance(source, _Folder) and extension(source._names[position]) == ARRAY:
        return source._root / source._names[position]
    if isinstance(source, _Files) and extension(str(source._files[position])) == ARRAY:
        return source._files[position]
    return None


def _is_float(path: Path) -> bool:
    try:
        return bool(np.load(path, mmap_mode="r", allow_pickle=False).dtype != np.uint8)
    except (OSError, ValueError, EOFError):
        return False  # reading it says what is wrong


def _decode(path: Path, alpha: AlphaPolicy) -> Decoded:
    if extension(path.name) != ARRAY:
        return decode_file(path, alpha)
    array = _array(path)
    if array.dtype != np.uint8:
        raise BadImage(f"an array of {array.dtype}, expected uint8, 0..255")
    return decode_array(array, alpha)


def _array(path: Path) -> np.ndarray:
    """One image out of an ``.npy`` file, (h, w, c)."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadImage(f"no array that can be read: {error}") from error
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise BadImage(f"an array of shape {array.shape}, expected one image, (h, w, 3)")
    if array.dtype.kind not in "fu":
        raise BadImage(f"an array of {array.dtype}, expected uint8 or floats, 0..255")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BadImage("an array with NaN or infinity")
    return np.asarray(array)
