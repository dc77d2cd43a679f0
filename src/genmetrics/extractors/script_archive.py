"""The weights in a TorchScript archive, such as OpenAI's files of CLIP. The code in it is neither loaded nor run."""

from __future__ import annotations

import math
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genmetrics.file_kinds import are_torchscript, zip_names
from genmetrics.unpickle import RefusedPickleError, StandIn, restricted_loads

__all__ = ["is_script_archive", "script_state_dict"]

_TYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
#: What lists of numbers, and values whose types are written down, are wrapped in.
_PLAIN = ("build_intlist", "build_doublelist", "build_boollist", "build_tensorlist", "restore_type_tag")
#: What the classes of an archive's modules are called by.
_CLASSES = "__torch__"


class _StorageType(StandIn):
    """Stands for a storage class of torch; holds the type of its values."""

    __slots__ = ()


class _Storage(StandIn):
    """Holds values in a row."""

    __slots__ = ()


class _Held(StandIn):
    """Holds a tensor, which a pickle could change if it had it."""

    __slots__ = ()


def is_script_archive(path: Path) -> bool:
    """Whether a file is a TorchScript archive."""
    return are_torchscript(zip_names(path))


def script_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of the module in an archive, under the names that its state dict has, on the CPU.

    Raises:
        RefusedPickleError: if it holds anything but modules, tensors and plain values, or is damaged.
        OSError: if it cannot be read.
    """
    states: dict[int, tuple[StandIn, object]] = {}

    class Module(StandIn):
        """Stands for a module, whose attributes it is given once."""

        __slots__ = ()

        def __setstate__(self, state: object) -> None:  # type: ignore[override]
            states[id(self)] = (self, state)

    try:
        with zipfile.ZipFile(path) as archive:
            members = {name.partition("/")[2]: name for name in archive.namelist()}
            pickled = archive.read(members["data.pkl"])
            if "byteorder" in members and archive.read(members["byteorder"]).strip() != b"little":
                raise RefusedPickleError("it was written on a machine of the other byte order")
            storages: dict[str, _Storage] = {}

            def persistent(pid: Any) -> _Storage:
                key, kind, count = _reference(pid)
                if key not in storages:
                    storages[key] = _storage(archive.read(members[f"data/{key}"]), kind, count)
                return storages[key]

            allowed: dict[tuple[str, str], Any] = {
                ("torch", name): _StorageType((kind,)) for name, kind in _TYPES.items()
            }
            allowed["torch._utils", "_rebuild_tensor_v2"] = _rebuild
            allowed |= dict.fromkeys((("torch.jit._pickle", name) for name in _PLAIN), _as_it_is)
            allowed |= dict.fromkeys(_modules(pickled), Module)
            root = restricted_loads(pickled, allowed, persistent)
    except (KeyError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise RefusedPickleError(f"it is damaged ({type(error).__name__}: {error})") from error
    return dict(_tensors(root, "", states))


def _modules(pickled: bytes) -> Iterator[tuple[str, str]]:
    """The classes of modules that a pickle names; nothing of it is run."""
    try:
        for opcode, argument, _ in pickletools.genops(pickled):
            if opcode.name == "GLOBAL":
                module, _, name = str(argument).partition(" ")
                if module == _CLASSES or module.startswith(f"{_CLASSES}."):
                    yield module, name
    except ValueError as error:
        raise RefusedPickleError(f"it is damaged ({error})") from error


def _reference(pid: Any) -> tuple[str, torch.dtype, int]:
    """Key, type and number of the values that ``('storage', type, key, location, count)`` refers to."""
    if not isinstance(pid, tuple) or len(pid) != 5 or pid[0] != "storage":
        raise RefusedPickleError(f"it refers to {pid!r}, which is no storage of a tensor")
    _, kind, key, _, count = pid
    if not isinstance(kind, _StorageType) or not isinstance(key, str) or type(count) is not int or count < 0:
        raise RefusedPickleError(f"it refers to {pid!r}, which is no storage of a tensor")
    return key, kind[0], count


def _storage(data: bytes, kind: torch.dtype, count: int) -> _Storage:
    if len(data) != count * kind.itemsize:
        raise RefusedPickleError(f"it is damaged: {len(data)} bytes of values, expected {count * kind.itemsize}")
    return _Storage((torch.frombuffer(bytearray(data), dtype=kind) if data else torch.empty(0, dtype=kind),))


def _as_it_is(value: object, *_: object) -> object:
    return value


def _rebuild(storage: Any, offset: Any, size: Any, stride: Any, *_: object) -> _Held:
    """A tensor's values, copied from its storage."""
    if not isinstance(storage, _Storage) or not isinstance(size, tuple) or not isinstance(stride, tuple):
        raise RefusedPickleError("it builds a tensor of something else than a storage")
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or not all(type(number) is int and number >= 0 for number in numbers):
        raise RefusedPickleError(f"it builds a tensor of size {size!r}, stride {stride!r} and offset {offset!r}")
    values: Tensor = storage[0]
    count = math.prod(size)
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if count > len(values) or (count and last >= len(values)):
        raise RefusedPickleError(f"it builds a tensor of size {size!r} and offset {offset} from {len(values)} values")
    if count == 0:
        return _Held((torch.empty(size, dtype=values.dtype),))
    return _Held((values.as_strided(size, stride, offset).clone(memory_format=torch.contiguous_format),))


def _tensors(module: object, prefix: str, states: dict[int, tuple[StandIn, object]]) -> Iterator[tuple[str, Tensor]]:
    """Those of a module and of the modules in it; each module is given out once, so that none can be in itself."""
    _, state = states.pop(id(module), (None, None))
    if not isinstance(state, dict):
        return
    for name, value in state.items():
        if isinstance(value, _Held):
            yield f"{prefix}{name}", value[0]
        elif id(value) in states:
            yield from _tensors(value, f"{prefix}{name}.", states)
