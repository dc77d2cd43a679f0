"""Reading pickles of other tools without running anything that is in them.

A pickle is a program, and what it may call is decided by ``find_class``. Here it finds a short list of names, each
of which builds an array or a plain container and does nothing else. Anything else is refused before it is called.

What a pickle finds it can also try to change: ``BUILD`` sets attributes. So it never gets hold of a function, a
class of numpy or a tensor, but of stand-ins of ours that cannot be changed, and arrays whose state is set once.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, NoReturn

import numpy as np

__all__ = ["RefusedPickleError", "StandIn", "pickle_end", "restricted_loads", "sealed_array"]

#: Opcodes that reach for things outside of ``find_class``: an interpreter-wide table, and buffers of the caller.
#: Sets would hash what is put into them, which takes for ever for a small pickle of tuples within tuples.
_REFUSED_OPCODES = {
    *("EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER"),
    *("EMPTY_SET", "ADDITEMS", "FROZENSET"),
}
_MEMO_OPCODES = {"PUT", "BINPUT", "LONG_BINPUT"}
_TUPLE_OPCODES = {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}
#: An array takes four. Tuples within tuples are hashed by recursion in C, which more of them than this would crash.
_MOST_TUPLES = 80_000
#: Also a text like ``f8,O`` is a type to numpy.
_NUMBER_TYPE = re.compile(r"[biufc]\d{1,2}")


class RefusedPickleError(ValueError):
    """A pickle that asks for something that is not allowed, or is damaged."""


def _refuse_state(self: object, state: object) -> NoReturn:
    raise RefusedPickleError("it changes what it was given to build arrays with")


class _Call:
    """A function that a pickle may call and cannot change."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    __setstate__ = _refuse_state


class _Sealed(type):
    """Of classes that a pickle cannot change."""

    def __setattr__(cls, name: str, value: object) -> NoReturn:
        raise RefusedPickleError("it changes a class")


class StandIn(tuple[Any, ...], metaclass=_Sealed):
    """A tuple that stands for an instance of another tool's class derived from tuple; derive from it for each."""

    __slots__ = ()
    __setstate__ = _refuse_state


class _Dtype:
    """The type of an array's values, before it is known to be of numbers."""

    __slots__ = ("_order", "_text")

    def __init__(self, text: str, *_: object) -> None:
        self._text = text
        self._order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = state[1]
        if self._order != "=" or order not in ("<", ">", "|", "="):
            raise RefusedPickleError("it changes the type of an array's values")
        self._order = "<" if order == "=" else order

    @property
    def is_object(self) -> bool:
        return self._text in ("O", "O4", "O8")

    def dtype(self) -> np.dtype:
        """The numpy type.

        Raises:
            RefusedPickleError: if it is not of numbers.
        """
        if not isinstance(self._text, str) or _NUMBER_TYPE.fullmatch(self._text) is None:
            raise RefusedPickleError(f"it holds values of type {self._text!r}, which are no numbers")
        return np.dtype(self._text).newbyteorder("=" if self._order == "|" else self._order)  # type: ignore[arg-type]


class _Array(np.ndarray):
    """An array whose values a pickle sets once."""

    _is_set = False
    boxed: Any = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if self._is_set:
            raise RefusedPickleError("it sets the values of an array twice")
        self._is_set = True
        _, shape, dtype, fortran_order, values = state
        if isinstance(dtype, _Dtype) and dtype.is_object:
            if shape != () or not isinstance(values, list) or len(values) != 1:
                raise RefusedPickleError(f"it holds Python objects in an array of shape {shape}")
            self.boxed = values
            return
        built = _built(values, dtype, shape, "F" if fortran_order else "C")
        # On the state of a plain array: shape, type and bytes fit, as was just seen.
        data = built.tobytes(order="A")
        super().__setstate__((1, built.shape, built.dtype, bool(fortran_order), data))  # type: ignore[arg-type]


def sealed_array(values: np.ndarray) -> np.ndarray:
    """The same values as an array that a pickle cannot change; for the results of further ``allowed`` functions."""
    array = values.view(_Array)
    array._is_set = True
    return array


def _built(values: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    """An array of given bytes."""
    if isinstance(values, str):  # bytes of Python 2
        values = values.encode("latin1")
    if not isinstance(values, bytes | bytearray) or not isinstance(dtype, _Dtype) or order not in ("C", "F", "A", "K"):
        raise RefusedPickleError("it builds an array of something else than bytes")
    if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
        raise RefusedPickleError(f"it builds an array of shape {shape!r}")
    kind = dtype.dtype()
    if math.prod(shape) * kind.itemsize != len(values):
        raise RefusedPickleError(f"it builds an array of shape {shape} and type {kind} from {len(values)} bytes")
    return np.frombuffer(bytearray(values), dtype=kind).reshape(shape, order="F" if order == "F" else "C")


def _encode(text: str, encoding: str = "utf-8") -> bytes:
    """What protocol 2 pickles bytes by; other codecs than this one have no business there."""
    if encoding not in ("latin1", "latin-1") or not isinstance(text, str):
        raise RefusedPickleError(f"it asks for '_codecs.encode' with the encoding {encoding!r}")
    return text.encode("latin1")


def _reconstruct(subtype: object, shape: object, kind: object) -> _Array:
    """An empty array, which the pickle then gives its type, shape and values."""
    if subtype is not _NDARRAY or shape != (0,):
        raise RefusedPickleError(f"it builds an array of another class, or of shape {shape!r}")
    return np.ndarray.__new__(_Array, (0,), dtype=np.int8)


def _from_buffer(values: Any, dtype: Any, shape: Any, order: Any, *_: object) -> np.ndarray:
    """What protocol 5 pickles an array by."""
    return sealed_array(_built(values, dtype, shape, order))


def _scalar(dtype: Any, data: Any = b"") -> Any:
    return _built(data, dtype, (), "C").item()


def _no_bytes(*arguments: object) -> bytes:
    """What protocol 2 pickles empty bytes by."""
    if arguments:
        raise RefusedPickleError("it asks for 'builtins.bytes' of something")
    return b""


class _Mapping(dict[Any, Any]):
    """Stands for an ordered dict; the attributes that a network's weights give theirs are dropped."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        pass


def _mapping(items: Iterable[tuple[Any, Any]] = ()) -> _Mapping:
    """What protocols 0 and 1 build an ordered dict of pairs by, and later ones an empty one."""
    return _Mapping(items)


class _Token:
    """Stands for a class that a pickle names and never calls."""

    __slots__ = ()
    __setstate__ = _refuse_state


_NDARRAY = _Token()

_ALLOWED: dict[tuple[str, str], Any] = {
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _no_bytes,
    ("builtins", "bytes"): _no_bytes,
    ("collections", "OrderedDict"): _mapping,
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _NDARRAY,
    **{
        (f"{package}.{module}", name): function
        for package in ("numpy.core", "numpy._core")
        for module, name, function in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
}


#: The one that is written in Python, of which typeshed knows little.
_PythonUnpickler: Any = pickle._Unpickler


class _Unpickler(_PythonUnpickler):  # type: ignore[misc]
    """The unpickler that is written in Python: here the keys of dicts can be looked at before they are hashed."""

    dispatch: ClassVar[dict[int, Any]] = dict(_PythonUnpickler.dispatch)

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
        found = self._allowed.get((module, name))
        if found is None:
            raise RefusedPickleError(f"it asks for '{module}.{name}'")
        if isinstance(found, type) and issubclass(found, StandIn):
            return found
        return _Call(found) if callable(found) else found

    def load_setitem(self) -> None:
        self._check_keys(self.stack[-2:-1])
        super().load_setitem()

    def load_setitems(self) -> None:
        self._check_keys(self.stack[::2])
        super().load_setitems()

    def load_dict(self) -> None:
        self._check_keys(self.stack[::2])
        super().load_dict()

    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems
    dispatch[pickle.DICT[0]] = load_dict

    @staticmethod
    def _check_keys(keys: list[Any]) -> None:
        for key in keys:
            if not isinstance(key, str | bytes | int | float | None):
                raise RefusedPickleError(f"it holds a dict whose keys are of type {type(key).__name__}")

    def persistent_load(self, pid: Any) -> Any:
        if self._persistent is None:
            raise RefusedPickleError("it refers to something outside itself")
        return self._persistent(pid)


def pickle_end(data: bytes, start: int = 0) -> int:
    """Where the pickle that starts there ends; nothing of it is run.

    Raises:
        RefusedPickleError: if it is damaged, or has instructions that no array needs.
    """
    stream = io.BytesIO(data)
    stream.seek(start)
    tuples = 0
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name in _REFUSED_OPCODES:
                raise RefusedPickleError(f"it has the instruction {opcode.name}, which no array needs")
            tuples += opcode.name in _TUPLE_OPCODES
            if tuples > _MOST_TUPLES:
                raise RefusedPickleError(f"it holds more than {_MOST_TUPLES:,} tuples, which no arrays need")
            # The unpickler makes room for as many remembered objects as the largest number says.
            if opcode.name in _MEMO_OPCODES and int(argument or 0) > len(data):
                raise RefusedPickleError(f"it is damaged (it remembers an object as number {argument})")
    except RefusedPickleError:
        raise
    except Exception as error:  # whatever a damaged pickle makes the parser do
        raise RefusedPickleError(f"it is damaged ({type(error).__name__}: {error})") from error
    return stream.tell()


def restricted_loads(
    data: bytes,
    allowed: Mapping[tuple[str, str], Any] | None = None,
    persistent: Callable[[Any], Any] | None = None,
    encoding: str = "ASCII",
) -> Any:
    """What a pickle of plain containers, numbers, texts and numpy arrays of numbers holds.

    An array without dimensions of one Python object, as ``numpy.save`` writes a dict, is that object.

    Args:
        data: the pickle.
        allowed: further names that it may ask for, ``(module, name)`` to what they stand for: a function, which
            must be harmless whatever it is called with, or a class derived from ``StandIn``.
        persistent: resolves references to things outside the pickle.
        encoding: of texts that Python 2 wrote; ``latin1`` reads its arrays.

    Raises:
        RefusedPickleError: if it asks for anything else, or is damaged; nothing of it was run.
    """
    pickle_end(data)
    try:
        loaded = _Unpickler(data, {**_ALLOWED, **(allowed or {})}, persistent, encoding).load()
    except RefusedPickleError:
        raise
    except Exception as error:  # a damaged pickle fails in whatever it makes the unpickler do
        raise RefusedPickleError(f"it is damaged ({type(error).__name__}: {error})") from error
    return loaded.boxed[0] if isinstance(loaded, _Array) and loaded.boxed is not None else loaded
