"""What a user gives for a set of images, to an image source."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from genmetrics.errors import SourceError, UsageError
from genmetrics.file_kinds import are_arrays, zip_names
from genmetrics.paths import require_path
from genmetrics.registry import did_you_mean, load_target
from genmetrics.sources import SOURCES
from genmetrics.sources.base import ImageSource
from genmetrics.sources.datasets import DATASETS
from genmetrics.sources.decode import BadImage, decode_file
from genmetrics.sources.hf import is_saved_dataset
from genmetrics.sources.labels import label_source
from genmetrics.sources.model_file import model_kind
from genmetrics.sources.named import is_dataset_text, open_dataset
from genmetrics.sources.names import IMAGE_EXTENSIONS, extension
from genmetrics.sources.object_kinds import kind_of
from genmetrics.sources.patterns import expand, is_pattern
from genmetrics.sources.remote import is_remote, shown
from genmetrics.sources.remote_folder import RemoteFolderSource

__all__ = ["open_source"]

#: At least two characters, so that the drive of a Windows path (``C:``) is none.
_PREFIX = re.compile(r"([A-Za-z][A-Za-z0-9_+-]+):(.*)", re.DOTALL)
#: What is in files that are not images, whatever else is known of them.
_NO_IMAGES = {
    ".safetensors": "tensors: statistics, or the weights of a network",
    ".pt": "what torch saved: tensors, statistics or the weights of a network",
    ".pth": "what torch saved: tensors, statistics or the weights of a network",
    ".pkl": "pickled Python objects: statistics or a network",
    ".pickle": "pickled Python objects: statistics or a network",
}
#: The kinds that are read from an address, and the names of their files.
_REMOTE = ("folder", "tar", "wds", "parquet", "arrow")
_REMOTE_NAMES = (
    ((".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz"), "tar"),
    ((".parquet",), "parquet"),
    ((".arrow",), "arrow"),
)
#: The kinds of which a pattern may name many files.
_MANY_FILES = ("tar", "parquet", "arrow")


def open_source(
    source: ImageSource | str | Path | Tensor | np.ndarray | Dataset[Any] | DataLoader[Any] | Iterable[Any],
    *,
    kind: str | None = None,
    value_range: Sequence[int | float] | None = None,
    rounding: str = "round",
    labels: str | Path = "auto",
) -> ImageSource:
    """Open a set of images.

    Args:
        source: an ``ImageSource``, which is returned as it is; a path, which is recognised by what it is; a
            string ``kind:path``, which forces the kind; a registered dataset, ``name:split``; a list of image files;
            a torch tensor (n, 3, h, w) or a numpy array (n, h, w, 3); a torch Dataset or DataLoader; an iterable of
            images or batches. Pixels are uint8, 0..255, or floats with a ``value_range``.
        kind: forces the kind of a path, like the prefix.
        value_range: what the values of float images run from and to: (0, 1), (-1, 1) or (0, 255). It is never read
            off the values.
        rounding: how float images become uint8: ``round``, as EDM and StyleGAN do it, or ``truncate``, as ADM and
            torchmetrics do; see ``genmetrics.sources.quantise``.
        labels: ``auto`` takes the classes that the container itself holds; ``folders`` takes the first folder
            of each image's path; ``none`` takes none; or a path of a ``.json``, ``.csv``, ``.tsv`` or ``.npy``
            file that holds one for each image.

    Raises:
        SourceError: if the source is missing, empty, damaged or of the wrong kind.
        UnknownNameError: if there is no source kind of that name.
        UsageError: if ``source`` is of another type, or another argument does not go with it.
    """
    given: dict[str, Any] = {} if value_range is None else {"value_range": value_range}
    if rounding != "round":
        given["rounding"] = rounding
    return label_source(_open(source, kind, given), labels)


def _open(source: object, kind: str | None, given: Mapping[str, Any] = MappingProxyType({})) -> ImageSource:
    if isinstance(source, str):
        return _open_text(source, kind, given)
    if isinstance(source, Path):
        if kind is not None:
            return _open_kind(kind, str(source), given)
        _refuse_range(f"'{source}'", given)
        return _open_path(source)
    if isinstance(source, ImageSource):
        if kind is not None:
            raise UsageError(f"kind={kind!r} was given with an open ImageSource, which has its kind; leave it out")
        _refuse_range("an open ImageSource", given)
        return source
    return _open_object(kind_of(source), source, kind, given)


def _refuse_range(what: str, given: Mapping[str, Any]) -> None:
    """Files and the like are uint8 already."""
    for name, value in given.items():
        raise UsageError(
            f"{name}={value!r} was given with {what}, whose pixels are uint8 already, 0..255; leave it out"
        )


def _open_text(text: str, kind: str | None, given: Mapping[str, Any]) -> ImageSource:
    if not text:
        raise SourceError("the source is an empty text, expected a path such as 'samples/'")
    if kind is not None:
        return _open_kind(kind, text, given)
    if is_remote(text):
        _refuse_range(f"'{shown(text)}'", given)
        return _open_remote(text)
    exists = Path(text).exists()
    if is_dataset_text(text):
        _refuse_range(f"dataset '{text}'", given)
        return open_dataset(text, exists)
    match = _PREFIX.fullmatch(text)
    if match is None:
        _refuse_range(f"'{text}'", given)
        if not exists:
            _refuse_bare_parameters(text)
        return _open_path(Path(text))
    prefix, rest = match.groups()
    if prefix in SOURCES:
        if exists:
            raise SourceError(
                f"'{text}' is both a path that exists and the path '{rest}' as a {prefix}; give './{text}' "
                f"for the first or '{prefix}:./{rest}' for the second"
            )
        return _open_kind(prefix, rest, given)
    if exists:
        _refuse_range(f"'{text}'", given)
        return _open_path(Path(text))
    prefixes = [info.kind for info in SOURCES.entries() if info.takes == "text"]
    raise SourceError(
        f"'{text}': unknown source kind or dataset '{prefix}', and no such file exists; "
        f"{did_you_mean(prefix, [*prefixes, *DATASETS])}"
    )


def _open_remote(address: str) -> ImageSource:
    """What is at an address, by its name, and by what it is where the name does not say."""
    name = (address if is_pattern(address) else shown(address)).lower()
    for suffixes, kind in _REMOTE_NAMES:
        if name.endswith(suffixes):
            return _open_kind(kind, address)
    if is_pattern(address) or extension(name) in (".zip", ".npz", ".npy", *_NO_IMAGES):
        raise SourceError(
            f"'{shown(address)}': from an address expected a folder of images, or .tar, .parquet or .arrow files; "
            "download others first"
        )
    return RemoteFolderSource(address)


def _refuse_bare_parameters(text: str) -> None:
    """``G.onnx?z_size=128``: what a file is run as is said by a kind."""
    path, mark, parameters = text.rpartition("?")
    if mark and Path(path).is_file():
        kind = model_kind(Path(path)) or "torchscript"
        raise SourceError(f"'{text}': parameters need a kind in front; give '{kind}:{path}?{parameters}'")


def _open_kind(kind: str, text: str, given: Mapping[str, Any] = MappingProxyType({})) -> ImageSource:
    info = SOURCES.get(kind)
    if is_remote(text) and kind not in _REMOTE:
        raise SourceError(
            f"'{kind}:{shown(text)}': {kind} sources are read on this machine only; from an address expected one of "
            f"{', '.join(_REMOTE)}: download it first"
        )
    if is_remote(text) and kind == "folder":
        return RemoteFolderSource(text)
    if info.takes == "object":
        raise UsageError(f"'{kind}' takes {info.summary}, not the text '{text}'; give it from Python")
    if not text:
        raise SourceError(f"'{kind}:' has nothing behind it, expected a path such as '{kind}:samples'")
    if not info.takes_range:
        _refuse_range(f"'{kind}:{text}'", given)
    return _build(info.target, text, given)


def _open_object(kind: str, source: object, given_kind: str | None, given: Mapping[str, Any]) -> ImageSource:
    if given_kind not in (None, kind):
        raise UsageError(f"kind={given_kind!r} was given with a {type(source).__name__}; expected {kind!r} or none")
    info = SOURCES.get(kind)
    if not info.takes_range:
        _refuse_range(f"a {type(source).__name__} of paths", given)
    return _build(info.target, source, given)


def _build(target: str, argument: object, given: Mapping[str, Any]) -> ImageSource:
    opened = load_target(target)(argument, **given)
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
    assert isinstance(first, Path)  # addresses are told by their names
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
    model = model_kind(found)
    if model is not None:
        raise SourceError(
            f"'{path}' is a generator, not images; say what it takes and how many images it is to make: "
            f"'{model}:{path}?z_size=…&num_samples=…'"
        )
    if suffix in _NO_IMAGES:
        raise SourceError(
            f"'{path}' is a {suffix} file, which holds {_NO_IMAGES[suffix]}; it is no set of images: give a folder, an "
            "archive or an .npz of images"
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
        # Of a damaged archive ZipSource says what is wrong with it.
        return "npz" if are_arrays(zip_names(found)) else "zip"
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


def _is_image(path: Path) -> bool:
    try:
        decode_file(path, "drop")
    except BadImage:
        return False
    return True
