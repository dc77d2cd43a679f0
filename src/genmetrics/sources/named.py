"""Opening a dataset by its name, ``cifar10:train``."""

from __future__ import annotations

from pathlib import Path

from genmetrics.errors import SourceError, UsageError
from genmetrics.registry import did_you_mean, load_target
from genmetrics.sources.base import ImageSource
from genmetrics.sources.datasets import DATASETS, DatasetInfo

__all__ = ["is_dataset_text", "open_dataset"]


def is_dataset_text(text: str) -> bool:
    """Whether a text names a dataset, or is one of the ways in which a split is misspelt (``cifar10-train``)."""
    name, colon, _ = text.partition(":")
    return name in DATASETS or (not colon and not Path(text).exists() and _misspelt(text) is not None)


def open_dataset(text: str, exists: bool) -> ImageSource:
    """Open the dataset that a text names.

    Args:
        text: ``name:split``.
        exists: whether there is a path of that name as well.

    Raises:
        SourceError: if there is, or the dataset cannot be had.
        UsageError: if the split is missing or unknown.
    """
    name, colon, split = text.partition(":")
    if name not in DATASETS:
        info = _misspelt(text)
        assert info is not None
        wanted = text[len(info.name) + 1 :]
        meant = [wanted] if wanted in info.splits else list(info.splits)
        choices = " or ".join(f"'{info.name}:{one}'" for one in meant)
        raise SourceError(f"'{text}' does not exist; did you mean the dataset {choices}?")
    info = DATASETS.get(name)
    choices = ", ".join(f"'{name}:{one}'" for one in info.splits)
    if exists:
        meant_text = text if split in info.splits else f"{name}:{next(iter(info.splits))}"
        path = f"./{text}" if not Path(text).is_absolute() else text
        # A dataset cannot be written in another way, so that only the path can.
        raise SourceError(
            f"'{text}' is both a path that exists and the name of a dataset; give '{path}' for the path"
            + (
                f", or '{meant_text}' for the dataset"
                if meant_text != text
                else "; rename the path to have the dataset"
            )
        )
    if not colon or not split:
        raise UsageError(f"dataset '{name}' needs a split; give {choices}")
    if split not in info.splits:
        raise UsageError(f"dataset '{name}' has no split '{split}'; {did_you_mean(split, list(info.splits))}")
    return _build(info, split)


def _build(info: DatasetInfo, split: str) -> ImageSource:
    from genmetrics.sources.parse import open_source

    made = load_target(info.target)(split)
    return made if isinstance(made, ImageSource) else open_source(made)


def _misspelt(text: str) -> DatasetInfo | None:
    """The dataset of ``name-split``, as torch-fidelity writes it, or ``name_split``, ``name/split``."""
    for info in DATASETS.entries():
        rest = text[len(info.name) :]
        if text.startswith(info.name) and rest[:1] in ("-", "_", "/") and rest[1:] in (*info.splits, "val", "test"):
            return info
    return None
