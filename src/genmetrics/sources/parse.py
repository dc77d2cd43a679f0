"""What a user gives for a set of images, to an image source."""

from __future__ import annotations

import re
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from genmetrics.errors import SourceError, UsageError
from genmetrics.paths import require_path
from genmetrics.registry import did_you_mean, load_target
from genmetrics.sources import SOURCES
from genmetrics.sources.base import ImageSource
from genmetrics.sources.decode import BadImage, decode_file
from genmetrics.sources.hf import is_saved_dataset
from genmetrics.sources.labels import label_source
from genmetrics.sources.names import IMAGE_EXTENSIONS, extension
from genmetrics.sources.patterns import expand, is_pattern

__all__ = ["open_source"]

#: At least two characters, so that the drive of a Windows path (``C:``) is none.
_PREFIX = re.compile(r"([A-Za-z][A-Za-z0-9_+-]+):(.*)", re.DOTALL)
_STATISTICS_EXTENSIONS = (".safetensors", ".pt", ".pth", ".pkl")
#: The kinds of which a pattern may name many files.
_MANY_FILES = ("tar", "parquet", "arrow")
_TAKEN = (
    "a path as a string or pathlib.Path, a list of paths, a torch tensor uint8 (n, 3, h, w), a numpy array "
    "uint8 (n, h, w, 3) or an ImageSource"
)


def open_source(
    source: ImageSource | str | Path | Sequence[str | Path] | Tensor | np.ndarray,
    *,
    kind: str | None = None,
    labels: str | Path = "auto",
) -> ImageSource:
    """Open a set of images.

    Args:
        source: an ``ImageSource``, which is returned as it is; a path, which is recognised by what it is; a
            string ``kind:path``, which forces the kind; a list of image files; a torch tensor uint8
            (n, 3, h, w) or a numpy array uint8 (n, h, w, 3), 0..255.
        kind: forces the kind of a path, like the prefix.
        labels: ``auto`` takes the classes that the container itself holds; ``folders`` takes the first folder
            of each image's path; ``none`` takes none; or a path of a ``.json``, ``.csv``, ``.tsv`` or ``.npy``
            file that holds one for each image.

    Raises:
        SourceError: if the source is missing, empty, damaged or of the wrong kind.
        UnknownNameError: if there is no source kind of that name.
        UsageError: if ``source`` is of another type, or ``kind`` does not go with it.
    """
    return label_source(_open(source, kind), labels)


def _open(source: object, kind: str | None) -> ImageSource:
    if isinstance(source, str):
        return _open_text(source, kind)
    if isinstance(source, Path):
        return _open_kind(kind, str(source)) if kind is not None else _open_path(source)
    if isinstance(source, ImageSource):
        if kind is not None:
            raise UsageError(f"kind={kind!r} was given with an open ImageSource, which has its kind; leave it out")
        return source
    if isinstance(source, Tensor | np.ndarray):
        return _open_object("array", source, kind)
    if not isinstance(source, Sequence):
        raise UsageError(f"a {type(source).__name__} cannot be a source; expected {_TAKEN}")
    for entry in source:
        if not isinstance(entry, str | Path):
            raise UsageError(
                f"a {type(source).__name__} with {type(entry).__name__} in it cannot be a source; expected "
                f"{_TAKEN}. Arrays and tensors of one size can be stacked into one, `np.stack(images)`, "
                "`torch.stack(images)`"
            )
    return _open_object("files", source, kind)


def _open_text(text: str, kind: str | None) -> ImageSource:
    if not text:
        raise SourceError("the source is an empty text, expected a path such as 'samples/'")
    if kind is not None:
        return _open_kind(kind, text)
    match = _PREFIX.fullmatch(text)
    if match is None:
        return _open_path(Path(text))
    prefix, rest = match.groups()
    exists = Path(text).exists()
    if prefix in SOURCES:
        if exists:
            raise SourceError(
                f"'{text}' is both a path that exists and the path '{rest}' as a {prefix}; give './{text}' "
                f"for the first or '{prefix}:./{rest}' for the second"
            )
        return _open_kind(prefix, rest)
    if exists:
        return _open_path(Path(text))
    if rest.startswith("//"):
        raise SourceError(f"'{text}' is an address, expected something on this machine; download it first")
    prefixes = [info.kind for info in SOURCES.entries() if info.takes == "text"]
    raise SourceError(
        f"'{text}': unknown source kind '{prefix}', and no such file exists; {did_you_mean(prefix, prefixes)}"
    )


def _open_kind(kind: str, text: str) -> ImageSource:
    info = SOURCES.get(kind)
    if info.takes == "object":
        raise UsageError(f"'{kind}' takes {info.summary}, not the text '{text}'; give it from Python")
    if not text:
        raise SourceError(f"'{kind}:' has nothing behind it, expected a path such as '{kind}:samples'")
    return _build(info.target, text)


def _open_object(kind: str, source: object, given_kind: str | None) -> ImageSource:
    if given_kind not in (None, kind):
        raise UsageError(f"kind={given_kind!r} was given with a {type(source).__name__}; expected {kind!r} or none")
    return _build(SOURCES.get(kind).target, source)


def _build(target: str, argument: object) -> ImageSource:
    opened = load_target(target)(argument)
    if not isinstance(opened, ImageSource):
        raise UsageError(f"source target '{target}' made a {type(opened).__name__}, expected an ImageSource")
    return opened


def _open_path(path: Path) -> ImageSource:
    """An existing path, or a pattern of files, by what it is."""
    if is_pattern(str(path)):
        return _open_kind(_kind_of_pattern(str(path)), str(path))
    return _open_kind(_kind_of(path), str(path))


def _kind_of_pattern(pattern: str) -> str:
    first = expand(pattern, "a tar archive")[0]
    kind = "folder" if extension(first.name) in IMAGE_EXTENSIONS else _kind_of(first)
    if kind not in _MANY_FILES:
        raise SourceError(
            f"'{pattern}' stands for files such as '{first}'; expected {', '.join(_MANY_FILES)} files. For images give "
            f"their folder, '{first.parent}', or from Python a list of paths"
        )
    return kind


def _kind_of(path: Path) -> str:
    found = require_path(path)
    if found.is_dir():
        return "hf" if is_saved_dataset(found) else "folder"
    if not found.is_file():
        raise SourceError(f"'{path}' is neither a file nor a folder (a pipe or device?); expected a folder or archive")
    try:
        with found.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise SourceError(f"'{path}' cannot be opened: {error.strerror or error}; make it readable") from error
    if not start:
        raise SourceError(f"'{path}' is an empty file (0 bytes); copy or download it again")
    suffix = extension(found.name)
    if suffix in _STATISTICS_EXTENSIONS:
        raise SourceError(
            f"'{path}' is a {suffix} file, which holds statistics or tensors: not an image source; give a "
            "folder, an archive or an .npz of images"
        )
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return "arrow"
    if start.startswith(b"\x93NUMPY"):
        return "npy"
    if suffix == ".npz":
        return "npz"
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "npz" if _holds_arrays(found) else "zip"
    if suffix in IMAGE_EXTENSIONS or _is_image(found):
        raise SourceError(
            f"'{path}' is one image, expected a set of images; give its folder, '{path.parent}', or from "
            "Python a list of paths"
        )
    for known, named in (
        ((".zip",), "zip"),
        ((".npy",), "npy"),
        ((".parquet",), "parquet"),
        ((".arrow",), "arrow"),
        ((".tar", ".tgz", ".gz", ".bz2", ".xz"), "tar"),
    ):
        # A damaged file of a known name: its own source says best what is wrong.
        if suffix in known:
            return named
    if tarfile.is_tarfile(found):
        return "tar"
    raise SourceError(
        f"'{path}' is no source of images: it is neither a folder nor a zip, tar, npz, npy, parquet or arrow file (it "
        f"starts with {start!r})"
    )


def _holds_arrays(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError):
        return False  # ZipSource says what is wrong with it
    return bool(names) and all(name.endswith(".npy") for name in names)


def _is_image(path: Path) -> bool:
    try:
        decode_file(path, "drop")
    except BadImage:
        return False
    return True
