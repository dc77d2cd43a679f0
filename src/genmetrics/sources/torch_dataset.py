"""Map-style datasets: torch's, and whatever else is read by position."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from genmetrics.errors import GenmetricsError, SourceError
from genmetrics.sources.decode import BadImage, Decoded
from genmetrics.sources.loader import Item
from genmetrics.sources.names import count
from genmetrics.sources.quantise import QuantisedSource, Quantiser
from genmetrics.sources.samples import read_sample
from genmetrics.types import AlphaPolicy, Fingerprint

__all__ = ["DatasetSource", "MapStyle"]


@runtime_checkable
class MapStyle(Protocol):
    """What is read by position, as ``torch.utils.data.Dataset`` or ``datasets.Dataset``."""

    def __len__(self) -> int:
        """How many items there are."""

    def __getitem__(self, index: int) -> Any:
        """The item at a position."""


class DatasetSource(QuantisedSource):
    """A map-style dataset: each item is one image, or one image and its label.

    ``__getitem__`` is called in the calling thread alone, since a dataset need not stand several; give it in a
    ``DataLoader`` with workers to read it faster.
    """

    kind = "dataset"

    def __init__(
        self, dataset: MapStyle, value_range: Sequence[int | float] | None = None, rounding: str = "round"
    ) -> None:
        """Check that there is something in it.

        Args:
            dataset: what is read by position.
            value_range: what float images run from and to; None for uint8 and Pillow images.
            rounding: how floats become uint8.

        Raises:
            SourceError: if it is empty, or its first item is no image.
            UsageError: if the range or rounding cannot be meant.
        """
        super().__init__(Quantiser(value_range, rounding))
        self._dataset = dataset
        self._length = len(dataset)
        name = type(dataset).__name__
        self.description = f"{name} of {count(self._length, 'item')}"
        if not self._length:
            raise SourceError(f"the dataset, a {name}, is empty; expected at least one image")

    def __len__(self) -> int:
        return self._length

    def fingerprint(self) -> Fingerprint:
        """The bytes of a ``TensorDataset``; any other dataset may give other images the next time."""
        digest = None
        if type(self._dataset) is TensorDataset:
            hashed = hashlib.sha256(self._quantiser.text.encode())
            for tensor in self._dataset.tensors:
                hashed.update(f"{tuple(tensor.shape)} {tensor.dtype}\n".encode())
                for row in tensor:
                    hashed.update(np.ascontiguousarray(_bytes(row)).data)
            digest = hashed.hexdigest()
        return Fingerprint(self.kind, self.description, digest)

    def names(self) -> Sequence[str]:
        """The position of each item, which needs none to be read."""
        return [self._name(index) for index in range(self._length)]

    def items(self, wanted: Sequence[int]) -> Iterator[Item]:
        """The wanted images in order, read here."""
        for index in wanted:
            name = self._name(index)
            try:
                value = self._dataset[index]
            except GenmetricsError:
                raise
            except Exception as error:
                yield Item(index, name, _failing(error))
                continue
            yield from read_sample(value, name, batched=False).items([0], index, self._name, self._quantiser)

    def _name(self, index: int) -> str:
        return f"item {index} of the dataset"


def _bytes(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()


def _failing(error: Exception) -> Any:
    reason = BadImage(f"reading it failed: {type(error).__name__}: {error}")
    reason.__cause__ = error

    def load(alpha: AlphaPolicy) -> Decoded:
        raise reason

    return load
