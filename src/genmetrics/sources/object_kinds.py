"""Which kind of source a Python object is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

from genmetrics.errors import UsageError
from genmetrics.sources.samples import IMAGE_TYPES
from genmetrics.sources.torch_dataset import MapStyle

__all__ = ["kind_of"]

_TAKEN = (
    "a path as a string or pathlib.Path, a list of paths, a torch tensor uint8 (n, 3, h, w), a numpy array "
    "uint8 (n, h, w, 3), a torch Dataset or DataLoader, an iterable of images or batches, or an ImageSource"
)


def kind_of(source: object) -> str:
    """The kind of a Python object that is no text, path or open source.

    Raises:
        UsageError: if it cannot be a source.
    """
    for kind, types in (
        ("array", (Tensor, np.ndarray)),
        ("loader", (DataLoader,)),
        ("iterable", (IterableDataset,)),
        ("dataset", (Dataset,)),
    ):
        if isinstance(source, types):
            return kind
    name = type(source).__name__
    if isinstance(source, nn.Module):
        raise UsageError(
            f"a {name}, an nn.Module, cannot be a source by itself; give `gm.GeneratorSource(module, z_size=…, "
            "num_samples=…)`"
        )
    if isinstance(source, Mapping | Image.Image | bytes):
        raise UsageError(f"a {name} cannot be a source; expected {_TAKEN}")
    if isinstance(source, Sequence):
        return _kind_of_list(source)
    if isinstance(source, MapStyle):
        return "dataset"
    if isinstance(source, Iterable):
        return "iterable"
    raise UsageError(f"a {name} cannot be a source; expected {_TAKEN}")


def _kind_of_list(source: Sequence[object]) -> str:
    if all(isinstance(entry, str | Path) for entry in source):
        return "files"
    if not any(isinstance(entry, str | Path) for entry in source):
        wrong = [entry for entry in source if not isinstance(entry, (*IMAGE_TYPES, tuple, list, Mapping))]
        if not wrong:
            return "iterable"
    else:
        wrong = [entry for entry in source if not isinstance(entry, str | Path)]
    raise UsageError(
        f"a {type(source).__name__} with {type(wrong[0]).__name__} in it cannot be a source; expected {_TAKEN}"
    )
