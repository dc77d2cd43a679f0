"""Images in arrays: torch tensors, numpy arrays and ``.npy`` files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from genmetrics.errors import SourceError
from genmetrics.paths import require_file
from genmetrics.sources.decode import BadImage, Decoded, decode_array
from genmetrics.sources.file_state import SetDigest, file_state, require_unchanged
from genmetrics.sources.layout import check_array, check_tensor, dtype_name
from genmetrics.sources.loader import Item, ItemSource
from genmetrics.sources.quantise import QuantisedSource, Quantiser, floats
from genmetrics.sources.sampling import evenly_spaced
from genmetrics.types import AlphaPolicy, Fingerprint

__all__ = ["ArraySource", "NpySource"]


class ArraySource(QuantisedSource):
    """A torch tensor (n, 3, h, w) or a numpy array (n, h, w, 3): uint8 0..255, or floats whose range is stated.

    One channel is grey and four are RGBA under the alpha policy. The array is not copied as a whole.
    """

    kind = "array"

    def __init__(
        self,
        array: Tensor | np.ndarray,
        value_range: Sequence[int | float] | None = None,
        rounding: str = "round",
    ) -> None:
        """Check the array.

        Args:
            array: the images; a tensor may be on any device.
            value_range: what float values run from and to: (0, 1), (-1, 1) or (0, 255); None for uint8.
            rounding: how floats become uint8, see ``genmetrics.sources.quantise``.

        Raises:
            SourceError: if the type or shape is another one or could be read in two ways, or it is empty.
            UsageError: if the range or rounding cannot be meant.
        """
        super().__init__(Quantiser(value_range, rounding))
        dtype = dtype_name(array.dtype)
        what = "tensor" if isinstance(array, Tensor) else "array"
        wanted = "uint8"
        if self._quantiser.value_range is not None and self._quantiser.check_dtype(dtype, f"the {what}"):
            wanted = dtype
        if isinstance(array, Tensor):
            check_tensor(dtype, array.shape, wanted=wanted)
            # Only views: images stay where they are until each is read.
            self._rows: Tensor | np.ndarray = array.detach().permute(0, 2, 3, 1)
        else:
            check_array("the array", dtype, array.shape, wanted=wanted)
            self._rows = array
        self.description = f"{what} {'x'.join(map(str, array.shape))} {dtype}"

    def __len__(self) -> int:
        return int(self._rows.shape[0])

    def fingerprint(self) -> Fingerprint:
        """Shape, type and bytes, and how floats become uint8; a tensor and an array of equal values have one digest."""
        known = (tuple(self._rows.shape), dtype_name(self._rows.dtype), self._quantiser.text)
        digest = hashlib.sha256(repr(known).encode())
        for index in range(len(self)):
            row = _row(self._rows, index)
            digest.update(np.ascontiguousarray(row, row.dtype.newbyteorder("=")).data)
        return Fingerprint(self.kind, self.description, digest.hexdigest())

    def items(self, wanted: Sequence[int]) -> Iterator[Item]:
        """The wanted images in order."""
        stated = self._quantiser.value_range is not None
        for index in wanted:
            name = f"{self.description}[{index}]"
            load = partial(_load_floats, self._rows, index, name, self._quantiser) if stated else None
            yield Item(index, name, load or partial(_load_row, self._rows, index))


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
        digest = SetDigest()
        digest.add(tuple(self._rows.shape))
        digest.add_state(self._path)
        return digest.fingerprint(self.kind, self.description)

    def identity(self) -> str:
        """The shape, and some of the images.

        Raises:
            SourceError: if the file has changed since it was opened.
        """
        require_unchanged(self._path, self._state)
        digest = SetDigest()
        digest.add(tuple(self._rows.shape))
        for index in evenly_spaced(len(self)):
            digest.add_bytes(self._rows[index].tobytes())
        return digest.hexdigest()

    def items(self, wanted: Sequence[int]) -> Iterator[Item]:
        """The wanted images in order.

        Raises:
            SourceError: if the file has changed since it was opened.
        """
        require_unchanged(self._path, self._state)
        for index in wanted:
            yield Item(index, f"{self.description}[{index}]", partial(_load_row, self._rows, index))


def _row(rows: Tensor | np.ndarray, index: int) -> Shaped[np.ndarray, "h w c"]:
    """One image, (h, w, c)."""
    if isinstance(rows, Tensor):
        on_cpu = rows[index].to(torch.device("cpu"))
        # numpy has no bfloat16.
        row: np.ndarray = (on_cpu.float() if on_cpu.dtype == torch.bfloat16 else on_cpu).numpy()
        return row
    return np.asarray(rows[index])


def _load_row(rows: Tensor | np.ndarray, index: int, alpha: AlphaPolicy) -> Decoded:
    try:
        return decode_array(_row(rows, index), alpha)
    except OSError as error:
        raise BadImage(f"cannot be read: {error}") from error


def _load_floats(rows: Tensor | np.ndarray, index: int, name: str, quantiser: Quantiser, alpha: AlphaPolicy) -> Decoded:
    values = floats(_row(rows, index)).permute(2, 0, 1)
    quantised, [outcome] = quantiser.batch(values[None], [name])
    if isinstance(outcome, BadImage):
        raise outcome
    quantiser.count(outcome)
    return decode_array(quantised[0].permute(1, 2, 0).numpy(), alpha)
