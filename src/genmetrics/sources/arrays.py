"""Images in arrays: torch tensors, numpy arrays and ``.npy`` files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from genmetrics.errors import SourceError
from genmetrics.paths import require_file
from genmetrics.sources.decode import BadImage, Decoded, decode_array
from genmetrics.sources.file_state import file_state
from genmetrics.sources.layout import check_array, check_tensor
from genmetrics.sources.loader import Item, ItemSource
from genmetrics.types import AlphaPolicy, Fingerprint

__all__ = ["ArraySource", "NpySource"]


class ArraySource(ItemSource):
    """A torch tensor uint8 (n, 3, h, w) or a numpy array uint8 (n, h, w, 3), values 0..255.

    One channel is grey and four are RGBA under the alpha policy. The array is not copied as a whole.
    """

    kind = "array"

    def __init__(self, array: Tensor | np.ndarray) -> None:
        """Check the array.

        Args:
            array: the images; a tensor may be on any device.

        Raises:
            SourceError: if the type or shape is another one or could be read in two ways, or it is empty.
        """
        dtype = str(array.dtype).removeprefix("torch.")
        if isinstance(array, Tensor):
            check_tensor(dtype, array.shape)
            # Only views: images stay where they are until each is read.
            self._rows: Tensor | np.ndarray = array.detach().permute(0, 2, 3, 1)
        else:
            check_array("the array", dtype, array.shape)
            self._rows = array
        what = "tensor" if isinstance(array, Tensor) else "array"
        self.description = f"{what} {'x'.join(map(str, array.shape))} {dtype}"

    def __len__(self) -> int:
        return int(self._rows.shape[0])

    def fingerprint(self) -> Fingerprint:
        """Shape and bytes; a tensor and an array of the same images have the same digest."""
        digest = hashlib.sha256(repr(tuple(self._rows.shape)).encode())
        for index in range(len(self)):
            digest.update(np.ascontiguousarray(_row(self._rows, index)).data)
        return Fingerprint(self.kind, self.description, digest.hexdigest())

    def items(self, wanted: Sequence[int]) -> Iterator[Item]:
        """The wanted images in order."""
        for index in wanted:
            yield Item(index, f"{self.description}[{index}]", partial(_load_row, self._rows, index))


class NpySource(ItemSource):
    """An ``.npy`` file of one array, uint8 (n, h, w, 3), mapped into memory and read row by row."""

    kind = "npy"

    def __init__(self, path: str | Path) -> None:
        """Open the file and check the array.

        Raises:
            SourceError: if there is no such file, it is damaged or cut short, or holds something else.
        """
        self._path = require_file(path, "an .npy file")
        self.description = str(path)
        try:
            self._state = file_state(self._path)
            rows = np.load(self._path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise SourceError(
                f"'{path}' is not an .npy file that can be read ({error}); expected one array, uint8 (n, h, "
                "w, 3), as `np.save` writes it. It may be cut short, or hold pickled objects, which are "
                "never loaded"
            ) from error
        if not isinstance(rows, np.memmap):
            raise SourceError(f"'{path}' is an .npz archive; give 'npz:{path}'")
        check_array(f"'{path}'", str(rows.dtype), rows.shape)
        if not rows.flags.c_contiguous:
            raise SourceError(f"'{path}' is in Fortran order, expected C order; save `np.ascontiguousarray(x)`")
        self._rows = rows

    def __len__(self) -> int:
        return int(self._rows.shape[0])

    def fingerprint(self) -> Fingerprint:
        """Size and times of change of the file, and the shape."""
        text = f"{tuple(self._rows.shape)}\0{tuple(self._state)}"
        return Fingerprint(self.kind, self.description, hashlib.sha256(text.encode()).hexdigest())

    def items(self, wanted: Sequence[int]) -> Iterator[Item]:
        """The wanted images in order."""
        for index in wanted:
            yield Item(index, f"{self.description}[{index}]", partial(_load_row, self._rows, index))


def _row(rows: Tensor | np.ndarray, index: int) -> UInt8[np.ndarray, "h w c"]:
    """One image, (h, w, c)."""
    if isinstance(rows, Tensor):
        on_cpu: np.ndarray = rows[index].to(torch.device("cpu")).numpy()
        return on_cpu
    return np.asarray(rows[index])


def _load_row(rows: Tensor | np.ndarray, index: int, alpha: AlphaPolicy) -> Decoded:
    try:
        return decode_array(_row(rows, index), alpha)
    except OSError as error:
        raise BadImage(f"cannot be read: {error}") from error
