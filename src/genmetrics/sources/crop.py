"""Centre crop and resize of single images, as the tools do it that made the published reference sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from genmetrics.preprocess.crop_id import split_crop
from genmetrics.sources.decode import BadImage

__all__ = ["Crop", "parse_crop"]


@dataclass(frozen=True)
class Crop:
    """A crop and resize to a square of ``size``.

    Attributes:
        algorithm: which; one of ``CROPS``.
        size: height and width of the result.
    """

    algorithm: str
    size: int

    @property
    def id(self) -> str:
        """The name that protocols carry."""
        return f"{self.algorithm}-{self.size}"

    def __call__(self, pixels: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "size size 3"]:
        """Carry it out.

        Args:
            pixels: (h, w, 3) uint8 RGB. An image of this size already is returned unchanged.

        Raises:
            BadImage: if the image is so long and narrow that its shorter side cannot be brought to the size.
        """
        height, width = pixels.shape[:2]
        if (height, width) == (self.size, self.size):
            return pixels
        _check_area(height, width, self.size)
        return _ALGORITHMS[self.algorithm](pixels, self.size)


def parse_crop(text: str) -> Crop:
    """The crop of an id such as ``adm-256``.

    Raises:
        UsageError: if there is none of that name.
    """
    return Crop(*split_crop(text))


def _check_area(height: int, width: int, size: int) -> None:
    """The shorter side is made ``size`` long before the rest is cut off, which may take much memory."""
    limit = Image.MAX_IMAGE_PIXELS
    area = size * size * max(height, width) // min(height, width)
    if limit is not None and area > limit:
        raise BadImage(
            f"{width}x{height} with its shorter side at {size} has {area:,} pixels, the limit is {limit:,} "
            "(PIL.Image.MAX_IMAGE_PIXELS)"
        )


def _adm(pixels: np.ndarray, size: int) -> np.ndarray:
    """guided-diffusion's ``center_crop_arr``."""
    image = Image.fromarray(pixels)
    while min(image.size) >= 2 * size:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = size / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    return _cut(image, size, (image.height - size) // 2, (image.width - size) // 2)


def _shorter_side(pixels: np.ndarray, size: int, filter: Image.Resampling) -> np.ndarray:
    """Torchvision's ``Resize(size)`` and ``CenterCrop(size)`` on a Pillow image."""
    image = Image.fromarray(pixels)
    longer = int(size * max(image.size) / min(image.size))
    image = image.resize((size, longer) if image.width <= image.height else (longer, size), filter)
    return _cut(image, size, round((image.height - size) / 2), round((image.width - size) / 2))


def _pil_bicubic(pixels: np.ndarray, size: int) -> np.ndarray:
    return _shorter_side(pixels, size, Image.Resampling.BICUBIC)


def _pil_bilinear(pixels: np.ndarray, size: int) -> np.ndarray:
    return _shorter_side(pixels, size, Image.Resampling.BILINEAR)


def _square(pixels: np.ndarray, size: int) -> np.ndarray:
    """dataset_tool.py's ``center_crop``."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    image = Image.fromarray(np.ascontiguousarray(pixels[top : top + side, left : left + side]))
    return np.asarray(image.resize((size, size), Image.Resampling.LANCZOS))


def _cut(image: Image.Image, size: int, top: int, left: int) -> np.ndarray:
    return np.asarray(image)[top : top + size, left : left + size]


_ALGORITHMS: Mapping[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "adm": _adm,
    "pil-bicubic": _pil_bicubic,
    "pil-bilinear": _pil_bilinear,
    "square": _square,
}
