"""The contract of what compares pairs of images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from genmetrics.errors import UsageError
from genmetrics.extractors.base import Extractor
from genmetrics.precision import computing_at

__all__ = ["PairExtractor"]


class PairExtractor(Extractor):
    """A network, or a formula, that gives one number for two images.

    Whether it is a distance or a similarity is what its only feature is called: ``distance`` or ``similarity``.
    """

    #: The least height and width of images that it compares.
    min_side: int = 1

    def distances(self, first: Float32[Tensor, "n 3 h w"], second: Float32[Tensor, "_ 3 _ _"]) -> Float32[Tensor, " n"]:
        """The number of each pair, without gradients and at the extractor's precision.

        Args:
            first: (n, 3, h, w) float32, preprocessed with the extractor's own preprocessing, on its device.
            second: likewise, of the same shape.

        Raises:
            UsageError: if the shapes differ, or the images are too small.
        """
        if first.shape != second.shape:
            raise UsageError(
                f"extractor {self.id!r} compares images of one shape; given {tuple(first.shape)} and "
                f"{tuple(second.shape)}: resize them first, for example with --crop"
            )
        with torch.inference_mode(), computing_at(self.precision, self.device):
            return self.compare(first, second).to(torch.float32)

    @abstractmethod
    def compare(self, first: Float32[Tensor, "n 3 h w"], second: Float32[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        """The number of each pair; called without gradients and at the chosen precision."""

    def forward(self, inputs: Float32[Tensor, "n 3 h w"], wanted: Collection[str]) -> dict[str, Tensor]:
        """Not possible: one image has no number.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            f"extractor {self.id!r} compares pairs of images and has no features of single ones; call "
            "distances(first, second)"
        )
