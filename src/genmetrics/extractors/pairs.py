"""The contract of what compares two images directly."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection

import torch
from jaxtyping import Float32
from torch import Tensor

from genmetrics.errors import UsageError
from genmetrics.extractors.base import Extractor
from genmetrics.extractors.precision import computing_at

__all__ = ["PairExtractor"]


class PairExtractor(Extractor):
    """An extractor whose one output is of two images: how far apart, or how alike, they are."""

    def distances(self, first: Float32[Tensor, "n 3 h w"], second: Float32[Tensor, "n 3 h w"]) -> Float32[Tensor, " n"]:
        """The output for each pair, (n,) float32.

        Args:
            first: (n, 3, h, w) float32, preprocessed, on the extractor's device.
            second: the same, of the same size.
        """
        with torch.inference_mode(), computing_at(self.precision, self.device):
            return self.compare(first, second).to(torch.float32)

    @abstractmethod
    def compare(self, first: Float32[Tensor, "n 3 h w"], second: Float32[Tensor, "n 3 h w"]) -> Tensor:
        """The output for each pair; called without gradients and at the chosen precision."""

    def forward(self, inputs: Float32[Tensor, "n 3 h w"], wanted: Collection[str]) -> dict[str, Tensor]:
        """Refuse single images."""
        raise UsageError(f"extractor {self.id!r} compares pairs of images and has no features of single ones")
