"""The contract of a network that also embeds captions, in the space of its images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from jaxtyping import Float32
from torch import Tensor

__all__ = ["CaptionExtractor"]


class CaptionExtractor(ABC):
    """What an extractor with a text tower promises beside ``Extractor``."""

    @abstractmethod
    def caption_embeddings(self, texts: Sequence[str]) -> Float32[Tensor, "n d"]:
        """The embeddings of captions, as wide as the pooled feature of images and not normalised.

        Args:
            texts: captions as they are; what a protocol puts before them is the caller's.

        Raises:
            DependencyError: if a package that reading text needs is not installed.
            WeightsError: if the vocabulary is missing or refused.
        """

    @abstractmethod
    def truncated(self, texts: Sequence[str]) -> list[int]:
        """The positions of captions that are longer than the network reads, whose ends are left out."""
