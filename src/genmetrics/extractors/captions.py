"""The contract of a network that reads texts as well as images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from jaxtyping import Float32
from torch import Tensor

from genmetrics.extractors.base import Extractor

__all__ = ["CaptionExtractor"]


class CaptionExtractor(Extractor):
    """An extractor that embeds texts in the space of its images."""

    @abstractmethod
    def caption_embeddings(self, texts: Sequence[str]) -> Float32[Tensor, "n d"]:
        """The embeddings of texts, (n, d) float32, not normalised, on the extractor's device."""
