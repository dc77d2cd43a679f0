"""CLIP as a feature model, by ``clip-vit-b32.openai`` and its relatives: the ``clip`` package is not needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from genmetrics.compat.cleanfid.network import DeviceLike, Network
from genmetrics.compat.cleanfid.resize import three_channels
from genmetrics.errors import UsageError
from genmetrics.preprocess.spec import get_preprocess
from genmetrics.registry import did_you_mean

__all__ = ["CLIP_fx", "img_preprocess_clip"]

_EXTRACTORS: Mapping[str, str] = MappingProxyType(
    {"ViT-B/32": "clip-vit-b32.openai", "ViT-B/16": "clip-vit-b16.openai", "ViT-L/14": "clip-vit-l14.openai"}
)


def img_preprocess_clip(img_np: np.ndarray) -> np.ndarray:
    """CLIP's resize: the shorter side to 224 by Pillow's bicubic, then the centre; (224, 224, 3) uint8.

    Args:
        img_np: (h, w, 3) or (h, w), 0..255; floats are clipped to that and truncated.
    """
    image = three_channels(img_np)
    if image.dtype != np.uint8:
        image = image.clip(0, 255).astype(np.uint8)
    pixels = torch.from_numpy(np.array(image.transpose(2, 0, 1), order="C"))[None]
    # The same preprocessing without its normalisation.
    spec = replace(get_preprocess("pil-bicubic-crop-224-clip"), mean=(0.0,) * 3, std=(1.0,) * 3, divisor=1.0)
    return spec(pixels)[0].permute(1, 2, 0).contiguous().numpy().astype(np.uint8)


class CLIP_fx(Network):
    """A function of (n, 3, 224, 224) images, 0..255, to their (n, 512) embeddings, which are not normalised."""

    def __init__(self, name: str = "ViT-B/32", device: DeviceLike = "auto") -> None:
        """Find device and weights.

        Args:
            name: ``ViT-B/32``, ``ViT-B/16`` or ``ViT-L/14``.
            device: where it runs.

        Raises:
            UsageError: if there is no network of that name.
            WeightsError: if the weights are missing or refused.
        """
        if name not in _EXTRACTORS:
            raise UsageError(f"CLIP {name!r}: {did_you_mean(name, list(_EXTRACTORS))}")
        super().__init__("clip_fid", device, extractor=_EXTRACTORS[name])
        self.name = "clip_" + name.lower().replace("-", "_").replace("/", "_")

    def __call__(self, img_t: Tensor) -> Tensor:
        """The embeddings, (n, d) float32.

        Args:
            img_t: (n, 3, 224, 224) or (3, 224, 224), 0..255.
        """
        return super().__call__(img_t[None] if img_t.ndim == 3 else img_t)
