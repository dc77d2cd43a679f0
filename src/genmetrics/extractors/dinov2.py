"""DINOv2, self-supervised vision transformers: the network is that of the transformers library.

Both published layouts are read: that of the Hugging Face hub, whose files are the pinned ones, and Meta's own.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from torch import Tensor, nn

from genmetrics.extractors.layouts import relabel
from genmetrics.extractors.on_transformers import TransformersExtractor, without_transformers

__all__ = ["DINOv2ViTB", "DINOv2ViTG", "DINOv2ViTL", "DINOv2ViTS", "interpolated_positions"]

_PATCH = 14
_SIDE = 224
_GRID = _SIDE // _PATCH
_HEAD_WIDTH = 64
_POSITIONS = "embeddings.position_embeddings"

_META_BLOCK, _BLOCK = r"blocks\.(\d+)\.", r"encoder.layer.\1"
_FROM_META = (
    (r"(embeddings\.)?mask_token", ()),
    (r"cls_token", ("embeddings.cls_token",)),
    (r"pos_embed", (_POSITIONS,)),
    (r"patch_embed\.proj\.(.*)", (r"embeddings.patch_embeddings.projection.\1",)),
    (
        rf"{_META_BLOCK}attn\.qkv\.(.*)",
        tuple(rf"{_BLOCK}.attention.attention.{part}.\2" for part in ("query", "key", "value")),
    ),
    (rf"{_META_BLOCK}attn\.proj\.(.*)", (rf"{_BLOCK}.attention.output.dense.\2",)),
    (rf"{_META_BLOCK}ls([12])\.gamma", (rf"{_BLOCK}.layer_scale\2.lambda1",)),
    (rf"{_META_BLOCK}mlp\.w12\.(.*)", (rf"{_BLOCK}.mlp.weights_in.\2",)),
    (rf"{_META_BLOCK}mlp\.w3\.(.*)", (rf"{_BLOCK}.mlp.weights_out.\2",)),
    (rf"{_META_BLOCK}(.*)", (rf"{_BLOCK}.\2",)),
    (r"norm\.(.*)", (r"layernorm.\1",)),
)
# Where the library's newer releases name modules unlike the hub's files.
_FROM_HUB = (
    (r"(.*\.attention)\.attention\.([qkv])(?:uery|ey|alue)\.(.*)", (r"\1.\2_proj.\3",)),
    (r"(.*\.attention)\.output\.dense\.(.*)", (r"\1.o_proj.\2",)),
    (r"(.*\.mlp)\.weights_in\.(.*)", (r"\1.gate_proj.\2", r"\1.up_proj.\2")),
    (r"(.*\.mlp)\.weights_out\.(.*)", (r"\1.down_proj.\2",)),
)


def interpolated_positions(positions: Float32[Tensor, "1 published d"]) -> Float32[Tensor, "1 257 d"]:
    """Position embeddings for 16 x 16 patches from those that were trained for 37 x 37, as Meta's code makes them.

    The scale is that from 37 to 16.1, not to 16, and there is no antialiasing. The embedding of the class token stays.

    Source: ``DinoVisionTransformer.interpolate_pos_encoding`` of facebookresearch/dinov2.
    Matches: that formula bit for bit; tests/conformance/test_networks_dinov2.py. The transformers library scales to 16,
    which moves features.
    """
    side = math.isqrt(positions.shape[1] - 1)
    if side == _GRID:
        return positions
    patches = positions[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    scale = (_GRID + 0.1) / math.sqrt(side * side)
    patches = F.interpolate(patches, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat((positions[:, :1], patches.permute(0, 2, 3, 1).flatten(1, 2)), dim=1)


class _DINOv2Extractor(TransformersExtractor):
    """A DINOv2 vision transformer without registers, on images of 224 x 224.

    Its one feature is ``cls``: the class token after the last normalisation, as ``model(x)`` of torch's hub gives it.
    The position embeddings are brought to the size of the images once, when the weights are read, so that the library
    never does it.

    Source: Oquab et al. 2023 (arXiv:2304.07193).
    Matches: timm 1.0.31's ``vit_*_patch14_dinov2`` with the position embeddings of Meta's code, within 1e-5 relative;
    tests/conformance/test_networks_dinov2.py.
    """

    width: int
    depth: int
    # Gated layers in place of the plain ones, as in the largest.
    swiglu = False

    @classmethod
    def make(cls) -> nn.Module:
        try:
            from transformers import Dinov2Config, Dinov2Model
        except ImportError as error:
            raise without_transformers(f"extractor {cls.name!r}", error) from error
        config = Dinov2Config(
            hidden_size=cls.width,
            num_hidden_layers=cls.depth,
            num_attention_heads=cls.width // _HEAD_WIDTH,
            image_size=_SIDE,
            patch_size=_PATCH,
            use_swiglu_ffn=cls.swiglu,
            use_mask_token=False,
        )
        network: nn.Module = Dinov2Model(config)
        return network

    def relabelled(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Either published layout in the library's names, with position embeddings for 224 x 224."""
        state = relabel(state, _FROM_META)
        if _POSITIONS in state:
            state[_POSITIONS] = interpolated_positions(state[_POSITIONS].to(torch.float32))
        with torch.device("meta"):
            known = self.make().state_dict().keys()
        renamed = relabel({name: value for name, value in state.items() if name not in known}, _FROM_HUB)
        return {name: value for name, value in state.items() if name in known} | renamed

    def forward(
        self, inputs: Float32[Tensor, "n 3 224 224"], wanted: Collection[str]
    ) -> dict[str, Float[Tensor, "n _"]]:
        return dict.fromkeys(wanted, self.network(pixel_values=inputs).pooler_output)


class DINOv2ViTS(_DINOv2Extractor):
    """DINOv2 ViT-S/14."""

    name = "dinov2-vits14.lvd142m"
    width, depth = 384, 12


class DINOv2ViTB(_DINOv2Extractor):
    """DINOv2 ViT-B/14."""

    name = "dinov2-vitb14.lvd142m"
    width, depth = 768, 12


class DINOv2ViTL(_DINOv2Extractor):
    """DINOv2 ViT-L/14, the network of FD-DINOv2."""

    name = "dinov2-vitl14.lvd142m"
    width, depth = 1024, 24


class DINOv2ViTG(_DINOv2Extractor):
    """DINOv2 ViT-g/14."""

    name = "dinov2-vitg14.lvd142m"
    width, depth = 1536, 40
    swiglu = True
