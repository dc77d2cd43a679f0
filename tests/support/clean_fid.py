"""What the tests of the clean-fid drop-in share: image functions, a generator, an archive."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

__all__ = ["CPU", "MODES", "Painter", "crop", "halve", "their_warnings", "zipped"]

CPU = torch.device("cpu")
#: clean-fid's modes, and the metrics that they are.
MODES = {"clean": "fid_clean", "legacy_tensorflow": "fid", "legacy_pytorch": "fid_pytorch"}


@contextmanager
def their_warnings() -> Iterator[None]:
    """clean-fid's own, of arguments that SciPy and torchvision deprecate, and of files that it leaves open."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def crop(image: np.ndarray) -> np.ndarray:
    """The centre of an image."""
    return image[4:52, 8:56]


def halve(image: np.ndarray) -> np.ndarray:
    """A resize to uint8."""
    return np.asarray(Image.fromarray(image.astype(np.uint8)).resize((40, 30)))


class Painter:
    """From noise to images, 0..255; another image for each."""

    def __init__(self, rounded: bool = False, size: tuple[int, int] = (64, 64)) -> None:
        generator = torch.Generator().manual_seed(1)
        self.mixing = torch.randn(8, 3 * 8 * 8, generator=generator)
        self.rounded, self.size = rounded, size

    def __call__(self, z: Tensor) -> Tensor:
        small = (z @ self.mixing).reshape(-1, 3, 8, 8) * 20 + 128
        images = torch.nn.functional.interpolate(small, self.size, mode="bicubic").clamp(0, 255)
        return images.round().to(torch.uint8) if self.rounded else images


def zipped(folder: Path, path: Path, *, mac: bool = False) -> Path:
    """A folder as a zip archive, as a Mac makes it or not."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"a/{file.name}")
        if mac:
            archive.writestr("__MACOSX/a/._00000.png", b"\0\5\x16\7")
            archive.writestr("readme.txt", b"hello")
    return path
