"""Two sets for the example page, of which it is known what is wrong with the generated one.

Both are crops of the photographs that scikit-image and scikit-learn ship, each photograph a class. The reference has
all of them. Of the generated set one photograph is left out altogether, one class is blurred, a few images are
handwritten digits, and a few are pixel for pixel images of the reference.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

__all__ = ["LEFT_OUT", "make_sets"]

SIDE, PER_SET = 96, 6600
LEFT_OUT, BLURRED = "retina", "chelsea"
NUM_DIGITS, NUM_COPIES = 10, 8
_NAMES = ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "immunohistochemistry", "retina")


def make_sets(folder: Path) -> tuple[Path, Path]:
    """Write ``generated`` and ``reference`` into a folder, the same on every run, and give back their paths."""
    from skimage import data
    from sklearn.datasets import load_digits, load_sample_images

    photographs = {name: Image.fromarray(getattr(data, name)()[..., :3]) for name in _NAMES}
    samples = load_sample_images()
    photographs |= {
        Path(name).stem: Image.fromarray(pixels) for name, pixels in zip(samples.filenames, samples.images, strict=True)
    }
    rng = np.random.default_rng(8)
    ref = _written(folder / "reference", list(photographs), lambda name: _crop(photographs[name], rng))
    digits = dict(zip(rng.choice(PER_SET - NUM_COPIES, NUM_DIGITS, replace=False), load_digits().images, strict=False))
    number = iter(range(PER_SET))

    def generated(name: str) -> Image.Image:
        crop, place = _crop(photographs[name], rng), next(number)
        if place in digits:
            ink = (255 - digits[place] * (255 / 16)).round().astype(np.uint8)
            return Image.fromarray(ink).resize((SIDE, SIDE), Image.Resampling.BICUBIC).convert("RGB")
        return crop.filter(ImageFilter.GaussianBlur(1.5)) if name == BLURRED else crop

    gen = _written(folder / "generated", [name for name in photographs if name != LEFT_OUT], generated, NUM_COPIES)
    for path in sorted((ref / "coffee").iterdir())[:NUM_COPIES]:
        shutil.copy(path, gen / "coffee" / f"copy-{path.name}")
    return gen, ref


def _written(folder: Path, classes: list[str], draw: Callable[[str], Image.Image], fewer: int = 0) -> Path:
    if folder.exists():
        shutil.rmtree(folder)
    for name in classes:
        (folder / name).mkdir(parents=True)
    for number in range(PER_SET - fewer):
        name = classes[number % len(classes)]
        draw(name).save(folder / name / f"{number:05d}.png")
    return folder


def _crop(photograph: Image.Image, rng: np.random.Generator) -> Image.Image:
    # Of whole pixels two crops could be the same.
    side = rng.uniform(SIDE, min(photograph.size))
    left, top = (rng.uniform(0, length - side) for length in photograph.size)
    box = (left, top, left + side, top + side)
    return photograph.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box)
