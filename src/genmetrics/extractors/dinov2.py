"""DINOv2, self-supervised vision transformers; the parameters have the names of Meta's own weight files.

Both published layouts are read: that of the Hugging Face hub, whose files are the pinned ones, and Meta's own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from torch import Tensor, nn

from genmetrics.extractors.layouts import joined, relabel
from genmetrics.extractors.published import PublishedExtractor

__all__ = ["DINOv2", "DINOv2ViTB", "DINOv2ViTG", "DINOv2ViTL", "DINOv2ViTS", "interpolated_positions"]

_PATCH = 14
_GRID = 224 // _PATCH
_HEAD_WIDTH = 64
_EPSILON = 1e-6

_FROM_HUB = (
    (r"(embeddings\.)?mask_token", ""),
    (r"embeddings\.cls_token", "cls_token"),
    (r"embeddings\.position_embeddings", "pos_embed"),
    (r"embeddings\.patch_embeddings\.projection\.(.*)", r"patch_embed.proj.\1"),
    (r"encoder\.layer\.(\d+)\.attention\.attention\.([qkv])(?:uery|ey|alue)\.(.*)", r"blocks.\1.attn.\2.\3"),
    (r"encoder\.layer\.(\d+)\.attention\.output\.dense\.(.*)", r"blocks.\1.attn.proj.\2"),
    (r"encoder\.layer\.(\d+)\.layer_scale([12])\.lambda1", r"blocks.\1.ls\2.gamma"),
    (r"encoder\.layer\.(\d+)\.mlp\.weights_in\.(.*)", r"blocks.\1.mlp.w12.\2"),
    (r"encoder\.layer\.(\d+)\.mlp\.weights_out\.(.*)", r"blocks.\1.mlp.w3.\2"),
    (r"encoder\.layer\.(.*)", r"blocks.\1"),
    (r"layernorm\.(.*)", r"norm.\1"),
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


class DINOv2(nn.Module):
    """A DINOv2 vision transformer on images of 224 x 224.

    Source: Oquab et al. 2023 (arXiv:2304.07193), without registers.
    Matches: timm 1.0.31's ``vit_*_patch14_dinov2`` and, where its position embeddings are those of Meta's code, the
    transformers library 5.24.0, within 1e-5 relative; tests/conformance/test_networks_dinov2.py.
    """

    def __init__(self, width: int, depth: int, swiglu: bool = False) -> None:
        """Build it with any weights.

        Args:
            width: of a token.
            depth: how many blocks.
            swiglu: gated layers in place of the plain ones, as in the largest.
        """
        super().__init__()
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.pos_embed = nn.Parameter(torch.empty(1, _GRID * _GRID + 1, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, _PATCH, stride=_PATCH)})
        self.blocks = nn.ModuleList([_Block(width, swiglu) for _ in range(depth)])
        self.norm = nn.LayerNorm(width, eps=_EPSILON)

    def forward(self, inputs: Float32[Tensor, "n 3 224 224"], wanted: Iterable[str]) -> dict[str, Float[Tensor, "n _"]]:
        """Compute the wanted outputs.

        Args:
            inputs: (n, 3, 224, 224) float32, normalised with ImageNet's mean and deviation.
            wanted: ``cls``: the class token after the last normalisation, as ``model(x)`` of torch's hub gives it.

        Returns:
            (n, width) for each wanted output; float32 but under autocast.
        """
        patches = self.patch_embed["proj"](inputs).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls_token.expand(inputs.shape[0], -1, -1), patches), dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return dict.fromkeys(wanted, self.norm(x[:, 0]))


class _Block(nn.Module):
    def __init__(self, width: int, swiglu: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=_EPSILON)
        self.attn = _Attention(width)
        self.ls1 = _Scale(width)
        self.norm2 = nn.LayerNorm(width, eps=_EPSILON)
        self.mlp = _GatedMLP(width) if swiglu else _MLP(width)
        self.ls2 = _Scale(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        out: Tensor = x + self.ls2(self.mlp(self.norm2(x)))
        return out


class _Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        count, length, width = x.shape
        parts = self.qkv(x).reshape(count, length, 3, width // _HEAD_WIDTH, _HEAD_WIDTH).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(count, length, width))
        return out


class _Scale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class _MLP(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class _GatedMLP(nn.Module):
    """Two thirds of the plain layer's width, rounded up to a multiple of eight, and as many gates."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = (4 * width * 2 // 3 + 7) // 8 * 8
        self.w12 = nn.Linear(width, 2 * hidden)
        self.w3 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        gates, values = self.w12(x).chunk(2, dim=-1)
        out: Tensor = self.w3(F.silu(gates) * values)
        return out


class _DINOv2Extractor(PublishedExtractor):
    sizes: tuple[int, int, bool]

    @classmethod
    def make(cls) -> nn.Module:
        return DINOv2(*cls.sizes)

    def relabelled(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Either published layout in Meta's names, with position embeddings for 224 x 224."""
        state = joined(relabel(state, _FROM_HUB), ".qkv.")
        if "pos_embed" in state:
            state["pos_embed"] = interpolated_positions(state["pos_embed"].to(torch.float32))
        return state


class DINOv2ViTS(_DINOv2Extractor):
    """DINOv2 ViT-S/14."""

    name = "dinov2-vits14.lvd142m"
    sizes = (384, 12, False)


class DINOv2ViTB(_DINOv2Extractor):
    """DINOv2 ViT-B/14."""

    name = "dinov2-vitb14.lvd142m"
    sizes = (768, 12, False)


class DINOv2ViTL(_DINOv2Extractor):
    """DINOv2 ViT-L/14, the network of FD-DINOv2."""

    name = "dinov2-vitl14.lvd142m"
    sizes = (1024, 24, False)


class DINOv2ViTG(_DINOv2Extractor):
    """DINOv2 ViT-g/14."""

    name = "dinov2-vitg14.lvd142m"
    sizes = (1536, 40, True)
