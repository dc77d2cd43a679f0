"""ImageNet (ILSVRC 2012) in a local folder of class folders."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from genmetrics.errors import SourceError
from genmetrics.sources.folder import FolderSource
from genmetrics.sources.loader import Item
from genmetrics.sources.names import count

__all__ = ["FOLDER", "ImageNetSource", "open_imagenet"]

FOLDER = "GENMETRICS_IMAGENET"
_CLASSES = 1000
_IMAGES: Mapping[str, int] = {"train": 1_281_167, "val": 50_000}
_WNID = re.compile(r"n\d{8}")


def open_imagenet(split: str, folder: Path | None = None) -> ImageNetSource:
    """A split of ImageNet.

    Args:
        split: ``train`` or ``val``.
        folder: what holds the splits' folders; None for the one that ``GENMETRICS_IMAGENET`` names.

    Raises:
        SourceError: if it is not set, or the folder is not laid out as expected.
    """
    root = os.environ.get(FOLDER) if folder is None else folder
    if not root:
        raise SourceError(
            f"dataset 'imagenet' cannot be fetched, for its licence is given to each person; set {FOLDER} to the "
            f"folder that holds '{split}/n01440764/….JPEG' and so on for each of its 1000 classes"
        )
    return ImageNetSource(Path(root).expanduser() / split, split, _CLASSES, _IMAGES[split])


class ImageNetSource(FolderSource):
    """The images of a split, sorted by class and name, with the position of their class as label."""

    kind = "imagenet"

    def __init__(self, folder: Path, split: str, num_classes: int, expected: int) -> None:
        """Find the images.

        Args:
            folder: of the split, with one folder for each class, named by its WordNet id.
            split: ``train`` or ``val``.
            num_classes: how many classes there must be.
            expected: how many images there must be.

        Raises:
            SourceError: if the folders or the number of images are not those.
        """
        super().__init__(folder)
        layout = f"expected {num_classes:,} class folders such as '{folder / 'n01440764'}', with the images in them"
        flat = [name for name in self._names if name.count("/") != 1]
        if flat:
            raise SourceError(
                f"'{folder}' has {count(len(flat), 'image')} that are in no class folder, such as '{flat[0]}'; "
                f"{layout} (the validation images come flat: sort them into class folders first)"
            )
        self.class_names = tuple(sorted({name.partition("/")[0] for name in self._names}))
        strange = [name for name in self.class_names if _WNID.fullmatch(name) is None]
        if strange or len(self.class_names) != num_classes:
            also = f", '{strange[0]}' among them" if strange else ""
            raise SourceError(f"'{folder}' has {len(self.class_names):,} class folders{also}; {layout}")
        if len(self._names) != expected:
            raise SourceError(
                f"'{folder}' has {len(self._names):,} images, and ImageNet's {split} split has {expected:,}; a part of "
                f"it is measured as a folder: 'folder:{folder}'"
            )
        self.description = f"imagenet:{split}"
        self._label_of = {name: label for label, name in enumerate(self.class_names)}

    def items(self, wanted: Sequence[int]) -> Iterator[Item]:
        """The wanted images in order, each with the label of its class folder."""
        for item in super().items(wanted):
            yield replace(item, label=self._label_of[item.name.partition("/")[0]])
