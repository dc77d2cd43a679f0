"""The files of CIFAR-10 as its official archive has them, of other images and far fewer."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np

__all__ = ["write_cifar10"]

_BATCHES = 5


def write_cifar10(images: np.ndarray, folder: Path) -> Path:
    """Write the training batches, and give back the folder that holds the dataset's.

    Args:
        images: (n, 32, 32, 3) uint8, as many for each of the five batches.
        folder: it is made.
    """
    inside = folder / "cifar-10-batches-py"
    inside.mkdir(parents=True)
    rows = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    for number, part in enumerate(np.split(rows, _BATCHES)):
        content = {"data": part, "labels": [number] * len(part)}
        (inside / f"data_batch_{number + 1}").write_bytes(pickle.dumps(content, protocol=2))
    return folder
