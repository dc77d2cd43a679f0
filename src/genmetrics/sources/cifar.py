"""CIFAR-10 and CIFAR-100, from the files of their official archives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from genmetrics.errors import SourceError
from genmetrics.sources.decode import Decoded
from genmetrics.sources.fetch import Archive, find_or_fetch
from genmetrics.sources.file_state import SetDigest
from genmetrics.sources.loader import Item, ItemSource
from genmetrics.sources.sampling import evenly_spaced
from genmetrics.types import AlphaPolicy, Fingerprint
from genmetrics.unpickle import RefusedPickleError, restricted_loads

__all__ = ["CIFAR10", "CIFAR100", "CifarFiles", "CifarSource", "open_cifar10", "open_cifar100"]

_SIDE = 32


@dataclass(frozen=True)
class CifarFiles:
    """Where things are in one of the two datasets.

    Attributes:
        archive: the official archive.
        splits: the files of each split, in order.
        rows: how many images each split has.
        labels: under which key a file has its labels.
        meta: the file of the class names, and their key in it.
    """

    archive: Archive
    splits: Mapping[str, tuple[str, ...]]
    rows: Mapping[str, int]
    labels: str
    meta: tuple[str, str]


_TRAIN_10 = tuple(f"data_batch_{number}" for number in range(1, 6))
CIFAR10 = CifarFiles(
    Archive(
        "cifar10",
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "c58f30108f718f92721af3b95e74349a",
        "cifar-10-batches-py",
        (*_TRAIN_10, "test_batch"),
        ("batches.meta",),
    ),
    {"train": _TRAIN_10, "test": ("test_batch",)},
    {"train": 50_000, "test": 10_000},
    "labels",
    ("batches.meta", "label_names"),
)
CIFAR100 = CifarFiles(
    Archive(
        "cifar100",
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        "eb9058c3a382ffc7106e4002c42a8d85",
        "cifar-100-python",
        ("train", "test"),
        ("meta",),
    ),
    {"train": ("train",), "test": ("test",)},
    {"train": 50_000, "test": 10_000},
    "fine_labels",
    ("meta", "fine_label_names"),
)


def open_cifar10(split: str, root: Path | None = None, download: bool = True) -> CifarSource:
    """A split of CIFAR-10, fetched if it is not here; see ``find_or_fetch``."""
    folder = find_or_fetch(CIFAR10.archive, CIFAR10.splits[split], root, download)
    return CifarSource(folder, CIFAR10, split, CIFAR10.rows[split])


def open_cifar100(split: str, root: Path | None = None, download: bool = True) -> CifarSource:
    """A split of CIFAR-100, with its 100 fine classes, fetched if it is not here; see ``find_or_fetch``."""
    folder = find_or_fetch(CIFAR100.archive, CIFAR100.splits[split], root, download)
    return CifarSource(folder, CIFAR100, split, CIFAR100.rows[split])


class CifarSource(ItemSource):
    """The images of a split in the order of its files, as torchvision and torch-fidelity count them.

    The files are Python pickles; nothing in them is ever run.
    """

    def __init__(self, folder: Path, files: CifarFiles, split: str, expected: int) -> None:
        """Read the files.

        Args:
            folder: where they are.
            files: which of the two datasets.
            split: ``train`` or ``test``.
            expected: how many images there must be.

        Raises:
            SourceError: if a file is damaged, holds something else, or the number of images is another.
        """
        self.kind = files.archive.dataset
        self.description = f"{self.kind}:{split}"
        paths = [folder / name for name in files.splits[split]]
        # What is read here stays in memory, so that it is known for good by the state of the files before.
        digest = SetDigest()
        digest.add(self.description)
        for path in (*paths, folder / files.meta[0]):
            digest.add_file(path.name, path)
        self._fingerprint = digest.fingerprint(self.kind, self.description)
        parts = [_read_batch(path, files.labels) for path in paths]
        self._rows = np.concatenate([rows for rows, _ in parts])
        self._labels = [label for _, labels in parts for label in labels]
        if len(self._rows) != expected:
            raise SourceError(
                f"'{folder}' has {len(self._rows):,} images in the files of '{self.description}', expected "
                f"{expected:,}; it is not the published dataset: delete the folder to have it fetched again"
            )
        self.class_names = _class_names(folder / files.meta[0], files.meta[1])

    def __len__(self) -> int:
        return len(self._rows)

    def fingerprint(self) -> Fingerprint:
        """Name, size and times of change that each file had before it was read."""
        return self._fingerprint

    def identity(self) -> str:
        """The labels, and some of the images."""
        digest = SetDigest()
        digest.add(self.description, self._labels, self.class_names)
        for index in evenly_spaced(len(self)):
            digest.add_bytes(self._rows[index].tobytes())
        return digest.hexdigest()

    def items(self, wanted: Sequence[int]) -> Iterator[Item]:
        """The wanted images in order, with their labels."""
        for index in wanted:
            yield Item(index, f"{self.description}[{index}]", partial(_load, self._rows[index]), self._labels[index])


def _load(row: np.ndarray, alpha: AlphaPolicy) -> Decoded:
    return Decoded(row.reshape(3, _SIDE, _SIDE).transpose(1, 2, 0), False)


def _unpickle(path: Path) -> dict[str, Any]:
    try:
        content = restricted_loads(path.read_bytes(), encoding="latin1")
    except (RefusedPickleError, OSError) as error:
        raise SourceError(
            f"'{path}' cannot be read as a file of CIFAR: {error}; delete its folder to have it fetched again"
        ) from error
    if not isinstance(content, dict):
        raise SourceError(f"'{path}' holds a {type(content).__name__}, expected a dict with 'data' and labels")
    return content


def _read_batch(path: Path, key: str) -> tuple[UInt8[np.ndarray, "n 3072"], list[int]]:
    content = _unpickle(path)
    rows, labels = content.get("data"), content.get(key)
    if not isinstance(rows, np.ndarray) or rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != 3 * _SIDE**2:
        shown = f"{rows.dtype} {rows.shape}" if isinstance(rows, np.ndarray) else type(rows).__name__
        raise SourceError(f"'data' of '{path}' is {shown}, expected uint8 (n, {3 * _SIDE**2})")
    if not isinstance(labels, list) or len(labels) != len(rows) or not all(type(label) is int for label in labels):
        raise SourceError(f"'{key}' of '{path}' is no list of {len(rows):,} whole numbers, one for each image")
    return rows, labels


def _class_names(path: Path, key: str) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    names = _unpickle(path).get(key)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SourceError(f"'{key}' of '{path}' is no list of class names")
    return tuple(names)
