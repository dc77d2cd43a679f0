"""STL-10, from the binary files of its official archive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from genmetrics.errors import SourceError
from genmetrics.sources.decode import BadImage, Decoded
from genmetrics.sources.fetch import Archive, find_or_fetch
from genmetrics.sources.file_state import SetDigest, file_state, require_unchanged
from genmetrics.sources.loader import Item, ItemSource
from genmetrics.sources.sampling import evenly_spaced
from genmetrics.types import AlphaPolicy, Fingerprint

__all__ = ["STL10", "Stl10Source", "open_stl10"]

_SIDE = 96
_IMAGE_BYTES = 3 * _SIDE * _SIDE
_CLASSES = 10

STL10 = Archive(
    "stl10",
    "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
    "91f7769df0f17e558f3565bffb0c7dfb",
    "stl10_binary",
    ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin", "unlabeled_X.bin"),
    ("class_names.txt",),
)
#: The images of each split, its labels, and how many there are.
_SPLITS: Mapping[str, tuple[str, str | None, int]] = {
    "train": ("train_X.bin", "train_y.bin", 5_000),
    "test": ("test_X.bin", "test_y.bin", 8_000),
    "unlabeled": ("unlabeled_X.bin", None, 100_000),
}


def open_stl10(split: str, root: Path | None = None, download: bool = True) -> Stl10Source:
    """A split of STL-10, fetched if it is not here; see ``find_or_fetch``."""
    images, labels, expected = _SPLITS[split]
    folder = find_or_fetch(STL10, [name for name in (images, labels) if name is not None], root, download)
    return Stl10Source(folder, split, expected)


class Stl10Source(ItemSource):
    """The images of a split in the order of its file, which is mapped into memory."""

    kind = "stl10"

    def __init__(self, folder: Path, split: str, expected: int) -> None:
        """Open the files.

        Args:
            folder: where they are.
            split: ``train``, ``test`` or ``unlabeled``.
            expected: how many images there must be.

        Raises:
            SourceError: if a file has another size than so many images or labels, or a label is no class.
        """
        self.description = f"{self.kind}:{split}"
        images, labels, _ = _SPLITS[split]
        self._path = folder / images
        self._labels = None
        names = folder / "class_names.txt"
        files = [self._path] if labels is None else [self._path, folder / labels]
        if labels is not None and names.is_file():
            files.append(names)
        self._states = {path: file_state(path) for path in files}
        _check_size(self._path, expected * _IMAGE_BYTES, f"{expected:,} images of {_IMAGE_BYTES:,} bytes")
        if labels is not None:
            _check_size(folder / labels, expected, f"{expected:,} labels of one byte")
            # They count from 1 in the file.
            self._labels = np.fromfile(folder / labels, dtype=np.uint8).astype(np.int64) - 1
            if self._labels.min() < 0 or self._labels.max() >= _CLASSES:
                raise SourceError(
                    f"'{folder / labels}' holds labels outside 1..{_CLASSES}; it is damaged, fetch it again"
                )
            self.class_names = tuple(names.read_text().split()) if names in files else ()
        self._rows = np.memmap(self._path, dtype=np.uint8, mode="r", shape=(expected, 3, _SIDE, _SIDE))

    def __len__(self) -> int:
        return len(self._rows)

    def fingerprint(self) -> Fingerprint:
        """Name, size and times of change of the files."""
        digest = SetDigest()
        digest.add(self.description)
        for path in self._states:
            digest.add_file(path.name, path)
        return digest.fingerprint(self.kind, self.description)

    def identity(self) -> str:
        """The labels, and some of the images.

        Raises:
            SourceError: if a file has changed since it was opened.
        """
        self._require_unchanged()
        digest = SetDigest()
        digest.add(self.description, None if self._labels is None else self._labels.tolist(), self.class_names)
        for index in evenly_spaced(len(self)):
            digest.add_bytes(self._rows[index].tobytes())
        return digest.hexdigest()

    def _require_unchanged(self) -> None:
        for path, state in self._states.items():
            require_unchanged(path, state)

    def items(self, wanted: Sequence[int]) -> Iterator[Item]:
        """The wanted images in order, with their labels if the split has any.

        Raises:
            SourceError: if a file has changed since it was opened.
        """
        self._require_unchanged()
        for index in wanted:
            label = None if self._labels is None else int(self._labels[index])
            yield Item(index, f"{self.description}[{index}]", partial(_load, self._rows, index), label)


def _load(rows: np.ndarray, index: int, alpha: AlphaPolicy) -> Decoded:
    try:
        # The file holds columns one after another: (channel, column, row).
        return Decoded(np.array(rows[index].transpose(2, 1, 0)), False)
    except OSError as error:
        raise BadImage(f"cannot be read: {error}") from error


def _check_size(path: Path, expected: int, what: str) -> None:
    size = path.stat().st_size
    if size != expected:
        raise SourceError(
            f"'{path}' has {size:,} bytes, expected {expected:,} ({what}); it is not the published file: delete its "
            "folder to have it fetched again"
        )
