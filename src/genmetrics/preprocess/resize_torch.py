"""The resizes that torch itself has and published protocols use."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float32
from torch import Tensor

__all__ = [
    "resize_torch_bicubic_antialias",
    "resize_torch_bicubic_antialias_raw",
    "resize_torch_bilinear",
    "resize_torch_bilinear_antialias",
]


def resize_torch_bilinear(
    images: Float32[Tensor, "n c h w"], size: tuple[int, int]
) -> Float32[Tensor, "n c out_h out_w"]:
    """Resize bilinearly with half-pixel centres and without antialiasing.

    Args:
        images: (n, c, h, w) float32, any range.
        size: output height and width.

    Matches: pytorch-fid 0.3.0 bit for bit; tests/conformance/test_peers_network.py.
    """
    return F.interpolate(images, size=size, mode="bilinear", align_corners=False)


def resize_torch_bilinear_antialias(
    images: Float32[Tensor, "n c h w"], size: tuple[int, int]
) -> Float32[Tensor, "n c out_h out_w"]:
    """Resize bilinearly with half-pixel centres and with antialiasing.

    Args:
        images: (n, c, h, w) float32, any range.
        size: output height and width.

    Matches: torchmetrics 1.9.0 with its default ``antialias=True`` bit for bit;
    tests/compat/torchmetrics/test_network.py.
    """
    return F.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=True)


def resize_torch_bicubic_antialias(
    images: Float32[Tensor, "n c h w"], size: tuple[int, int]
) -> Float32[Tensor, "n c out_h out_w"]:
    """Resize bicubically with antialiasing, clipped to 0..255.

    Args:
        images: (n, c, h, w) float32, 0..255.
        size: output height and width.

    Matches: Pillow's bicubic filter on float channels within 0.005 of 255 (white noise at its worst size: 0.0051);
    tests/preprocess/test_resize_torch.py.
    """
    return F.interpolate(images, size=size, mode="bicubic", antialias=True).clamp_(0, 255)


def resize_torch_bicubic_antialias_raw(
    images: Float32[Tensor, "n c h w"], size: tuple[int, int]
) -> Float32[Tensor, "n c out_h out_w"]:
    """Resize bicubically with antialiasing; at edges the result leaves the range of the input.

    Args:
        images: (n, c, h, w) float32, any range.
        size: output height and width.

    Matches: EDM2's ``calculate_metrics.py``, which neither clips nor rounds.
    """
    return F.interpolate(images, size=size, mode="bicubic", antialias=True)
