"""Datasets that have a name: the registry. Importing it imports neither torch nor numpy.

``cifar10:train`` stands for a split of a registered dataset. Third parties add theirs with ``register_dataset`` or
the entry-point group ``genmetrics.datasets``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from genmetrics.errors import UsageError
from genmetrics.registry import Registry
from genmetrics.sources import SOURCES

__all__ = ["DATASETS", "DatasetInfo", "list_datasets", "register_dataset"]

#: What can stand before a colon and is no drive of a Windows path.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]+")


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a dataset without reading it.

    Attributes:
        name: what stands before the colon.
        target: ``module:function`` that is called with the name of a split and returns an ``ImageSource``, or
            anything else that ``open_source`` takes, such as a path or a torch Dataset.
        splits: the number of images of each split; None where it is not fixed.
        summary: one line for people: what is in it and where it comes from.
        num_classes: how many classes its labels are of; 0 if it has none.
    """

    name: str
    target: str
    splits: Mapping[str, int | None]
    summary: str
    num_classes: int = 0


DATASETS: Registry[DatasetInfo] = Registry("dataset", "genmetrics.datasets")


def register_dataset(info: DatasetInfo) -> None:
    """Add a dataset.

    Raises:
        UsageError: if the name is taken, also by a source kind, cannot stand before a colon, or there is no split.
    """
    if _NAME.fullmatch(info.name) is None:
        raise UsageError(
            f"a dataset cannot be named {info.name!r}; expected at least two letters, digits, '-' or '_', the first "
            "of them a letter"
        )
    if info.name in SOURCES:
        raise UsageError(f"a dataset cannot be named {info.name!r}, which is a source kind; choose another name")
    if not info.splits:
        raise UsageError(f"dataset {info.name!r} has no splits, expected at least one, such as {{'train': None}}")
    DATASETS.register(info.name, info)


def list_datasets() -> tuple[DatasetInfo, ...]:
    """All datasets that have a name, those of other packages included."""
    return DATASETS.entries()


for _info in (
    DatasetInfo(
        "cifar10",
        "genmetrics.sources.cifar:open_cifar10",
        {"train": 50_000, "test": 10_000},
        "32x32 photographs of 10 classes; from the official archive",
        10,
    ),
    DatasetInfo(
        "cifar100",
        "genmetrics.sources.cifar:open_cifar100",
        {"train": 50_000, "test": 10_000},
        "32x32 photographs of 100 classes; from the official archive",
        100,
    ),
    DatasetInfo(
        "stl10",
        "genmetrics.sources.stl10:open_stl10",
        {"train": 5_000, "test": 8_000, "unlabeled": 100_000},
        "96x96 photographs of 10 classes, and unlabelled ones; from the official archive",
        10,
    ),
    DatasetInfo(
        "svhn",
        "genmetrics.sources.hub_sets:open_svhn",
        {"train": 73_257, "test": 26_032, "extra": 531_131},
        "32x32 house numbers, cropped digits; from the Hugging Face hub",
        10,
    ),
    DatasetInfo(
        "celeba",
        "genmetrics.sources.hub_sets:open_celeba",
        {"train": 162_770, "valid": 19_867, "test": 19_962},
        "178x218 aligned faces; from the Hugging Face hub",
    ),
    DatasetInfo(
        "imagenet",
        "genmetrics.sources.imagenet:open_imagenet",
        {"train": 1_281_167, "val": 50_000},
        "photographs of 1000 classes; from the local folder that GENMETRICS_IMAGENET names",
        1000,
    ),
):
    register_dataset(_info)
