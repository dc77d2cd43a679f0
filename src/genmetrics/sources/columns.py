"""Which columns of a table hold the images and their classes, and how one cell becomes pixels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genmetrics.errors import SourceError
from genmetrics.sources.decode import BadImage, Decoded, decode_array, decode_bytes, decode_file
from genmetrics.sources.tables import import_optional
from genmetrics.types import AlphaPolicy

__all__ = ["file_within", "image_column", "label_column", "load_cell", "named_files"]

#: Features of Hugging Face datasets that are stored like images and are none.
_OTHER_MEDIA = ("Audio", "Video", "Pdf", "Nifti")


def image_column(schema: Any, wanted: str | None, what: str, example: str) -> str:
    """The name of the column that holds the images.

    Args:
        schema: the ``pyarrow.Schema``.
        wanted: the column that was asked for; None for the only one that can hold images.
        what: the table in messages: ``parquet 'x.parquet'``.
        example: what to type for a column, with ``COLUMN`` in it.

    Raises:
        SourceError: if there is no such column, none or several that can hold images.
    """
    columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
    if wanted is not None:
        if wanted not in schema.names:
            raise SourceError(f"{what} has no column '{wanted}'; its columns: {columns}")
        if wanted not in [name for names in _candidates(schema) for name in names]:
            raise SourceError(
                f"column '{wanted}' of {what} is {schema.field(wanted).type}, expected images: encoded bytes, a struct "
                "with 'bytes', or uint8 lists (h, w, c)"
            )
        return wanted
    for names in _candidates(schema):
        if len(names) == 1:
            return names[0]
        if names:
            raise SourceError(
                f"{what} has several columns of images: {', '.join(names)}; give one of them: "
                f"'{example.replace('COLUMN', names[0])}'"
            )
    raise SourceError(
        f"{what} has no column of images (encoded bytes, a struct with 'bytes', or uint8 lists (h, w, c)); its "
        f"columns: {columns}"
    )


def label_column(schema: Any) -> tuple[str, tuple[str, ...]] | None:
    """The name of the column that holds the classes, and the classes' names; None if there is none.

    It is the only ``ClassLabel`` of a Hugging Face dataset, or else the one that is called ``label``, a
    ``ClassLabel`` or integers.
    """
    features = _features(schema)
    named = [name for name in schema.names if features.get(name, {}).get("_type") == "ClassLabel"]
    name = named[0] if len(named) == 1 else "label"
    if name not in schema.names or not import_optional("pyarrow").types.is_integer(schema.field(name).type):
        return None
    return name, tuple(features.get(name, {}).get("names") or ())


def load_cell(cell: Any, folders: Sequence[Path], alpha: AlphaPolicy) -> Decoded:
    """The pixels of one cell.

    Args:
        cell: the ``pyarrow.Scalar``.
        folders: a struct without bytes may name a file in one of these in its ``path``.
        alpha: what becomes of transparency.

    Raises:
        BadImage: if it is empty or cannot be read.
    """
    arrow = import_optional("pyarrow")
    if isinstance(cell, arrow.ExtensionScalar):
        cell = cell.value
    if cell is None or not cell.is_valid:
        raise BadImage("the row holds no image (null)")
    if arrow.types.is_struct(cell.type):
        data, path = cell["bytes"].as_py(), cell["path"].as_py() if "path" in cell.type.names else None
        if data is not None:
            return decode_bytes(data, alpha)
        if path is not None and folders:
            return decode_file(_within(path, folders), alpha)
        raise BadImage(
            f"the row holds no bytes but the path '{path}', which is not followed; save the set with the images in it, "
            "as `datasets` does with `save_to_disk` and `push_to_hub`"
            if path is not None
            else "the row holds no image (null bytes)"
        )
    if _is_bytes(cell.type):
        return decode_bytes(cell.as_py(), alpha)
    return decode_array(_pixels(cell), alpha)


def file_within(path: str, folders: Sequence[Path]) -> Path | None:
    """A file that a row names, with links followed; None if it lies in none of the folders."""
    try:
        found = Path(path).resolve() if Path(path).is_absolute() else None
    except (OSError, ValueError, RuntimeError):  # what names no file, such as a text with a zero byte
        return None
    return found if found is not None and any(found.is_relative_to(folder) for folder in folders) else None


def named_files(values: Any) -> list[str]:
    """The files that rows name in place of holding bytes.

    Args:
        values: a ``pyarrow.Array`` of the column.
    """
    arrow = import_optional("pyarrow")
    if isinstance(values, arrow.ExtensionArray):
        values = values.storage
    if not arrow.types.is_struct(values.type) or not {"bytes", "path"} <= set(values.type.names):
        return []
    data = values.field("bytes")
    return values.field("path").filter(data.is_null()).drop_null().to_pylist() if data.null_count else []


def _within(path: str, folders: Sequence[Path]) -> Path:
    found = file_within(path, folders)
    if found is None:
        raise BadImage(
            f"the row names the file '{path}', which is in none of the folders of the Hugging Face cache and is not "
            "followed; give a set that has its images in it, as `push_to_hub` saves them"
        )
    return found


def _pixels(cell: Any) -> np.ndarray:
    rows = cell.values
    columns = rows.flatten()
    values = columns.flatten()
    height, width = len(rows), len(columns) // max(1, len(rows))
    channels = len(values) // max(1, len(columns))
    even = set(map(len, rows)) <= {width} and set(map(len, columns)) <= {channels}
    if not even or channels not in (1, 3, 4) or values.null_count:
        shape = f"({height}, {width}, {channels})" if even else "lists of different lengths"
        raise BadImage(f"the array is {shape}, expected (h, w, c) with 1, 3 or 4 channels")
    pixels: np.ndarray = values.to_numpy().reshape(height, width, channels)
    return pixels


def _candidates(schema: Any) -> tuple[list[str], list[str], list[str], list[str]]:
    """The columns that can hold images: those that say so, structs with bytes, plain bytes, arrays."""
    types = import_optional("pyarrow").types
    features = _features(schema)
    said, structs, plain, arrays = [], [], [], []
    for field in schema:
        feature = features.get(field.name, {}).get("_type")
        kind = (
            field.type.storage_type
            if isinstance(field.type, import_optional("pyarrow").BaseExtensionType)
            else field.type
        )
        is_struct = types.is_struct(kind) and "bytes" in kind.names and _is_bytes(kind.field("bytes").type)
        if feature in _OTHER_MEDIA:
            continue
        if feature == "Image" and (is_struct or _is_bytes(kind)):
            said.append(field.name)
        elif is_struct:
            structs.append(field.name)
        elif _is_bytes(kind):
            plain.append(field.name)
        elif _is_pixels(kind):
            arrays.append(field.name)
    return said, structs, plain, arrays


def _is_bytes(kind: Any) -> bool:
    types = import_optional("pyarrow").types
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _is_pixels(kind: Any) -> bool:
    types = import_optional("pyarrow").types
    for _ in range(3):
        if not (types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)):
            return False
        kind = kind.value_type
    return bool(types.is_uint8(kind))


def _features(schema: Any) -> Mapping[str, Mapping[str, Any]]:
    """What the ``datasets`` library wrote down of each column."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    return {name: feature for name, feature in features.items() if isinstance(feature, dict)}
