"""What ``vq.fid DATASET`` reads: a dataset by its name, a dataset's file of a vq checkout, or a folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from genmetrics.compat.vq.configs import CONFIGS, DatasetConfig, read_config
from genmetrics.errors import SourceError, UnknownNameError, UsageError
from genmetrics.paths import require_path
from genmetrics.registry import did_you_mean
from genmetrics.sources.base import ImageSource
from genmetrics.sources.datasets import DATASETS
from genmetrics.sources.folder import PathListSource
from genmetrics.sources.imagenet import FOLDER, open_imagenet
from genmetrics.sources.named import open_dataset
from genmetrics.sources.names import IMAGE_EXTENSIONS, count, extension, is_hidden, some
from genmetrics.sources.parse import open_source

__all__ = ["VALIDATION", "FoundDataset", "find_dataset", "flat_folder"]

#: What the split for validation is called, most to least.
VALIDATION = ("val", "valid", "validation", "test")
_IMAGENET = Path("data/imagenet")


@dataclass(frozen=True)
class FoundDataset:
    """A dataset that was asked for.

    Attributes:
        name: what its statistics are kept under: ``imagenet_val``.
        source: its images.
        notes: what to tell the person who asked.
    """

    name: str
    source: ImageSource
    notes: tuple[str, ...] = ()


def find_dataset(text: str, train: bool) -> FoundDataset:
    """The images that a command's ``DATASET`` means.

    ``configs/datasets/DATASET.py`` below the current folder comes first, then a dataset of ``genmetrics list
    datasets``, perhaps with a split behind a colon, then a folder or archive of images.

    Args:
        text: as given.
        train: whether the training split was asked for; else it is that for validation.

    Raises:
        UnknownNameError: if it is none of these; the message lists the names that there are.
        SourceError: if its images cannot be had.
        UsageError: if it has no such split.
    """
    config = CONFIGS / f"{text}.py"
    if text.isidentifier() and config.is_file():
        return _of_config(read_config(config, train))
    name, colon, split = text.partition(":")
    if name in DATASETS:
        return _of_registry(name, split if colon else None, train)
    path = Path(text).expanduser()
    if path.exists():
        if train:
            raise UsageError(f"--train was given with the path '{text}', which has no splits; give the split's folder")
        return FoundDataset(path.resolve().name.partition(".")[0], open_source(path))
    known = [info.name for info in DATASETS.entries()]
    known += [found.stem for found in sorted(CONFIGS.glob("*.py")) if found.stem not in known]
    raise UnknownNameError(
        f"unknown dataset {text!r}, and no path either (a folder of images is given by its path); "
        f"{did_you_mean(text, known)}"
    )


def _of_registry(name: str, split: str | None, train: bool) -> FoundDataset:
    notes: list[str] = []
    splits = list(DATASETS.get(name).splits)
    if split is None:
        wanted = ("train",) if train else VALIDATION
        split = next((one for one in wanted if one in splits), None)
        if split is None:
            given = " or ".join(f"'{name}:{one}'" for one in splits)
            raise UsageError(f"dataset '{name}' has none of the splits {', '.join(wanted)}; give {given}")
        if not train and split not in VALIDATION[:3]:
            notes.append(f"dataset '{name}' has no split for validation; its split '{split}' is read")
    elif train:
        raise UsageError(f"--train was given with '{name}:{split}', which names its split; leave one of the two out")
    if Path(name).is_dir():
        notes.append(f"'{name}' is read as the dataset of that name; give './{name}' for the folder")
    source = _imagenet(split, notes) if name == "imagenet" and split in splits else None
    return FoundDataset(f"{name}_{split}", source or open_dataset(f"{name}:{split}", exists=False), tuple(notes))


def _imagenet(split: str, notes: list[str]) -> ImageSource:
    """ImageNet where ``GENMETRICS_IMAGENET`` says, else where vq has it."""
    if os.environ.get(FOLDER):
        return open_imagenet(split)
    if not _IMAGENET.is_dir():
        raise SourceError(
            f"ImageNet cannot be fetched, for its licence is given to each person; set {FOLDER} to the folder that "
            f"holds '{split}/n01440764/….JPEG' and so on, or have it at '{_IMAGENET}', where vq looks"
        )
    notes.append(f"ImageNet is read from '{_IMAGENET}', as {FOLDER} is not set")
    return open_imagenet(split, _IMAGENET)


def _of_config(config: DatasetConfig) -> FoundDataset:
    notes: list[str] = []
    if config.kind == "imagenet":
        source = _imagenet(config.split, notes)
    else:
        assert config.folder is not None
        if config.recursive and config.suffix is None:
            source = open_source(config.folder)
        elif config.recursive:
            raise SourceError(
                f"'{config.path}' asks for files of one ending in subfolders, which is not read here; give the folder "
                f"'{config.folder}', of which all images are read"
            )
        else:
            source, left = flat_folder(config.folder, config.suffix)
            notes += left
    unread = f"; not read: {', '.join(config.unread)}" if config.unread else ""
    read = f"'{config.path}' was read and not run: name '{config.name}', images of '{source.description}'{unread}"
    return FoundDataset(config.name, source, (read, *notes))


def flat_folder(folder: str | Path, suffix: str | None) -> tuple[ImageSource, tuple[str, ...]]:
    """The image files directly in a folder, as todd lists them, and what to say of the others in it.

    Args:
        folder: the folder.
        suffix: their ending without its dot, in the same case; None for every image.

    Raises:
        SourceError: if there is no such folder, or no such file in it; the message says what is there.
    """
    root = require_path(folder)
    if not root.is_dir():
        raise SourceError(f"'{folder}' is a file, expected a folder of image files")
    taken: list[Path] = []
    others: list[str] = []
    folders: list[str] = []
    try:
        entries = sorted(root.iterdir())
    except OSError as error:
        raise SourceError(f"folder '{folder}' cannot be listed: {error.strerror or error}; make it readable") from error
    for entry in entries:
        if is_hidden(entry.name):
            continue
        if entry.is_dir():
            folders.append(f"{entry.name}/")
        elif entry.suffix == f".{suffix}" or (suffix is None and extension(entry.name) in IMAGE_EXTENSIONS):
            taken.append(entry)
        elif extension(entry.name) in IMAGE_EXTENSIONS:
            others.append(entry.name)
    ending = "image files" if suffix is None else f"'*.{suffix}'"
    left = [f"{count(len(others), 'image')} of other endings ({some(others)})"] if others else []
    left += [f"{count(len(folders), 'folder')} ({some(folders)})"] if folders else []
    rest = " and ".join(left)
    if not taken:
        raise SourceError(
            f"folder '{folder}' holds no {ending}; {f'it holds {rest}' if rest else 'it holds no image at all'}"
        )
    notes = (f"of '{folder}' only {ending} directly in it are read, as vq does; not read: {rest}",) if rest else ()
    return _FlatFolder(taken, str(folder)), notes


class _FlatFolder(PathListSource):
    """Files of one folder, called by it."""

    def __init__(self, paths: list[Path], folder: str) -> None:
        super().__init__(paths)
        self.description = folder
