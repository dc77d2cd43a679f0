"""Float images to uint8, as the published pipelines do it.

The range of the values is stated by the caller and never read off them: a dark image in 0..1 and a contrastless
one in -1..1 hold the same numbers. What is done to a value x, in the float type that it has (float32 at least):

==========  =============================  ==============================
range       ``round`` (default)            ``truncate``
==========  =============================  ==============================
(0, 1)      floor(x · 255 + 0.5)           floor(x · 255)
(-1, 1)     floor(x · 127.5 + 128)         floor((x + 1) · 127.5)
(0, 255)    floor(x + 0.5)                 floor(x)
==========  =============================  ==============================

and the result is clipped to 0..255. ``round`` rounds halves up: for (-1, 1) it is the line of EDM, StyleGAN and DiT,
for (0, 1) that of torchvision's ``save_image``. ``truncate`` is the line of ADM's ``image_sample.py`` for (-1, 1) and
of torchmetrics' ``normalize=True`` for (0, 1); its images are half a level darker.

Values a little outside the range, as networks give them, are clipped like in all of these and counted for a note. An
image with more than half of its values outside by more than a tenth of the range is of another range than stated.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeGuard, get_args

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from genmetrics.errors import SourceError, UsageError
from genmetrics.sources.base import BatchSpec, Finished, ImageBatch
from genmetrics.sources.decode import BadImage
from genmetrics.sources.loader import Item, ItemSource
from genmetrics.sources.names import count
from genmetrics.types import Shard

__all__ = [
    "RANGES",
    "QuantisedSource",
    "Quantiser",
    "Rounding",
    "ValueRange",
    "Values",
    "floats",
    "floats_to_unit",
    "quantise",
]

_BEGINNING = Finished()

ValueRange = tuple[int, int]
Rounding = Literal["round", "truncate"]

#: The ranges that can be stated, each with (factor, summand when rounding, summand when truncating).
RANGES: dict[ValueRange, tuple[float, float, float]] = {
    (0, 1): (255.0, 0.5, 0.0),
    (-1, 1): (127.5, 128.0, 127.5),
    (0, 255): (1.0, 0.5, 0.0),
}
#: How far outside, in widths of the range, a value is when it cannot be the overshoot of a network …
_FAR = 0.1
#: … and the share of such values from which an image is of another range.
_MOST_FAR = 0.5


def is_rounding(text: str) -> TypeGuard[Rounding]:
    """Whether this is the name of a way of rounding."""
    return text in get_args(Rounding)


def quantise(
    images: Float[Tensor, "*any"], value_range: ValueRange, rounding: Rounding = "round"
) -> UInt8[Tensor, "*any"]:
    """Float values to uint8 0..255, on their device.

    Args:
        images: finite values; float16 and bfloat16 are computed in float32.
        value_range: what they run from and to, one of ``RANGES``.
        rounding: see the module.
    """
    factor, rounded, truncated = RANGES[value_range]
    exact = images.to(torch.promote_types(images.dtype, torch.float32))
    if rounding == "truncate" and value_range == (-1, 1):
        scaled = (exact + 1).mul_(factor)  # in this order, as ADM has it
    else:
        scaled = (exact * factor).add_(rounded if rounding == "round" else truncated)
    return scaled.floor_().clamp_(0, 255).to(torch.uint8)


def floats_to_unit(images: Float[Tensor, "*any"], value_range: ValueRange) -> Float32[Tensor, "*any"]:
    """Float values to float32 in -1..1, never through 8 bits; overshoot stays as it is.

    Args:
        images: finite values; float16 and bfloat16 are computed in float32.
        value_range: what they run from and to, one of ``RANGES``.
    """
    low, high = value_range
    exact = images.to(torch.float32)
    return exact if (low, high) == (-1, 1) else (exact - low) * (2 / (high - low)) - 1


@dataclass(frozen=True, slots=True)
class Values:
    """The values of a float image.

    Attributes:
        outside: how many are outside the stated range.
        least: the smallest.
        most: the largest.
    """

    outside: int
    least: float
    most: float


class Quantiser:
    """Makes float images uint8 and keeps a tally of what was clipped. Safe to share between threads."""

    def __init__(self, value_range: Sequence[int | float] | None, rounding: str) -> None:
        """Check what was stated.

        Args:
            value_range: the range of float images; None if images are uint8.
            rounding: ``round`` or ``truncate``.

        Raises:
            UsageError: if it is another range or rounding, or a rounding without a range.
        """
        if not is_rounding(rounding):
            raise UsageError(f"rounding is {rounding!r}, expected 'round' or 'truncate'")
        if value_range is not None and tuple(value_range) not in RANGES:
            raise UsageError(
                f"value_range is {value_range!r}, expected what the values run from and to: (0, 1), (-1, 1) or (0, 255)"
            )
        if value_range is None and rounding != "round":
            raise UsageError(
                f"rounding={rounding!r} was given without value_range; uint8 images are not rounded. For float images "
                "give both, such as value_range=(-1, 1)"
            )
        self.value_range: ValueRange | None = None
        if value_range is not None:
            self.value_range = (int(value_range[0]), int(value_range[1]))
        self.rounding: Rounding = rounding
        self._lock = threading.Lock()
        self.restart()

    @property
    def text(self) -> str:
        """What was stated, in words that a fingerprint can hold; empty for uint8 images."""
        return "" if self.value_range is None else f"{_range_text(self.value_range)} {self.rounding}"

    def restart(self, tally: Mapping[str, int | float] = MappingProxyType({})) -> None:
        """Forget what was counted, before another pass, or go on from what an earlier one had counted."""
        with self._lock:
            self._images = int(tally.get("images", 0))
            self._clipped_images = int(tally.get("clipped_images", 0))
            self._clipped_values = int(tally.get("clipped_values", 0))
            self._lowest, self._highest = tally.get("lowest", math.inf), tally.get("highest", -math.inf)

    def tally(self) -> dict[str, int | float]:
        """What was counted since ``restart``."""
        with self._lock:
            return {
                "images": self._images,
                "clipped_images": self._clipped_images,
                "clipped_values": self._clipped_values,
                "lowest": self._lowest,
                "highest": self._highest,
            }

    def notes(self) -> tuple[str, ...]:
        """What to tell of the images since ``restart``."""
        if self.value_range is None or not self._images:
            return ()
        seen = f"{self._lowest:.4g}..{self._highest:.4g}"
        stated = _range_text(self.value_range)
        notes = []
        if self._clipped_values:
            notes.append(
                f"{count(self._clipped_values, 'value')} of {self._clipped_images:,} of {count(self._images, 'image')} "
                f"lay outside {stated} and were clipped; all values lay in {seen}"
            )
        if self.value_range == (0, 255) and self._highest <= 1:
            notes.append(f"the values were said to run from 0 to 255, and all lay in {seen}: nearly black images")
        return tuple(notes)

    def check_dtype(self, dtype: str, what: str) -> bool:
        """Whether images of this type are to be quantised (False: they are uint8 already).

        Args:
            dtype: the name of the type, such as ``float32``.
            what: what the images are called in messages.

        Raises:
            UsageError: if a range was stated for uint8 images.
            SourceError: if none was stated for float images, or the type is neither.
        """
        if dtype == "uint8":
            if self.value_range is not None:
                raise UsageError(
                    f"value_range={_given(self.value_range)} was given, and {what} is uint8, whose values run from 0 "
                    "to 255; leave value_range and rounding out"
                )
            return False
        if "float" not in dtype:
            raise SourceError(
                f"{what} is {dtype}, expected uint8 0..255, or floats with a stated value_range; convert it, e.g. with "
                "`.to(torch.uint8)` if all values are in 0..255"
            )
        if self.value_range is None:
            raise SourceError(
                f"{what} is {dtype}, and the range of its values is not known; say what they run from and to: "
                "value_range=(0, 1), value_range=(-1, 1) or value_range=(0, 255)"
            )
        return True

    def batch(
        self, images: Float[Tensor, "n c h w"], names: Sequence[str]
    ) -> tuple[UInt8[Tensor, "n c h w"], list[BadImage | Values]]:
        """Float images to uint8, in memory of their own on the CPU, and of each its values or what is wrong with it.

        Nothing is counted yet: an image may be made long before it is read; see ``count``.

        Args:
            images: on any device.
            names: what a person finds each image by.

        Raises:
            SourceError: if an image is of another range than stated.
        """
        assert self.value_range is not None
        low, high = self.value_range
        rows = images.detach().flatten(1)
        lowest, highest = rows.amin(1), rows.amax(1)
        # One transfer for both. NaN passes through either, and is not within.
        ends = torch.stack([lowest.double(), highest.double()], 1).cpu().tolist()
        if all(low <= least and most <= high for least, most in ends):
            quantised = quantise(images.detach(), self.value_range, self.rounding).to("cpu")
            return quantised, [Values(0, least, most) for least, most in ends]
        far = _FAR * (high - low)
        counts = [
            (~rows.isfinite()).sum(1),
            ((rows < low) | (rows > high)).sum(1),
            ((rows < low - far) | (rows > high + far)).sum(1),
        ]
        # Counts below 2**53 are exact.
        found = torch.stack([part.double() for part in (*counts, lowest, highest)], 1).cpu().tolist()
        outcomes: list[BadImage | Values] = []
        for name, (unreal, outside, far_out, least, most) in zip(names, found, strict=True):
            if unreal:
                outcomes.append(BadImage(f"{count(int(unreal), 'value')} of it are NaN or infinite"))
                continue
            if far_out > _MOST_FAR * rows.shape[1]:
                raise SourceError(
                    f"{name}: its values run from {least:.4g} to {most:.4g}, most of them outside the stated "
                    f"value_range={_given(self.value_range)}; state the range that they have, one of (0, 1), (-1, 1) "
                    "and (0, 255)"
                )
            outcomes.append(Values(int(outside), least, most))
        quantised = quantise(torch.nan_to_num(images.detach()), self.value_range, self.rounding)
        return quantised.to("cpu"), outcomes

    def count(self, values: Values) -> None:
        """Count an image that is read, for the notes."""
        with self._lock:
            self._images += 1
            self._clipped_images += values.outside > 0
            self._clipped_values += values.outside
            self._lowest, self._highest = min(self._lowest, values.least), max(self._highest, values.most)


class QuantisedSource(ItemSource):
    """A row of images that may be floats; when a pass is over, ``notes`` tells what was clipped in it."""

    def __init__(self, quantiser: Quantiser, notes: tuple[str, ...] = ()) -> None:
        self._quantiser = quantiser
        self._fixed_notes = notes
        self.notes = notes
        self._seen = self._unlabelled = 0

    def batches(self, shard: Shard, spec: BatchSpec) -> Iterator[ImageBatch]:
        """As of any ``ItemSource``; the notes are of the images that this share has read."""
        return self._noting(super().batches(shard, spec), shard, spec.after)

    def _batches(
        self, items: Iterator[Item], position: Callable[[int], int], expected: int | None, spec: BatchSpec
    ) -> Iterator[ImageBatch]:
        return super()._batches(self._counted(items), position, expected, spec)

    def _counted(self, items: Iterator[Item]) -> Iterator[Item]:
        for item in items:
            self._seen += 1
            self._unlabelled += item.label is None
            yield item

    def _tally(self) -> Mapping[str, int | float]:
        return {"seen": self._seen, "unlabelled": self._unlabelled, **self._quantiser.tally()}

    def _noting(
        self, batches: Iterator[ImageBatch], shard: Shard, after: Finished = _BEGINNING
    ) -> Iterator[ImageBatch]:
        self._quantiser.restart(after.tally)
        self._seen, self._unlabelled = (int(after.tally.get(name, 0)) for name in ("seen", "unlabelled"))
        yield from batches
        found = self._quantiser.notes()
        if 0 < self._unlabelled < self._seen:
            found += (
                f"{self._unlabelled:,} of {count(self._seen, 'image')} came without a label, so that the labels of the "
                "others are left aside",
            )
        # Notes of several processes are listed together; each must be true beside the others.
        of_share = f"in share {shard.index}/{shard.count}: " if shard.count > 1 else ""
        self.notes = self._fixed_notes + tuple(of_share + note for note in found)


def floats(array: np.ndarray) -> Float[Tensor, "*any"]:
    """A numpy array of floats as a tensor, which the array may share; float64 at most."""
    wide = array.dtype.itemsize > np.dtype(np.float64).itemsize
    native = np.ascontiguousarray(array, np.float64 if wide else array.dtype.newbyteorder("="))
    return torch.from_numpy(native if native.flags.writeable else native.copy())


def _range_text(value_range: ValueRange) -> str:
    return f"{value_range[0]}..{value_range[1]}"


def _given(value_range: ValueRange) -> str:
    return f"({value_range[0]}, {value_range[1]})"
