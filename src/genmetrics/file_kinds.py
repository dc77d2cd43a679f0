"""What zip archives of arrays and of networks are recognised by, and the head of an npy file.

Nothing here imports torch.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import numpy as np

__all__ = ["ArrayHeader", "are_arrays", "are_torchscript", "read_array_header", "zip_names"]


class ArrayHeader(NamedTuple):
    """What stands before the values of an array in npy format.

    Attributes:
        shape: of the array.
        fortran_order: whether its first axis is the one that runs fastest.
        dtype: of its values.
    """

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype


def zip_names(path: Path) -> list[str]:
    """The names of the members of a zip archive; none if it is no such archive, or its directory cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError):
        return []


def are_arrays(names: Collection[str]) -> bool:
    """Whether these are the members of an npz file."""
    return bool(names) and all(name.endswith(".npy") for name in names)


def are_torchscript(names: Collection[str]) -> bool:
    """Whether these are the members of a TorchScript archive.

    It holds one folder with ``constants.pkl`` in it, by which torch itself knows one, and code; what ``torch.save``
    writes has neither.
    """
    folders = {name.partition("/")[0] for name in names}
    inner = {name.partition("/")[2] for name in names}
    return len(folders) == 1 and "constants.pkl" in inner and any(name.startswith("code/") for name in inner)


def read_array_header(file: io.BufferedIOBase) -> ArrayHeader:
    """The head of an array in npy format.

    Args:
        file: positioned at its beginning; it is left at the first value.

    Raises:
        ValueError: if it is damaged, or in a version of the format that holds no numbers.
        OSError: if it cannot be read.
    """
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            return ArrayHeader(*np.lib.format.read_array_header_1_0(file))
        if version == (2, 0):
            return ArrayHeader(*np.lib.format.read_array_header_2_0(file))
    except OSError:
        raise
    except Exception as error:  # numpy parses the header as Python, which fails in many ways
        raise ValueError(str(error)) from error
    raise ValueError(f"version {version[0]}.{version[1]} of the npy format holds no numbers")
