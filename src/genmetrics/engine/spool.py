"""Images that wait on disk, because there may be more of them than fit in memory."""

from __future__ import annotations

import tempfile
import weakref
from typing import IO

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from genmetrics.errors import OutputError

__all__ = ["Spool"]

_IN_MEMORY = 256 * 2**20


class Spool:
    """uint8 images by number, in memory up to 256 MB and in a temporary file beyond.

    The file has no name and is gone when the spool is.
    """

    def __init__(self) -> None:
        # The file lives as long as the spool: there is no block to open it in.
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._end = 0
        self._places: dict[int, tuple[int, tuple[int, ...]]] = {}
        self._free: dict[int, list[int]] = {}

    def put(self, number: int, image: UInt8[Tensor, "3 h w"]) -> None:
        """Keep an image under a number.

        Raises:
            OutputError: if there is no room for it.
        """
        data = image.cpu().contiguous().numpy().tobytes()
        free = self._free.get(len(data))
        if free:
            place = free.pop()
        else:
            place, self._end = self._end, self._end + len(data)
        try:
            self._file.seek(place)
            self._file.write(data)
        except OSError as error:
            raise OutputError(
                f"{len(self._places)} images that wait to be compared fill '{tempfile.gettempdir()}' ({self._end} "
                f"bytes): {error.strerror or error}. Set TMPDIR to a folder with more room, or measure "
                "fewer images with --num"
            ) from error
        self._places[number] = (place, tuple(image.shape))

    def get(self, number: int) -> UInt8[Tensor, "3 h w"] | None:
        """The image of a number; None if it is not here."""
        if number not in self._places:
            return None
        place, shape = self._places[number]
        self._file.seek(place)
        values = np.frombuffer(self._file.read(int(np.prod(shape))), dtype=np.uint8)
        return torch.from_numpy(values.copy()).reshape(shape)

    def drop(self, number: int) -> None:
        """Forget an image; its room is used again for one of the same size."""
        place, shape = self._places.pop(number)
        self._free.setdefault(int(np.prod(shape)), []).append(place)
