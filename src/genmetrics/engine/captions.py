"""How well images go with their captions, told while the images go through their network."""

from __future__ import annotations

from collections import Counter
from collections.abc import MutableMapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from genmetrics.accumulators.base import Accumulator
from genmetrics.errors import UsageError
from genmetrics.extractors.base import Extractor
from genmetrics.extractors.captions import CaptionExtractor
from genmetrics.types import Need

__all__ = ["NO_CAPTIONS", "CaptionValues", "Captions"]

#: What to say where captions are needed and none were given.
NO_CAPTIONS = "a CLIP score needs a caption for each image; give them with '--captions FILE' (Python: captions=...)"

#: What CLIPScore puts before each caption.
_PREFIX = "A photo depicts "


class Captions:
    """The captions of the images that are not through all networks yet; each is let go after its last use."""

    def __init__(self, texts: MutableMapping[int, str], num_users: int) -> None:
        """Use up a mapping.

        Args:
            texts: the captions by the index of their image; it may grow, and what is taken from it is removed.
            num_users: how many times each caption will be taken.
        """
        self._texts = texts
        self._num_users = num_users
        self._taken: Counter[int] = Counter()

    def take(self, indices: Sequence[int]) -> list[str]:
        """The captions of images.

        Raises:
            UsageError: if an image has none.
        """
        missing = [index for index in indices if index not in self._texts]
        if missing:
            raise UsageError(
                f"image {missing[0]} has no caption, and a CLIP score needs one for each image; give them with "
                "'--captions FILE' (Python: captions=...)"
            )
        texts = [self._texts[index] for index in indices]
        self._taken.update(indices)
        for index in indices:
            if self._taken[index] >= self._num_users:
                self._texts.pop(index, None)
                del self._taken[index]
        return texts


class CaptionValues:
    """Turns the embeddings of images into their cosines with the embeddings of their captions."""

    def __init__(self, accumulator: Accumulator, need: Need, extractor: Extractor, captions: Captions) -> None:
        """Check that the network reads texts.

        Args:
            accumulator: takes the cosines.
            need: what the accumulator meets; its option ``prefix`` puts "A photo depicts " before each caption.
            extractor: the network.
            captions: the captions, of which each image's is taken once.

        Raises:
            UsageError: if the network does not read texts.
        """
        if not isinstance(extractor, CaptionExtractor):
            raise UsageError(
                f"extractor {extractor.id!r} reads no captions; a CLIP score needs one that does, such as "
                "'clip-vit-b32.openai'"
            )
        self._accumulator = accumulator
        self._prefix = _PREFIX if dict(need.options).get("prefix") else ""
        self._extractor = extractor
        self._captions = captions
        self.num_truncated = 0

    def update(self, values: Tensor, indices: Tensor) -> None:
        """Take the (n, d) embeddings of the images with these (n,) indices."""
        texts = [self._prefix + text for text in self._captions.take(indices.tolist())]
        self.num_truncated += len(self._extractor.truncated(texts))
        of_texts = self._extractor.caption_embeddings(texts).to(values.device)
        on_host = values.device.type == "mps"  # Metal has no float64
        pair = [(side.cpu() if on_host else side).to(torch.float64) for side in (values, of_texts)]
        cosines = F.cosine_similarity(pair[0], pair[1], dim=1)
        self._accumulator.update(torch.stack((cosines, torch.full_like(cosines, -1)), dim=1), indices)
