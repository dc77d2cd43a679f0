"""Pillow's resampling, by Pillow on a CPU and in torch on every other device.

Rows are resampled first and columns after them, as in Pillow up to 12, on which protocols were published. Pillow 13
turns the order round where that is quicker, which moves 8-bit pixels by a few levels; so it is asked for one at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64, Shaped, UInt8
from PIL import Image
from torch import Tensor

from genmetrics.devices import sent

__all__ = ["resize_pil_bicubic_f32", "resize_pil_bicubic_u8", "resize_pil_f32", "resize_pil_u8"]


def _bicubic(x: Tensor) -> Tensor:
    """Keys' cubic with a = -1/2, in the order of operations of Pillow's ``bicubic_filter``."""
    a = -0.5
    x = x.abs()
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


def _bilinear(x: Tensor) -> Tensor:
    return (1.0 - x.abs()).clamp(min=0.0)


def _box(x: Tensor) -> Tensor:
    """Of two outputs that a pixel lies between, the one on its right has it."""
    return ((x > -0.5) & (x <= 0.5)).to(x.dtype)


def _lanczos(x: Tensor) -> Tensor:
    """A sinc in the window of one three times as wide."""
    return torch.where(x.abs() < 3, torch.sinc(x) * torch.sinc(x / 3), torch.zeros_like(x))


class _Filter(NamedTuple):
    support: float
    weight: Callable[[Tensor], Tensor]
    pillow: Image.Resampling


_FILTERS: Mapping[str, _Filter] = MappingProxyType(
    {
        "bicubic": _Filter(2.0, _bicubic, Image.Resampling.BICUBIC),
        "bilinear": _Filter(1.0, _bilinear, Image.Resampling.BILINEAR),
        "box": _Filter(0.5, _box, Image.Resampling.BOX),
        "lanczos": _Filter(3.0, _lanczos, Image.Resampling.LANCZOS),
    }
)
# Pillow's 8-bit weights: 32 bits less 8 of the pixel and 2 for sums beyond the range.
_FIXED_POINT_BITS = 32 - 8 - 2


def resize_pil_bicubic_u8(images: UInt8[Tensor, "n 3 h w"], size: tuple[int, int]) -> UInt8[Tensor, "n 3 out_h out_w"]:
    """Pillow's bicubic resize of RGB images, rounded to 8 bits; see ``resize_pil_u8``."""
    return resize_pil_u8(images, size, "bicubic")


def resize_pil_bicubic_f32(
    images: Shaped[Tensor, "n 3 h w"], size: tuple[int, int]
) -> Float32[Tensor, "n 3 out_h out_w"]:
    """Pillow's bicubic resize of each channel as 32-bit float, clipped to 0..255 and not rounded.

    Args:
        images: (n, 3, h, w) uint8 or floats, 0..255.
        size: output height and width.

    Matches: clean-fid 0.1.35's ``build_resizer("clean")`` bit for bit on a CPU; tests/preprocess/test_resize_pil.py.
    """
    resized = resize_pil_f32(images, size, "bicubic")
    if resized.device.type == "cpu":
        np.clip(resized.numpy(), 0, 255, out=resized.numpy())
        return resized
    return resized.clamp_(0, 255)


def resize_pil_u8(
    images: UInt8[Tensor, "n 3 h w"], size: tuple[int, int], filter: str, *, by_pillow: bool | None = None
) -> UInt8[Tensor, "n 3 out_h out_w"]:
    """``Image.resize`` of RGB images: first along the rows, rounded to 8 bits, then along the columns.

    The weights are Pillow's, in fixed point with 22 bits, and the sums are of integers, so that every device
    gives the same pixels.

    Args:
        images: (n, 3, h, w) uint8 RGB.
        size: output height and width.
        filter: ``bicubic``, ``bilinear``, ``box`` or ``lanczos``, all antialiased.
        by_pillow: whether Pillow itself does it; None lets it where the images are on the CPU.

    Matches: Pillow bit for bit; tests/preprocess/test_resize_pil.py.
    """
    if _is_for_pillow(images, by_pillow):
        return _by_pillow_u8(images, size, _FILTERS[filter].pillow)
    for axis in (3, 2):
        if images.shape[axis] != size[axis - 2]:
            taps, weights = _taps(images.shape[axis], size[axis - 2], _FILTERS[filter])
            scaled = weights * (1 << _FIXED_POINT_BITS)
            fixed = (scaled + torch.where(scaled < 0, -0.5, 0.5)).to(torch.int32)
            start = torch.tensor(1 << (_FIXED_POINT_BITS - 1), dtype=torch.int32)
            total = _weighted_sum(images, axis, taps, fixed, start)
            images = total.bitwise_right_shift_(_FIXED_POINT_BITS).clamp_(0, 255).to(torch.uint8)
    return images.clone(memory_format=torch.contiguous_format)


def resize_pil_f32(
    images: Shaped[Tensor, "n c h w"], size: tuple[int, int], filter: str, *, by_pillow: bool | None = None
) -> Float32[Tensor, "n c out_h out_w"]:
    """``Image.resize`` of each channel as an image of mode ``F``; the result may leave 0..255.

    Sums are in float64, and float32 where the device has no float64 (Apple's); between the two directions values
    are float32.

    Args:
        images: (n, c, h, w) uint8 or floats, which are rounded to float32.
        size: output height and width.
        filter: ``bicubic``, ``bilinear``, ``box`` or ``lanczos``, all antialiased.
        by_pillow: whether Pillow itself does it; None lets it where the images are on the CPU.

    Matches: Pillow bit for bit; in torch within 1e-4 of 255; tests/preprocess/test_resize_pil.py.
    """
    if _is_for_pillow(images, by_pillow):
        return _by_pillow_f32(images, size, _FILTERS[filter].pillow)
    resized = images.to(torch.float32)
    wide = torch.float32 if images.device.type == "mps" else torch.float64
    for axis in (3, 2):
        if resized.shape[axis] != size[axis - 2]:
            taps, weights = _taps(resized.shape[axis], size[axis - 2], _FILTERS[filter])
            zero = torch.zeros((), dtype=wide)
            resized = _weighted_sum(resized, axis, taps, weights.to(wide), zero).to(torch.float32)
    return resized.contiguous()


def _is_for_pillow(images: Tensor, by_pillow: bool | None) -> bool:
    return images.device.type == "cpu" if by_pillow is None else by_pillow


def _weighted_sum(images: Tensor, axis: int, taps: Tensor, weights: Tensor, start: Tensor) -> Tensor:
    """The sum of ``start`` and weight · pixel over the taps of an axis, one after another as Pillow adds them."""
    taps, weights, start = (sent(values, images.device) for values in (taps, weights, start))
    shape = [1, 1, 1, 1]
    shape[axis] = taps.shape[1]
    total: Tensor | None = None
    for tap, weight in zip(taps, weights, strict=True):
        term = images.index_select(axis, tap).to(weights.dtype).mul_(weight.reshape(shape))
        total = term.add_(start) if total is None else total.add_(term)
    assert total is not None
    return total


def _taps(length: int, out: int, filter: _Filter) -> tuple[Int64[Tensor, "taps out"], Float64[Tensor, "taps out"]]:
    """The source pixels of each output pixel and their weights; Pillow's ``precompute_coeffs``.

    Positions beyond a pixel's window have weight 0.
    """
    scale = length / out
    stretch = max(scale, 1.0)
    support = filter.support * stretch
    centre = (torch.arange(out, dtype=torch.float64) + 0.5) * scale
    # Towards zero, as C converts to int; what is below zero is set to it.
    first = (centre - support + 0.5).to(torch.int64).clamp_(min=0)
    stop = (centre + support + 0.5).to(torch.int64).clamp_(max=length)
    taps = first + torch.arange(math.ceil(support) * 2 + 1)[:, None]
    weights = filter.weight((taps - centre + 0.5) * (1.0 / stretch))
    weights = torch.where(taps < stop, weights, torch.zeros_like(weights))
    total = torch.zeros(out, dtype=torch.float64)
    for row in weights:  # one after another, for the same rounding
        total += row
    weights = torch.where(total != 0, weights / total, weights)
    return taps.clamp_(max=length - 1), weights


def _by_pillow_u8(images: Tensor, size: tuple[int, int], filter: Image.Resampling) -> Tensor:
    resized = np.empty((images.shape[0], *size, 3), dtype=np.uint8)
    for pixels, image in zip(resized, images.cpu().numpy().transpose(0, 2, 3, 1), strict=True):
        pixels[:] = np.asarray(_rows_first(Image.fromarray(np.ascontiguousarray(image)), size, filter))
    return torch.from_numpy(resized).permute(0, 3, 1, 2).to(images.device)


def _by_pillow_f32(images: Tensor, size: tuple[int, int], filter: Image.Resampling) -> Tensor:
    planes = images.cpu().numpy().reshape(-1, *images.shape[2:])
    resized = np.empty((planes.shape[0], *size), dtype=np.float32)
    for pixels, plane in zip(resized, planes, strict=True):
        pixels[:] = np.asarray(_rows_first(Image.fromarray(plane.astype(np.float32)), size, filter))
    return torch.from_numpy(resized).reshape(*images.shape[:2], *size).to(images.device)


def _rows_first(image: Image.Image, size: tuple[int, int], filter: Image.Resampling) -> Image.Image:
    height, width = size
    return image.resize((width, image.height), filter).resize((width, height), filter)
