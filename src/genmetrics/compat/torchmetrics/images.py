"""Images of floats for a network that takes uint8, and warnings about them."""

from __future__ import annotations

import inspect
import warnings

import torch
from jaxtyping import UInt8
from torch import Tensor
from torchmetrics.utilities.prints import rank_zero_only

from genmetrics.errors import GenmetricsWarning, SourceError, UsageError
from genmetrics.sources.quantise import Quantiser, Values

__all__ = ["to_bytes", "warn"]

_BETWEEN = ("genmetrics", "torchmetrics", "torch", "jaxtyping", "beartype", "contextlib")


def warn(message: str) -> None:
    """Warn at the line that called torchmetrics or us; on a machine's first process alone, as torchmetrics does."""
    if getattr(rank_zero_only, "rank", 0) != 0:
        return
    level, frame = 1, inspect.currentframe()
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in _BETWEEN:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, GenmetricsWarning, stacklevel=level)


def to_bytes(imgs: Tensor) -> UInt8[Tensor, "*any"]:
    """Floats in 0..1 to uint8 as torchmetrics does it: what is left over of a level is cut off.

    Values a little outside are clipped, with a warning; torchmetrics wraps them around, 1.01 to 1.

    Args:
        imgs: of any float type, in which they are multiplied.

    Raises:
        UsageError: if they are of another type.
        SourceError: if a value is NaN or infinite, or most of an image's values are far outside of 0..1.
    """
    if not imgs.is_floating_point():
        raise UsageError(
            f"normalize=True is for floats in 0..1, and the images are {imgs.dtype}; leave normalize out for uint8 "
            "images with values 0..255"
        )
    if imgs.numel() == 0:
        return imgs.to(torch.uint8)
    least, most = torch.aminmax(imgs.detach())
    if not (float(least) >= 0.0 and float(most) <= 1.0):  # nor where there is a NaN
        _check(imgs)
        imgs = imgs.clamp(0.0, 1.0)
    return (imgs * 255).to(torch.uint8)


def _check(imgs: Tensor) -> None:
    quantiser = Quantiser((0, 1), "truncate")
    names = [f"image {number} of the batch" for number in range(imgs.shape[0])]
    _, found = quantiser.batch(imgs, names)
    for name, values in zip(names, found, strict=True):
        if not isinstance(values, Values):
            raise SourceError(f"{name}: {values}")
        quantiser.count(values)
    for note in quantiser.notes():
        warn(note)
