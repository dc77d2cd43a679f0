"""What all folders of images have in common, wherever they are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence

from genmetrics.sources.decode import Decoded
from genmetrics.sources.file_state import SetDigest
from genmetrics.sources.label_files import DATASET_JSON, container_labels
from genmetrics.sources.loader import Item, ItemSource
from genmetrics.sources.names import PassedOver
from genmetrics.types import AlphaPolicy

__all__ = ["ImageTree"]


class ImageTree(ItemSource):
    """Images by their path in a folder, in the order of these, with the classes of a ``dataset.json`` beside them."""

    kind = "folder"

    #: The path of each image in the folder.
    _names: list[str]

    @abstractmethod
    def _loader(self, name: str) -> Callable[[AlphaPolicy], Decoded]:
        """What decodes the image of that path."""

    def __len__(self) -> int:
        return len(self._names)

    def names(self) -> Sequence[str]:
        """The path of each image in the folder."""
        return self._names

    def paths(self) -> Sequence[str]:
        """The path of each image in the folder."""
        return self._names

    def known_labels(self) -> Sequence[int] | None:
        """The class of each image, in their order."""
        return None if self._labels is None else self._labels.values.tolist()

    def items(self, wanted: Sequence[int]) -> Iterator[Item]:
        """The wanted images in order, each named by its path in the folder."""
        for index in wanted:
            name = self._names[index]
            label = None if self._labels is None else int(self._labels.values[index])
            yield Item(index, name, self._loader(name), label)

    def _take_labels(self, data: bytes, passed_over: PassedOver) -> None:
        """Take the classes out of what ``dataset.json`` holds, which is empty if there is none."""
        self._labels, self.label_problem = container_labels(data, self._names)
        if self._labels is not None:
            self.class_names = self._labels.class_names
            passed_over.take_back(DATASET_JSON)

    def _add_labels(self, digest: SetDigest) -> None:
        if self._labels is not None:
            digest.add("labels", self._labels.values.tolist(), self.class_names)
