"""What the benchmarks measure on: photograph-like pictures and seeded random weights, the same on every machine.

The pictures are crops of the photographs that scikit-image and scikit-learn ship, changed in brightness and with a
little noise, which makes them as large as PNG files of photographs are. No weights are downloaded: Inception's are
drawn at random in the published layout, so that times are those of the real network and the values are not.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

__all__ = ["TESTS", "photographs", "pictures", "write_inception", "write_pictures"]

#: The folder that the peers' imports are made possible in, see ``tests/support/peers.py``.
TESTS = Path(__file__).resolve().parent.parent / "tests"
#: What of scikit-image's pictures is a photograph (or looks like one to a network) and lies in the package itself.
_PHOTOS = (
    *("astronaut", "camera", "chelsea", "coffee", "coins", "rocket", "hubble_deep_field", "immunohistochemistry"),
    *("retina", "moon", "brick", "grass", "gravel", "clock"),
)


@lru_cache(maxsize=1)
def photographs() -> tuple[Image.Image, ...]:
    """The whole photographs, RGB."""
    from skimage import data
    from sklearn import datasets

    arrays = [getattr(data, name)() for name in _PHOTOS] + list(datasets.load_sample_images().images)
    return tuple(Image.fromarray(array).convert("RGB") for array in arrays)


def pictures(count: int, side: int, seed: int, noise: float = 5.0, blur: float = 0.0) -> np.ndarray:
    """Square crops of the photographs.

    Args:
        count: how many.
        side: their height and width.
        seed: of crops, brightness and noise (NumPy RandomState).
        noise: standard deviation of the noise that is added, on 0..255.
        blur: radius of a Gaussian blur before the noise; 0 for none.

    Returns:
        (count, side, side, 3) uint8 RGB.
    """
    rng = np.random.RandomState(seed)
    photos = photographs()
    made = np.empty((count, side, side, 3), dtype=np.uint8)
    for number in range(count):
        photo = photos[rng.randint(len(photos))]
        edge = int(rng.randint(min(side, *photo.size), min(photo.size) + 1))
        left, top = (int(rng.randint(length - edge + 1)) for length in photo.size)
        crop = photo.resize((side, side), Image.Resampling.LANCZOS, box=(left, top, left + edge, top + edge))
        if blur:
            crop = crop.filter(ImageFilter.GaussianBlur(blur))
        pixels = np.asarray(crop, dtype=np.float32) * rng.uniform(0.8, 1.2)
        pixels += noise * rng.standard_normal(pixels.shape)
        made[number] = pixels.round().clip(0, 255)
    return made


def write_pictures(
    folder: Path, count: int, side: int, seed: int, noise: float = 5.0, blur: float = 0.0, suffix: str = ".png"
) -> Path:
    """The pictures as files ``00000.png`` … in a new folder."""
    folder.mkdir()
    for number, pixels in enumerate(pictures(count, side, seed, noise, blur)):
        Image.fromarray(pixels).save(folder / f"{number:05d}{suffix}")
    return folder


def write_inception(path: Path) -> Path:
    """Seeded random Inception weights in the layout of the published file."""
    import torch

    if str(TESTS) not in sys.path:
        sys.path.insert(0, str(TESTS))
    from support.weights import random_inception_state_dict

    torch.save(random_inception_state_dict(), path)
    return path
