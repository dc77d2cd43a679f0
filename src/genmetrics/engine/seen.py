"""What is known of an image set: what can be told before any image is read, and all of it afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import torch
from jaxtyping import Int64
from torch import Tensor

from genmetrics.accumulators.image_keys import ImageKeys
from genmetrics.engine.chosen import Chosen
from genmetrics.engine.identical import Names
from genmetrics.sources.base import ImageSource
from genmetrics.stats.stats import Stats
from genmetrics.types import Sizes

__all__ = ["PIXELS", "Seen", "after", "before"]

#: Kinds of sources whose images were not encoded, or not since they were published.
PIXELS = frozenset(("array", "cifar10", "cifar100", "generator", "npy", "npz", "onnx", "stl10", "torchscript"))

#: What files of these names most likely are.
_FORMATS = {
    ".avif": "AVIF",
    ".bmp": "BMP",
    ".jfif": "JPEG",
    ".jpeg": "JPEG",
    ".jpg": "JPEG",
    ".pgm": "PPM",
    ".png": "PNG",
    ".pnm": "PPM",
    ".ppm": "PPM",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}


@dataclass(frozen=True)
class Seen:
    """What is known of one side of a run.

    Attributes:
        num_samples: how many images it has; None if that is not known.
        kind: of its source.
        formats: how many images are of each encoded format; None if that is not known.
        by_name: whether that is only what their names say.
        labels: the classes of the images in their order, (n,) int64; None if not all have one.
        sizes: how large they are before any crop; None before they are read.
        digest: of all of them; None likewise.
        keys: what tells them from one another; None likewise.
        names: gives what a person finds them by; None if nobody knows.
        stats: the statistics; None before they are complete.
    """

    num_samples: int | None
    kind: str
    formats: tuple[tuple[str, int], ...] | None = None
    by_name: bool = False
    labels: Int64[Tensor, " n"] | None = None
    sizes: Sizes | None = None
    digest: str | None = None
    keys: ImageKeys | None = None
    names: Names | None = None
    stats: Stats | None = None


def after(stats: Stats, names: Names | None = None) -> Seen:
    """What complete statistics tell of their images."""
    side = stats.side
    return Seen(
        side.num_samples,
        side.kind,
        side.formats,
        labels=None if stats.labels is None else stats.labels.values(),
        sizes=side.sizes,
        digest=side.digest,
        keys=stats.keys,
        names=names,
        stats=stats,
    )


def before(source: ImageSource, chosen: Chosen) -> Seen:
    """What a source tells of the images that are used of it, without reading any."""
    labels, positions = source.known_labels(), chosen.positions
    if labels is not None and positions is not None:
        labels = [labels[position] for position in positions]
    return Seen(
        chosen.count,
        source.kind,
        () if source.kind in PIXELS else _formats_by_name(source, positions),
        by_name=True,
        labels=None if labels is None else torch.tensor(labels, dtype=torch.int64),
    )


def _formats_by_name(source: ImageSource, positions: Sequence[int] | None) -> tuple[tuple[str, int], ...] | None:
    """The formats that the names tell; None unless each of them tells one."""
    names = source.names()
    if names is None:
        return None
    wanted = names if positions is None else (names[position] for position in positions)
    endings = Counter(PurePosixPath(name).suffix.lower() for name in wanted)
    if not all(ending in _FORMATS for ending in endings):
        return None
    formats: Counter[str] = Counter()
    for ending, number in endings.items():
        formats[_FORMATS[ending]] += number
    return tuple(sorted(formats.items()))
