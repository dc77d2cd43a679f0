"""TensorFlow 1's bilinear resize under torch-fidelity's name for it, which extractors of others call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from genmetrics.errors import UsageError
from genmetrics.preprocess.resize_tf1 import resize_tf1_bilinear, resize_tf1_bilinear_f64

__all__ = ["interpolate_bilinear_2d_like_tensorflow1x"]


def interpolate_bilinear_2d_like_tensorflow1x(
    input: Float[Tensor, "n c h w"],
    size: Sequence[int] | None = None,
    scale_factor: float | tuple[float, float] | None = None,
    align_corners: bool | None = None,
    method: Literal["slow", "fast"] = "slow",
) -> Float[Tensor, "n c out_h out_w"]:
    """Resize as TensorFlow 1 did.

    Gradients go through it.

    Args:
        input: (n, c, h, w) float32 or float64.
        size: height and width of the result.
        scale_factor: in place of the size: its ratio to that of the input, or two of them.
        align_corners: whether the corners' centres stay where they are; FID's resize has False. It must be given.
        method: has no effect: both are as exact, and ours is quick.

    Raises:
        UsageError: if the input is no such tensor, or options are missing or cannot be meant.

    Matches: torch-fidelity 0.4.0's ``slow`` bit for bit on a CPU for ``align_corners=False``, within 1e-4 of 255 else;
    tests/compat/torch_fidelity/test_extractor_classes.py.
    """
    if align_corners is None:
        raise UsageError("align_corners is missing; give align_corners=False for the resize of FID")
    if method not in ("slow", "fast"):
        raise UsageError(f"method is {method!r}; expected 'slow' or 'fast', which do the same here")
    if input.dtype not in (torch.float32, torch.float64):
        raise UsageError(f"the input is {input.dtype}; expected float32 or float64: give `input.float()`")
    height, width = _target(tuple(input.shape[2:]), size, scale_factor)
    if align_corners:
        return F.interpolate(input, (height, width), mode="bilinear", align_corners=True)
    if input.dtype == torch.float64:
        return resize_tf1_bilinear_f64(input, (height, width))
    # What a gradient is to go through is computed in torch alone.
    return resize_tf1_bilinear(input, (height, width), by_plane=False if input.requires_grad else None)


def _target(
    given: tuple[int, ...], size: Sequence[int] | None, scale_factor: float | tuple[float, float] | None
) -> tuple[int, int]:
    if (size is None) == (scale_factor is None):
        raise UsageError(f"size is {size} and scale_factor is {scale_factor}; give one of them")
    if size is not None:
        if len(size) != 2:
            raise UsageError(f"size is {size}; expected height and width")
        return size[0], size[1]
    factors = scale_factor if isinstance(scale_factor, tuple) else (scale_factor, scale_factor)
    height, width = (int(length * factor) for length, factor in zip(given, factors, strict=True) if factor is not None)
    return height, width
