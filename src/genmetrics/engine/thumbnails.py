"""Small versions of single images of a set, read again from where they came from."""

from __future__ import annotations

import base64
import contextlib
import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from genmetrics.engine.chosen import Chosen
from genmetrics.engine.options import Options
from genmetrics.sources.base import BatchSpec, ImageSource
from genmetrics.types import Shard

__all__ = ["Thumbnail", "thumbnail", "thumbnails"]

#: Images up to this size stay as they are.
_SMALL = 64
#: Of larger ones the longest side.
_LONGEST = 128
_QUALITY = 80
_AT_ONCE = 8


@dataclass(frozen=True)
class Thumbnail:
    """A small version of an image.

    Attributes:
        address: as a ``data:`` address.
        size: width and height of the image itself.
    """

    address: str
    size: tuple[int, int]


def thumbnails(
    source: ImageSource, chosen: Chosen, indices: Collection[int], options: Options
) -> Mapping[int, Thumbnail]:
    """Some images of a run, small, by their index in it.

    Of a source whose images cannot be had again there is none; what goes wrong with an image, or on the way to it, ends
    no run that has all its figures.

    Args:
        source: the images of the run.
        chosen: which of them it used.
        indices: which of these are wanted.
        options: how they were read.
    """
    if not indices or not source.repeatable:
        return {}
    # Of a run's images index i is the i-th of those that it used; a selection counts in the same way.
    by_position = {index if chosen.positions is None else chosen.positions[index]: index for index in indices}
    positions = tuple(sorted(by_position))
    spec = BatchSpec(_AT_ONCE, 0, options.alpha, "skip", positions, options.crop)
    found: dict[int, Thumbnail] = {}
    # Of a source that others wrote anything can come; what there is of it is shown.
    with contextlib.suppress(Exception):
        for batch in source.batches(Shard(), spec):
            for place, image in zip(batch.indices.tolist(), batch.images, strict=True):
                found[by_position[positions[place]]] = thumbnail(image)
    return found


def thumbnail(image: UInt8[Tensor, "3 h w"]) -> Thumbnail:
    """A small version of an image.

    Up to 64 pixels a side it is a PNG of the same pixels, else a JPEG whose longer side is at most 128.

    Args:
        image: (3, h, w) uint8 RGB.
    """
    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    size = (picture.width, picture.height)
    written = io.BytesIO()
    if max(size) <= _SMALL:
        picture.save(written, "PNG", optimize=True)
    else:
        shrink = min(1.0, _LONGEST / max(size))
        width, height = (max(1, round(side * shrink)) for side in size)
        if (width, height) != size:
            picture = picture.resize((width, height), Image.Resampling.LANCZOS)
        picture.save(written, "JPEG", quality=_QUALITY, optimize=True)
    kind = "png" if max(size) <= _SMALL else "jpeg"
    return Thumbnail(f"data:image/{kind};base64,{base64.b64encode(written.getvalue()).decode('ascii')}", size)
