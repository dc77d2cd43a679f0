"""Files of ``torch.save``: tensors, or arrays in plain containers.

They are read here and not by ``torch.load``, which refuses arrays and named tuples or else runs whatever a pickle
says, and whose restricted mode had holes in releases that are still in use. Tensors come out as numpy arrays.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genmetrics.errors import StatisticsError
from genmetrics.stats.formats.objects import ToddStatistics, stats_of_object
from genmetrics.stats.formats.pickles import loads
from genmetrics.stats.formats.recognise import TORCH_LEGACY_MAGIC
from genmetrics.stats.formats.todd import RECORD, stats_of_own_todd
from genmetrics.stats.stats import Stats
from genmetrics.unpickle import RefusedPickleError, StandIn, pickle_end, sealed_array

__all__ = ["load_torch"]

_STORAGES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "BFloat16Storage": "bf16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
#: Of files before torch 1.6, behind their mark: a version, sizes of types, the object, the names of its storages.
_LEGACY_PICKLES = 4


class _StorageType(StandIn):
    """Stands for a storage class of torch; holds the type of its values."""

    __slots__ = ()


class _Storage(StandIn):
    """Values in a row, a numpy array and whether they are bfloat16 in 16-bit integers; no part may be changed."""

    __slots__ = ()


class _Reference(NamedTuple):
    key: str
    kind: str
    length: int


def load_torch(path: Path, legacy: bool) -> Stats:
    """Read a file of ``torch.save``.

    Args:
        path: the file.
        legacy: whether it is of the format before torch 1.6, which is no zip archive.

    Raises:
        StatisticsError: if it asks for anything but tensors, arrays and plain containers, is damaged, or holds no
            statistics.
    """
    record = None
    try:
        if legacy:
            loaded = _load_legacy(path)
        else:
            loaded, record = _load_zip(path)
    except RefusedPickleError as error:
        raise StatisticsError(f"statistics file '{path}' is a torch file that is refused: {error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, StatisticsError):
            raise
        raise StatisticsError(
            f"statistics file '{path}' is damaged or cut short ({error}); copy or download it again"
        ) from error
    if record is not None and isinstance(loaded, ToddStatistics):
        return stats_of_own_todd(path, loaded, record)
    return stats_of_object(path, loaded, "torch file")


def _load_zip(path: Path) -> tuple[Any, bytes | None]:
    """The object, and the record of ours that is beside it if we wrote the file."""
    with zipfile.ZipFile(path) as archive:
        members = {name.partition("/")[2]: name for name in archive.namelist()}
        order = "<"
        if "byteorder" in members:
            order = ">" if archive.read(members["byteorder"]).strip() == b"big" else "<"

        def storage(reference: _Reference) -> _Storage:
            name = members.get(f"data/{reference.key}")
            if name is None:
                raise RefusedPickleError(f"it refers to the values 'data/{reference.key}', which are not in it")
            _check_size(reference, archive.getinfo(name).file_size)
            return _storage(archive.read(name), reference.kind, order)

        record = archive.read(members[RECORD]) if RECORD in members else None
        return _unpickle(path, archive.read(members["data.pkl"]), storage), record


def _load_legacy(path: Path) -> Any:
    data = path.read_bytes()
    ends = [len(TORCH_LEGACY_MAGIC)]
    for _ in range(_LEGACY_PICKLES):
        ends.append(pickle_end(data, ends[-1]))
    system = loads(path, data[ends[1] : ends[2]])
    keys = loads(path, data[ends[3] : ends[4]])
    if not isinstance(system, dict) or not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise RefusedPickleError("it has not the parts that a torch file has")
    order = "<" if system.get("little_endian", True) else ">"
    pickled = data[ends[2] : ends[3]]
    # The values stand behind the object, one after the other; how wide they are only the object says.
    references: dict[str, _Reference] = {}

    def note(reference: _Reference) -> _Storage:
        references[reference.key] = reference
        return _storage(b"", reference.kind, order)

    _unpickle(path, pickled, note, build=False)
    storages: dict[str, _Storage] = {}
    position = ends[4]
    for key in keys:
        if key not in references:
            raise RefusedPickleError(f"it holds the values {key!r}, to which nothing refers")
        reference = references[key]
        count = int.from_bytes(data[position : position + 8], "little" if order == "<" else "big")
        position += 8
        size = count * _itemsize(reference.kind)
        _check_size(reference, min(size, len(data) - position))
        storages[key] = _storage(data[position : position + size], reference.kind, order)
        position += size

    def storage(reference: _Reference) -> _Storage:
        if reference.key not in storages:
            raise RefusedPickleError(f"it refers to the values {reference.key!r}, which are not in it")
        return storages[reference.key]

    return _unpickle(path, pickled, storage)


def _unpickle(path: Path, data: bytes, storage: Callable[[_Reference], _Storage], build: bool = True) -> Any:
    def persistent(pid: Any) -> _Storage:
        """``('storage', type, key, location, count)``, and in old files a view, which is None."""
        if not isinstance(pid, tuple) or len(pid) not in (5, 6) or pid[0] != "storage" or pid[5:] not in ((), (None,)):
            raise RefusedPickleError(f"it refers to {pid!r}, which is no storage of a tensor")
        _, kind, key, _, count = pid[:5]
        if not isinstance(kind, _StorageType) or not isinstance(key, str) or type(count) is not int or count < 0:
            raise RefusedPickleError(f"it refers to {pid!r}, which is no storage of a tensor")
        return storage(_Reference(key, kind[0], count))

    allowed: dict[tuple[str, str], Any] = {("torch", name): _StorageType((kind,)) for name, kind in _STORAGES.items()}
    allowed["torch._utils", "_rebuild_tensor_v2"] = _rebuild if build else _no_tensor
    allowed["torch._utils", "_rebuild_parameter"] = _parameter
    return loads(path, data, allowed, persistent)


def _check_size(reference: _Reference, found: int) -> None:
    wanted = reference.length * _itemsize(reference.kind)
    if found != wanted:
        raise RefusedPickleError(f"it is damaged: the values {reference.key!r} are {found} bytes, expected {wanted}")


def _itemsize(kind: str) -> int:
    return 2 if kind == "bf16" else np.dtype(kind).itemsize


def _storage(data: bytes, kind: str, order: str) -> _Storage:
    if kind == "bf16":
        # The upper half of a float32.
        wide = np.frombuffer(data, dtype=f"{order}u2").astype(np.uint32) << 16
        return _Storage((wide.view(np.float32),))
    return _Storage((np.frombuffer(data, dtype=np.dtype(kind).newbyteorder(order)),))  # type: ignore[arg-type]


def _rebuild(storage: Any, offset: Any, size: Any, stride: Any, *_: object) -> np.ndarray:
    """A tensor's values, copied from its storage."""
    if not isinstance(storage, _Storage):
        raise RefusedPickleError("it builds a tensor of something else than a storage")
    values: np.ndarray = storage[0]
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or not all(type(number) is int and number >= 0 for number in numbers):
        raise RefusedPickleError(f"it builds a tensor of size {size!r}, stride {stride!r} and offset {offset!r}")
    count = math.prod(size)
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    # A tensor of more values than its storage repeats some; no statistics do.
    if count > len(values) or (count and last >= len(values)):
        raise RefusedPickleError(f"it builds a tensor of size {size!r} and offset {offset} from {len(values)} values")
    if count == 0:
        return sealed_array(np.zeros(size, dtype=values.dtype))
    steps = tuple(step * values.itemsize for step in stride)
    view = np.lib.stride_tricks.as_strided(values[offset:], shape=size, strides=steps, writeable=False)
    return sealed_array(np.array(view, order="C"))


def _no_tensor(*_: object) -> None:
    """Of the first look at an object, which is for its storages."""


def _parameter(data: Any, *_: object) -> Any:
    return data
