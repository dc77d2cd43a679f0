"""Reading pickles of other tools without running anything that is in them.

A pickle is a program, and what it may call is decided by ``find_class``. Here it finds a short list of names, each
of which builds an array or a plain container and does nothing else. Anything else is refused before it is called.
"""

from __future__ import annotations

import codecs
import io
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

__all__ = ["RefusedPickleError", "restricted_loads"]


class RefusedPickleError(ValueError):
    """A pickle that asks for something that is not allowed, or is damaged."""


def _encode(text: str, encoding: str = "utf-8") -> bytes:
    """What protocol 2 pickles bytes by; other codecs than this one have no business there."""
    if encoding != "latin1":
        raise RefusedPickleError(f"it encodes text as {encoding!r}")
    return codecs.encode(text, "latin1")


def _reconstruct(subtype: type, shape: tuple[int, ...], kind: object) -> np.ndarray:
    """An empty array, which the pickle then gives its type, shape and values."""
    if subtype is not np.ndarray or shape != (0,):
        raise RefusedPickleError(f"it builds a {subtype!r} of shape {shape}")
    return np.ndarray(shape, dtype=np.int8)


def _scalar(dtype: np.dtype, data: bytes = b"") -> Any:
    if dtype.hasobject or dtype.itemsize != len(data):
        raise RefusedPickleError(f"it builds a scalar of {dtype}")
    return np.frombuffer(data, dtype=dtype)[0]


_ALLOWED: dict[tuple[str, str], Any] = {
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "dtype"): np.dtype,
    ("numpy", "ndarray"): np.ndarray,
    **{
        (f"{package}.multiarray", name): function
        for package in ("numpy.core", "numpy._core")
        for name, function in (("_reconstruct", _reconstruct), ("scalar", _scalar))
    },
}


class _Unpickler(pickle.Unpickler):
    def __init__(
        self,
        data: bytes,
        allowed: Mapping[tuple[str, str], Any],
        persistent: Callable[[Any], Any] | None,
        encoding: str,
    ) -> None:
        super().__init__(io.BytesIO(data), encoding=encoding)
        self._allowed = allowed
        self._persistent = persistent

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._allowed[module, name]
        except KeyError:
            raise RefusedPickleError(f"it asks for '{module}.{name}'") from None

    def persistent_load(self, pid: Any) -> Any:
        if self._persistent is None:
            raise RefusedPickleError("it refers to something outside itself")
        return self._persistent(pid)


def restricted_loads(
    data: bytes,
    allowed: Mapping[tuple[str, str], Any] | None = None,
    persistent: Callable[[Any], Any] | None = None,
    encoding: str = "ASCII",
) -> Any:
    """What a pickle of plain containers, numbers, texts and numpy arrays holds.

    Args:
        data: the pickle.
        allowed: further names that it may ask for, ``(module, name)`` to what they stand for; each must be
            harmless whatever it is called with.
        persistent: resolves references to things outside the pickle.
        encoding: of texts that Python 2 wrote.

    Raises:
        RefusedPickleError: if it asks for anything else, or is damaged; nothing of it was run.
    """
    try:
        return _Unpickler(data, {**_ALLOWED, **(allowed or {})}, persistent, encoding).load()
    except RefusedPickleError:
        raise
    except Exception as error:  # a damaged pickle fails in whatever it makes the unpickler do
        raise RefusedPickleError(f"it is damaged ({type(error).__name__}: {error})") from error
