"""Files that say which class each image is of, and how their names are brought together with the images'."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from genmetrics.errors import SourceError
from genmetrics.paths import require_file
from genmetrics.sources.names import IMAGE_EXTENSIONS, count, extension, some

__all__ = [
    "DATASET_JSON",
    "ClassLabels",
    "assign",
    "container_labels",
    "integer",
    "named_labels",
    "read_label_array",
    "read_label_file",
]

#: What StyleGAN's and EDM's tools call the file of labels beside the images.
DATASET_JSON = "dataset.json"
_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,18}\s*")
_DELIMITERS = {".csv": ",", ".tsv": "\t"}

Label = int | str


@dataclass(frozen=True)
class ClassLabels:
    """The class of each image, in the order of the images.

    Attributes:
        values: (n,) int64.
        class_names: the names of the classes 0, 1, …, where they were given by name.
    """

    values: Int64[np.ndarray, " n"]
    class_names: tuple[str, ...] = ()


def integer(text: str | bytes) -> int:
    """The label that a text of digits stands for.

    Raises:
        ValueError: if it is anything else.
    """
    decoded = text.decode("ascii") if isinstance(text, bytes) else text
    if _INTEGER.fullmatch(decoded) is None:
        raise ValueError(f"{text!r} is no integer")
    return int(decoded)


def named_labels(labels: Sequence[Label]) -> ClassLabels:
    """Integers as they are; names as classes 0, 1, … in sorted order.

    Raises:
        ValueError: if there are both.
    """
    names = sorted({label for label in labels if isinstance(label, str)})
    if not names:
        return ClassLabels(np.array(labels, dtype=np.int64))
    others = [label for label in labels if not isinstance(label, str)]
    if others:
        raise ValueError(
            f"labels are names such as {names[0]!r} and numbers such as {others[0]}; give one or the other"
        )
    number = {name: index for index, name in enumerate(names)}
    return ClassLabels(np.array([number[str(label)] for label in labels], dtype=np.int64), tuple(names))


def assign(labels: Mapping[str, Label], images: Sequence[str]) -> ClassLabels:
    """The labels in the order of the images.

    Raises:
        ValueError: if images have no label or labels no image; ten of each are named.
    """
    missing = [name for name in images if name not in labels]
    orphans = sorted(labels.keys() - set(images))
    problems = []
    if missing:
        problems.append(f"{len(missing):,} of {count(len(images), 'image')} have no label: {some(missing)}")
    if orphans:
        problems.append(f"{len(orphans):,} of {count(len(labels), 'label')} are of no image: {some(orphans)}")
    if problems:
        raise ValueError("; ".join(problems))
    return named_labels([labels[name] for name in images])


def container_labels(data: bytes, images: Sequence[str]) -> tuple[ClassLabels | None, str]:
    """The labels in a container's ``dataset.json``, as StyleGAN's and EDM's tools write it.

    Args:
        data: the file's content.
        images: the path of each image.

    Returns:
        The labels, and what is wrong with them. Neither if the file holds no classes: none at all, vectors such
        as camera poses, or something else.
    """
    try:
        content = json.loads(data)
    except ValueError:
        return None, ""
    entries = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        return None, ""
    if not any(isinstance(entry, list) and len(entry) == 2 and isinstance(entry[1], int | str) for entry in entries):
        return None, ""
    try:
        return assign(_unique(_pairs(entries)), images), ""
    except ValueError as error:
        return None, f"labels in '{DATASET_JSON}': {error}"


def read_label_file(path: str | Path, images: Sequence[str], others: Sequence[str] | None) -> ClassLabels:
    """The labels of a ``.json``, ``.csv`` or ``.tsv`` file, in the order of the images.

    Args:
        path: the file.
        images: the name of each image.
        others: other names that the file may go by, used if it holds none of ``images``.

    Raises:
        SourceError: if there is no such file, it cannot be read, or its labels are not one for each image.
    """
    found = require_file(path, "a file of labels")
    try:
        labels = _read_json(found) if found.suffix == ".json" else _read_table(found, set(images) | set(others or ()))
        known = labels.keys() & set(images)
        if not known and others is not None and len(set(others)) == len(others):
            images = others
        return assign(labels, images)
    except (ValueError, OSError, csv.Error) as error:
        raise SourceError(f"labels in '{path}': {error}") from error


def read_label_array(path: str | Path, total: int) -> ClassLabels:
    """The labels of an ``.npy`` file, which are in the order of the images already.

    Args:
        path: the file.
        total: how many images there are.

    Raises:
        SourceError: if there is no such file, it cannot be read, or its labels are not one for each image.
    """
    found = require_file(path, "a file of labels")
    try:
        return _read_npy(found, total)
    except (ValueError, OSError) as error:
        raise SourceError(f"labels in '{path}': {error}") from error


def _read_npy(path: Path, total: int) -> ClassLabels:
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"no .npy file that can be read ({error}); write it with `np.save`") from error
    if not isinstance(values, np.ndarray) or values.shape != (total,) or values.dtype.kind not in "iu":
        given = f"{values.dtype} of shape {values.shape}" if isinstance(values, np.ndarray) else "an .npz archive"
        raise ValueError(f"{given}, expected one integer for each of the {total:,} images, in their order")
    return ClassLabels(values.astype(np.int64))


def _read_json(path: Path) -> Mapping[str, Label]:
    content = json.loads(path.read_bytes())
    if isinstance(content, dict) and isinstance(content.get("labels"), list):
        return _unique(_pairs(content["labels"]))
    if isinstance(content, dict) and not (set(content) == {"labels"} and content["labels"] is None):
        return _unique(_pairs(content.items()))
    raise ValueError('expected {"labels": [["name.png", 3], …]} or {"name.png": 3, …}')


def _pairs(entries: Iterable[object]) -> Iterable[tuple[str, Label]]:
    for entry in entries:
        if not isinstance(entry, list | tuple) or len(entry) != 2 or not isinstance(entry[0], str):
            raise ValueError(f"{_short(entry)} is no pair of a name and a label")
        name, label = entry
        if isinstance(label, bool) or not isinstance(label, int | str):
            raise ValueError(f"the label of '{name}' is {_short(label)}, expected an integer or the name of a class")
        if isinstance(label, int) and not -(2**63) <= label < 2**63:
            raise ValueError(f"the label of '{name}' is {label}, which does not fit 64 bits")
        yield name, label


def _read_table(path: Path, images: set[str]) -> Mapping[str, Label]:
    with io.StringIO(path.read_text(encoding="utf-8-sig"), newline="") as text:
        reader = csv.reader(text, delimiter=_DELIMITERS[path.suffix])
        rows = [(reader.line_num, row) for row in reader if row]
    for line, row in rows:
        if len(row) != 2:
            raise ValueError(f"line {line} has {count(len(row), 'column')}, expected 2, the name and the label")
    if rows and rows[0][1][0] not in images and extension(rows[0][1][0]) not in IMAGE_EXTENSIONS:
        del rows[0]  # a header
    if all(_INTEGER.fullmatch(label) for _, (_, label) in rows):
        return _unique((name, int(label)) for _, (name, label) in rows)
    numbers = [label for _, (_, label) in rows if _INTEGER.fullmatch(label)]
    if numbers:
        name = next(label for _, (_, label) in rows if not _INTEGER.fullmatch(label))
        raise _mixed(name, numbers[0])
    return _unique((name, label) for _, (name, label) in rows)


def _unique(pairs: Iterable[tuple[str, Label]]) -> Mapping[str, Label]:
    labels: dict[str, Label] = {}
    for given, label in pairs:
        name = given.removeprefix("./")
        if name in labels:
            raise ValueError(f"'{name}' has two labels, {labels[name]} and {label}; give one")
        labels[name] = label
    return labels


def _mixed(name: str, number: int | str) -> ValueError:
    return ValueError(f"labels are names such as {name!r} and numbers such as {number}; give one or the other")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
