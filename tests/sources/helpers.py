"""Small images, and what a source yields, in a form that is easy to compare."""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np
import torch
from PIL import Image

from genmetrics.sources.base import ImageBatch


def pixels(seed: int, height: int = 8, width: int = 6, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


class Collected:
    """All that batches said, by index."""

    def __init__(self, batches: Iterable[ImageBatch]) -> None:
        self.batches = list(batches)
        self.images: dict[int, np.ndarray] = {}
        self.labels: dict[int, int] = {}
        self.skipped: list[tuple[str, str]] = []
        for batch in self.batches:
            assert batch.images.dtype == torch.uint8
            assert batch.images.is_contiguous()
            assert batch.indices.dtype == torch.int64
            assert len(batch.images) == len(batch.indices)
            for row, index in enumerate(batch.indices.tolist()):
                assert index not in self.images, f"index {index} came twice"
                self.images[index] = batch.images[row].permute(1, 2, 0).numpy()
                if batch.labels is not None:
                    self.labels[index] = int(batch.labels[row])
            self.skipped += [(image.name, image.reason) for image in batch.skipped]

    @property
    def shape_of_batches(self) -> list[tuple[tuple[int, ...], list[int]]]:
        return [(tuple(batch.images.shape), batch.indices.tolist()) for batch in self.batches]
