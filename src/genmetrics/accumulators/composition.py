"""What the images of a set are, apart from their content: encoded formats and sizes. Nothing here imports torch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from genmetrics.types import Origin, Sizes

__all__ = ["Composition", "formats_from", "side_at", "sizes_from", "sizes_text"]


class Composition:
    """Counts formats and sizes; merged in any order, the counts are the same."""

    def __init__(self, formats: Iterable[tuple[str, int]] | None = (), sizes: Sizes | None = None) -> None:
        """Go on from what was counted before.

        Args:
            formats: how many images are of each encoded format; None if that is not known of some.
            sizes: how large all images are; None of no images.
        """
        self._formats = None if formats is None else Counter(dict(formats))
        self._counts = Counter({quarter: number for quarter, number, _ in (sizes.bins if sizes else ())})
        self._pixels = Counter({quarter: pixels for quarter, _, pixels in (sizes.bins if sizes else ())})
        self._ends = [sizes.smallest, sizes.largest] if sizes else []

    def add(self, origins: Iterable[Origin]) -> None:
        """Count images."""
        for (encoded, width, height), number in Counter(origins).items():
            self._add_sizes(number, width, height)
            if encoded and self._formats is not None:
                self._formats[encoded] += number

    def add_pixels(self, count: int, width: int, height: int) -> None:
        """Count images of one size of which nothing else is known."""
        if count:
            self._add_sizes(count, width, height)
            self._formats = None

    def merge(self, other: Composition) -> Composition:
        """The counts of both sets."""
        merged = Composition(self.formats, self.sizes)
        merged._counts.update(other._counts)
        merged._pixels.update(other._pixels)
        for size in other._ends:
            merged._widen(size)
        if merged._formats is None or other._formats is None:
            merged._formats = None
        else:
            merged._formats.update(other._formats)
        return merged

    @property
    def formats(self) -> tuple[tuple[str, int], ...] | None:
        """How many images are of each encoded format, in the order of the names; None if that is not known of some."""
        return None if self._formats is None else tuple(sorted(self._formats.items()))

    @property
    def sizes(self) -> Sizes | None:
        """How large the images are; None of no images."""
        if not self._ends:
            return None
        bins = ((quarter, self._counts[quarter], self._pixels[quarter]) for quarter in sorted(self._counts))
        return Sizes(tuple(bins), self._ends[0], self._ends[1])

    def _add_sizes(self, count: int, width: int, height: int) -> None:
        area = width * height
        quarter = (area * area).bit_length() - 1  # 2^(b/4) <= √area < 2^((b+1)/4), without rounding
        self._counts[quarter] += count
        self._pixels[quarter] += count * area
        self._widen((width, height))

    def _widen(self, size: tuple[int, int]) -> None:
        # Of as many pixels the shape decides, so that the order of arrival does not.
        ordered = sorted([*self._ends, size], key=lambda one: (one[0] * one[1], one))
        self._ends = [ordered[0], ordered[-1]]


def side_at(sizes: Sizes, fraction: float) -> float:
    """The side, √(width·height), that a fraction of the images do not exceed, in pixels.

    It is the root mean square of the sides in its quarter of an octave: exact where these are of one size, and never
    off by more than the quarter, 19 %.
    """
    below, wanted = 0, fraction * sum(number for _, number, _ in sizes.bins)
    for _, number, pixels in sizes.bins:
        below += number
        if below >= wanted:
            return math.sqrt(pixels / number)
    return math.sqrt(sizes.largest[0] * sizes.largest[1])


def sizes_text(sizes: Sizes) -> str:
    """The smallest and the largest size, for people: ``32x32 to 640x480 pixels``."""
    small, large = (f"{width}x{height}" for width, height in (sizes.smallest, sizes.largest))
    return f"{small} pixels" if small == large else f"{small} to {large} pixels"


def formats_from(fields: Sequence[Sequence[Any]] | None) -> tuple[tuple[str, int], ...] | None:
    """The formats that were written as JSON, which has lists for tuples."""
    return None if fields is None else tuple((str(name), int(number)) for name, number in fields)


def sizes_from(fields: Mapping[str, Any] | None) -> Sizes | None:
    """The sizes whose fields were written as JSON, which has lists for tuples."""
    if fields is None:
        return None
    bins = tuple((int(quarter), int(number), int(pixels)) for quarter, number, pixels in fields["bins"])
    (narrow, low), (wide, high) = fields["smallest"], fields["largest"]
    return Sizes(bins, (int(narrow), int(low)), (int(wide), int(high)))
