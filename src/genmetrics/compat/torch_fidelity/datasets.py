"""Torch datasets of uint8 images, as torch-fidelity's functions take and give them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from genmetrics.errors import SourceError, UsageError
from genmetrics.registry import load_target
from genmetrics.sources.datasets import DATASETS
from genmetrics.sources.decode import BadImage, decode_file
from genmetrics.sources.loader import ItemSource

__all__ = ["ImagesPathDataset", "NamedDataset", "RandomlyGeneratedDataset", "SourceDataset", "TransformPILtoRGBTensor"]


class TransformPILtoRGBTensor:
    """A Pillow image as a tensor."""

    def __call__(self, img: Image.Image) -> UInt8[Tensor, "c h w"]:
        """(c, h, w) uint8 of an image of c channels.

        Raises:
            UsageError: if it is no Pillow image.
        """
        if not isinstance(img, Image.Image):
            raise UsageError(f"the image is a {type(img).__name__}; expected a PIL.Image.Image")
        pixels = np.array(img)
        return torch.from_numpy(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1).copy())


class ImagesPathDataset(Dataset[Any]):
    """Image files, each decoded to RGB when it is asked for."""

    def __init__(self, files: Sequence[str | Path], transforms: Callable[[Image.Image], Any] | None = None) -> None:
        """Keep the paths.

        Args:
            files: the paths.
            transforms: what is done with each Pillow image; None makes a uint8 tensor of it.
        """
        self.files = files
        self.transforms = TransformPILtoRGBTensor() if transforms is None else transforms

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> Any:
        """The image at a position.

        Raises:
            SourceError: if it cannot be read.
        """
        try:
            pixels = decode_file(Path(self.files[i]), "drop").pixels
        except BadImage as error:
            raise SourceError(f"'{self.files[i]}': {error}") from error
        return self.transforms(Image.fromarray(pixels))


class RandomlyGeneratedDataset(Dataset[Any]):
    """Images of random values 0..254, all made at once."""

    def __init__(self, num_samples: int, *dimensions: int, dtype: torch.dtype = torch.uint8, seed: int = 2021) -> None:
        """Draw them; torch's own generator is left as it is.

        Args:
            num_samples: how many.
            dimensions: the shape of one, such as ``3, 32, 32``.
            dtype: uint8.
            seed: of the draw.

        Raises:
            UsageError: if the type is another.
        """
        if dtype != torch.uint8:
            raise UsageError(f"dtype is {dtype}; expected torch.uint8")
        generator = torch.Generator().manual_seed(seed)
        self.imgs = torch.randint(0, 255, (num_samples, *dimensions), dtype=dtype, generator=generator)

    def __len__(self) -> int:
        return self.imgs.shape[0]

    def __getitem__(self, i: int) -> Tensor:
        """The image at a position, uint8."""
        return self.imgs[i]


class SourceDataset(Dataset[Any]):
    """The images of one of our sources.

    Attributes:
        source: what our engine reads in its place.
    """

    def __init__(self, source: ItemSource) -> None:
        """Take the source; nothing is read yet."""
        self.source = source

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, i: int) -> UInt8[Tensor, "3 h w"]:
        """The image at a position.

        Raises:
            IndexError: if there is none.
            SourceError: if it cannot be read.
        """
        if not -len(self) <= i < len(self):
            raise IndexError(f"image {i} of {len(self)}")
        [item] = self.source.items([i % len(self)])
        try:
            pixels = item.load("drop").pixels
        except BadImage as error:
            raise SourceError(f"'{item.name}': {error}") from error
        return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


class NamedDataset(SourceDataset):
    """A split of a dataset that is registered with genmetrics."""

    def __init__(self, name: str, split: str, root: str | Path | None = None, download: bool = True) -> None:
        """Find it, and fetch it if it is not here.

        Args:
            name: of the dataset, such as ``cifar10``.
            split: such as ``train``.
            root: the one folder where it is looked for and put; None for those where genmetrics looks.
            download: whether it may be fetched.

        Raises:
            SourceError: if it is not there and is not or cannot be fetched.
        """
        opened = load_target(DATASETS.get(name).target)
        folder = None if root is None else Path(root).expanduser()
        super().__init__(cast(ItemSource, opened(split, folder, download)))
