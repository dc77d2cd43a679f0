"""What a file is, by its content: extensions of statistics files are given out freely. Nothing here imports torch."""

from __future__ import annotations

import io
import json
import math
import pickletools
import zipfile
from pathlib import Path
from typing import Literal

import numpy as np

from genmetrics.file_kinds import are_arrays, are_torchscript, read_array_header

__all__ = [
    "TORCH_LEGACY_MAGIC",
    "Container",
    "array_header",
    "container",
    "holds_images",
    "is_statistics",
    "parts_of_zip",
]

Container = Literal[
    "safetensors",
    "npz",
    "npy",
    "pickle",
    "torch zip",
    "torch legacy",
    "torchscript",
    "zip",
    "empty",
    "html",
    "git-lfs",
    "image",
    "text",
    "damaged zip",
    "unknown",
]

#: What the files of torch before 1.6 start with: a pickle of this number.
TORCH_LEGACY_MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
_IMAGES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\0", b"MM\0*")
_START = 4096
#: A header of a safetensors file is JSON; this one holds the names of more tensors than any of ours has.
_LONGEST_HEADER = 100_000_000
#: Extensions by which a file is meant as statistics even if what is in it is of no use.
_STATISTICS_EXTENSIONS = {".safetensors", ".pkl", ".pickle"}


def container(path: Path) -> Container:
    """What kind of file it is, from its first bytes and, of an archive, its directory.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(_START)
    if not start:
        return "empty"
    if start.startswith(b"\x93NUMPY"):
        return "npy"
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _kind_of_zip(path)
    if start.startswith(TORCH_LEGACY_MAGIC):
        return "torch legacy"
    if start.startswith(b"version https://git-lfs"):
        return "git-lfs"
    if start.lstrip()[:9].lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "html"
    if start.startswith(_IMAGES) or (start.startswith(b"RIFF") and start[8:12] == b"WEBP"):
        return "image"
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= _LONGEST_HEADER:
        return "safetensors"
    if _is_pickle(start):
        return "pickle"
    return "text" if _is_text(start) else "unknown"


def is_statistics(path: Path) -> bool:
    """Whether a file is to be read as statistics and not as images; cheap, and no array is read.

    Networks (TorchScript, ONNX, safetensors of weights) are neither.
    """
    try:
        if not path.is_file():
            return False
        kind = container(path)
        if kind == "npz":
            names = parts_of_zip(path)
            return {"mu", "sigma"} <= names or bool({"feats", "pool_3"} & names)
        if kind == "npy":
            with path.open("rb") as file:
                shape, dtype = array_header(file, path.stat().st_size)
            return (len(shape) == 2 and dtype.kind == "f") or (shape == () and dtype.hasobject)
        if kind == "safetensors":
            return _has_our_header(path)
    except (OSError, ValueError, zipfile.BadZipFile):
        return False
    if kind in ("pickle", "torch zip", "torch legacy"):
        return True
    # Of these, the reader of statistics says what they are: an error page that was saved, a pointer, half a file.
    damaged = kind in ("empty", "html", "git-lfs", "text", "unknown")
    return damaged and path.suffix.lower() in _STATISTICS_EXTENSIONS


def holds_images(path: Path) -> bool:
    """Whether a statistics file holds images as well, as ADM's reference files do."""
    return container(path) == "npz" and "arr_0" in parts_of_zip(path)


def parts_of_zip(path: Path) -> set[str]:
    """The names of the arrays of an npz file, from its directory.

    Raises:
        zipfile.BadZipFile: if it is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        return {name.removesuffix(".npy") for name in archive.namelist()}


def array_header(file: io.BufferedIOBase, size: int) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of the values that follow in npy format.

    Args:
        file: where they stand, at their beginning; it is left at the first value.
        size: how many bytes there are in all.

    Raises:
        ValueError: if it is damaged, such as by promising more values than there are.
    """
    shape, _, dtype = read_array_header(file)
    held, promised = size - file.tell(), math.prod(shape) * dtype.itemsize
    if held != promised and not dtype.hasobject:
        raise ValueError(f"it holds {held:,} bytes of values, its header says {promised:,}")
    return shape, dtype


def _kind_of_zip(path: Path) -> Container:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return "damaged zip"
    if are_arrays(names):
        return "npz"
    if are_torchscript(names):
        return "torchscript"
    return "torch zip" if any(name.partition("/")[2] == "data.pkl" for name in names) else "zip"


def _is_pickle(start: bytes) -> bool:
    if start[0] == 0x80 and start[1:2] <= b"\x05":
        return True
    # Protocols 0 and 1 have no mark; a text is no sequence of their instructions, which may break off at the end.
    if start[:1] not in b"(}]c":
        return False
    count = 0
    try:
        for _ in pickletools.genops(start):
            count += 1
    except Exception:
        return count > 4
    return True


def _is_text(start: bytes) -> bool:
    try:
        text = start.decode("utf-8")
    except UnicodeDecodeError as error:
        # The last character may be cut.
        if error.start < len(start) - 4:
            return False
        text = start[: error.start].decode("utf-8")
    return all(character.isprintable() or character.isspace() for character in text)


def _has_our_header(path: Path) -> bool:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        text = file.read(size)
    try:
        metadata = set(json.loads(text).get("__metadata__", {}))
    except (ValueError, AttributeError, TypeError):
        # Cut off, or not JSON: who named it so meant statistics.
        return path.suffix.lower() in _STATISTICS_EXTENSIONS
    return {"schema", "fingerprint"} <= metadata
