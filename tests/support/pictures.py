"""Pictures out of a report."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

__all__ = ["pixels_of"]


def pixels_of(address: str) -> np.ndarray:
    """The pixels of a ``data:`` address, (h, w, 3) uint8, whose file must be what the address says."""
    head, _, data = address.partition(",")
    assert head in ("data:image/png;base64", "data:image/jpeg;base64")
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert picture.format == head.partition("/")[2].partition(";")[0].upper()
    return np.asarray(picture.convert("RGB"))
