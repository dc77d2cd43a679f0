"""Pickles that create a folder when they are run, by every way that a pickle has of running something.

A route is bytes that leave one object on the unpickler's stack; a file of some format is made around it.
"""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

__all__ = ["FILES", "ROUTES", "Creates", "Sets", "route"]


class Creates:
    """Runs something in ``__new__``."""

    def __new__(cls, path: str) -> Creates:
        os.mkdir(path)  # noqa: PTH102
        return object.__new__(cls)


class Sets:
    """Runs something when its state is set."""

    def __setstate__(self, state: str) -> None:
        os.mkdir(state)  # noqa: PTH102


def _text(value: str) -> bytes:
    encoded = value.encode()
    return b"X" + len(encoded).to_bytes(4, "little") + encoded


def _call(name: bytes, *arguments: str) -> bytes:
    return name + b"(" + b"".join(_text(argument) for argument in arguments) + b"tR"


#: Each with the name that it asks for.
ROUTES: dict[str, tuple[Callable[[str], bytes], str]] = {
    "system": (lambda path: _call(b"cos\nsystem\n", f"mkdir '{path}'"), "os.system"),
    "eval": (lambda path: _call(b"cbuiltins\neval\n", f"__import__('os').mkdir({path!r})"), "builtins.eval"),
    "inst": (lambda path: b"(" + _text(path) + b"ios\nmkdir\n", "os.mkdir"),
    "obj": (lambda path: b"(csupport.hostile\nCreates\n" + _text(path) + b"o", "support.hostile.Creates"),
    "newobj": (
        lambda path: b"csupport.hostile\nCreates\n" + _text(path) + b"\x85\x81",
        "support.hostile.Creates",
    ),
    "newobj_ex": (
        lambda path: b"csupport.hostile\nCreates\n" + _text(path) + b"\x85}\x92",
        "support.hostile.Creates",
    ),
    "stack_global": (lambda path: _call(_text("os") + _text("mkdir") + b"\x93", path), "os.mkdir"),
    "dotted": (lambda path: _call(_text("pathlib") + _text("os.mkdir") + b"\x93", path), "pathlib.os.mkdir"),
    "python 2": (lambda path: _call(b"c__builtin__\neval\n", f"__import__('os').mkdir({path!r})"), "__builtin__.eval"),
    "build": (lambda path: b"csupport.hostile\nSets\n)\x81" + _text(path) + b"b", "support.hostile.Sets"),
    "getattr": (
        lambda path: (
            (b"cbuiltins\ngetattr\n" + b"(" + _call(b"cimportlib\nimport_module\n", "os") + _text("mkdir") + b"tR(")
            + _text(path)
            + b"tR"
        ),
        "builtins.getattr",
    ),
    "inside an array": (
        lambda path: (
            b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR(K\x01)"
            + _call(b"cos\nmkdir\n", path)
            + b"\x89]tb"
        ),
        "os.mkdir",
    ),
}


def route(name: str, path: Path) -> bytes:
    """The bytes of a route that creates a folder at the path."""
    return ROUTES[name][0](str(path))


def _pickle(item: bytes) -> bytes:
    # Names of Python 2 are known to protocols up to 2 only, dotted ones from 4 on.
    return (b"\x80\x02" if b"__builtin__" in item else b"\x80\x04") + item + b"."


def _in_dict(key: str, item: bytes) -> bytes:
    return _pickle(b"}" + _text(key) + item + b"s")


def _torch_zip(path: Path, data: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/version", "3\n")


def _torch_legacy(path: Path, item: bytes) -> None:
    before = b"".join(
        pickle.dumps(value, 2)
        for value in (
            0x1950A86A20F9469CFC6C,
            1001,
            {"protocol_version": 1001, "little_endian": True, "type_sizes": {}},
        )
    )
    path.write_bytes(before + _pickle(item) + pickle.dumps([], 2))


def _object_array(item: bytes) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array(None, dtype=object), allow_pickle=True)
    start = buffer.getvalue()
    return start[: start.index(b"\n") + 1] + _pickle(item)


def _npz(path: Path, item: bytes) -> None:
    np.savez(path, sigma=np.eye(3))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("mu.npy", _object_array(item))


def _npz_run(path: Path) -> None:
    with np.load(path, allow_pickle=True) as file:
        file["mu"]


def _torch_run(path: Path) -> None:
    torch.load(path, weights_only=False)


#: For each kind of file: its name, what writes it around a route, and what runs it as the other tools do.
FILES: dict[str, tuple[str, Callable[[Path, bytes], None], Callable[[Path], object]]] = {
    "pickle": (
        "x.pkl",
        lambda path, item: path.write_bytes(_pickle(item)) and None,
        lambda path: pickle.loads(path.read_bytes()),
    ),
    "stylegan": (
        "x-vgg16-0123456789abcdef0123456789abcdef.pkl",
        lambda path, item: path.write_bytes(_in_dict("num_items", item)) and None,
        lambda path: pickle.loads(path.read_bytes()),
    ),
    "torch zip": ("x.pth", lambda path, item: _torch_zip(path, _pickle(item)), _torch_run),
    "torch-fidelity": (
        "x-inception-v3-compat-stat-fid-64.pt",
        lambda path, item: _torch_zip(path, _in_dict("mu", item)),
        _torch_run,
    ),
    "torch legacy": ("x.pt", _torch_legacy, _torch_run),
    "npy": (
        "x.npy",
        lambda path, item: path.write_bytes(_object_array(item)) and None,
        lambda path: np.load(path, allow_pickle=True),
    ),
    "npz": ("x.npz", _npz, _npz_run),
}
