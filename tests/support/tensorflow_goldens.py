"""What TensorFlow's own operators gave (tests/goldens/tensorflow), and the images and weights that they gave it for."""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np

__all__ = ["GOLDENS", "load", "smooth_image", "write_graph"]

GOLDENS = Path(__file__).parents[1] / "goldens" / "tensorflow"


def load(name: str) -> dict[str, np.ndarray]:
    """The arrays of a file of goldens."""
    with np.load(GOLDENS / name) as arrays:
        return dict(arrays)


def smooth_image(seed: int, height: int, width: int) -> np.ndarray:
    """The image that make_goldens.py made from this seed, (h, w, 3) uint8."""
    random = np.random.RandomState(seed)
    rows, columns = np.mgrid[:height, :width]
    channels = []
    for _ in range(3):
        waves = []
        for _ in range(2):
            down, right = random.randint(-6, 7, 2)
            phase = random.randint(510)
            waves.append(np.abs((rows * down + columns * right + phase) % 510 - 255))
        noise = random.randint(-12, 13, (height, width))
        channels.append(np.clip((waves[0] + waves[1]) // 2 + noise, 0, 255))
    return np.stack(channels, axis=-1).astype(np.uint8)


def write_graph(folder: Path) -> Path:
    """The graph whose network the goldens are of, under its official name."""
    path = folder / "classify_image_graph_def.pb"
    path.write_bytes(lzma.decompress((GOLDENS / "classify_image_graph_def.pb.xz").read_bytes()))
    return path
