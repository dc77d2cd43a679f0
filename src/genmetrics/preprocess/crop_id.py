"""The names of centre crops, ``<algorithm>-<size>``; ``genmetrics.sources.crop`` carries them out on pixels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from genmetrics.errors import UsageError

__all__ = ["CROPS", "is_crop", "split_crop"]

#: What each algorithm does and whose it is.
CROPS: Mapping[str, str] = MappingProxyType(
    {
        "adm": "halved with Pillow's box filter while twice too large, then bicubic to the shorter side, then the "
        "centre: ADM, DiT, SiT",
        "pil-bicubic": "Pillow's bicubic to the shorter side, then the centre: vq.fid",
        "pil-bilinear": "Pillow's bilinear to the shorter side, then the centre: torch-fidelity's "
        "samples_resize_and_crop",
        "square": "the centre square, then Pillow's Lanczos: StyleGAN's and EDM's dataset_tool.py, center-crop",
    }
)
_ID = re.compile(r"([a-z][a-z0-9-]*)-([1-9][0-9]*)")


def is_crop(text: str) -> bool:
    """Whether this is a crop's id."""
    match = _ID.fullmatch(text)
    return match is not None and match[1] in CROPS


def split_crop(text: str) -> tuple[str, int]:
    """Algorithm and size of a crop id such as ``adm-256``.

    Raises:
        UsageError: if it is none; the message lists the algorithms.
    """
    match = _ID.fullmatch(text)
    if match is not None and match[1] in CROPS:
        return match[1], int(match[2])
    known = ", ".join(f"{name}-256" for name in CROPS)
    raise UsageError(f"unknown crop {text!r}; expected <algorithm>-<size>, such as {known}")
