"""A dataset of image files, each transformed and resized."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from genmetrics.compat.cleanfid.images import EXTENSIONS, PathLike, listed_images, pixels_of
from genmetrics.compat.cleanfid.resize import build_resizer, three_channels
from genmetrics.errors import BadImageError, UsageError
from genmetrics.sources.decode import BadImage
from genmetrics.sources.loader import ItemSource

__all__ = ["EXTENSIONS", "ResizeDataset", "Transform", "Unreadable", "resized"]

#: From an (h, w, 3) image, 0..255, to another.
Transform = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Unreadable:
    """An image that cannot be read.

    Attributes:
        name: of its file.
        reason: why.
    """

    name: str
    reason: str


class ResizeDataset(Dataset[Tensor]):
    """Images as (3, h, w) float32 tensors, 0..255, not rounded.

    Attributes:
        custom_image_tranform: what each image undergoes first: from (h, w, 3), 0..255, to the same of any size.
        fn_resize: the resize: from (h, w, 3), 0..255, to the same of the network's size, uint8 or floats.
    """

    def __init__(
        self,
        files: Sequence[PathLike],
        mode: str,
        size: tuple[int, int] = (299, 299),
        fdir: PathLike | None = None,
    ) -> None:
        """Check that the files are there.

        Args:
            files: image files, ``.npy`` arrays among them, or the names of members of a zip archive.
            mode: ``clean``, ``legacy_tensorflow`` or ``legacy_pytorch``.
            size: (299, 299), which all modes resize to; for another give an ``fn_resize``.
            fdir: the zip archive.

        Raises:
            SourceError: if files are missing.
            UsageError: if there is no such mode, or the size is another.
        """
        if tuple(size) != (299, 299):
            raise UsageError(f"size {size}: expected (299, 299); for another set fn_resize to a resize of your own")
        self._begin(listed_images(files, fdir), mode)

    @classmethod
    def of(cls, source: ItemSource, mode: str) -> ResizeDataset:
        """The same of images that are open already."""
        dataset = cls.__new__(cls)
        dataset._begin(source, mode)
        return dataset

    def _begin(self, source: ItemSource, mode: str) -> None:
        self._source = source
        self._mode = mode
        self._names = source.names()
        self.fn_resize: Transform = build_resizer(mode)
        self.custom_image_tranform: Transform = _as_it_is

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, i: int) -> Tensor:
        """One image, (3, h, w) float32.

        Raises:
            BadImageError: if it cannot be read.
            UsageError: if a function gives something else than an image.
        """
        found = self.item(i)
        if isinstance(found, Unreadable):
            raise BadImageError(f"'{found.name}' cannot be read: {found.reason}", ((found.name, found.reason),))
        return found

    def item(self, i: int) -> Tensor | Unreadable:
        """One image, or why it cannot be read."""
        try:
            pixels = pixels_of(self._source, i)
        except BadImage as error:
            return Unreadable(self._names[i], str(error))
        return resized(pixels, self.custom_image_tranform, self.fn_resize, self._mode)


def resized(pixels: np.ndarray, transform: Transform | None, resize: Transform | None, mode: str) -> Tensor:
    """An image after both functions, (3, h, w) float32.

    Args:
        pixels: (h, w, c), 0..255, which the functions may write to.
        transform: what it undergoes first; None for nothing.
        resize: the resize; None for the mode's.
        mode: whose resize it is.

    Raises:
        UsageError: if a function gives something else than an image.
    """
    image = np.array(pixels)
    for name, function in (("custom_image_tranform", transform), ("fn_resize", resize or build_resizer(mode))):
        if function is None:
            continue
        image = function(image)
        if not isinstance(image, np.ndarray) or image.ndim not in (2, 3) or image.dtype.kind not in "fu":
            found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
            raise UsageError(f"{name} gave {found}; expected an array (h, w, 3), 0..255, uint8 or floats")
    channels = three_channels(image)
    return torch.from_numpy(np.array(channels.transpose(2, 0, 1), dtype=np.float32, order="C"))


def _as_it_is(image: np.ndarray) -> np.ndarray:
    return image
