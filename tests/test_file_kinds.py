from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from genmetrics.file_kinds import are_arrays, are_torchscript, read_array_header, zip_names


def test_networks_and_what_is_none(tmp_path: Path) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(network), tmp_path / "script.pt")
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    np.savez(tmp_path / "arrays.npz", a=np.zeros(2), b=np.zeros(3))

    names = {path.name: zip_names(path) for path in tmp_path.iterdir()}

    assert {name for name, found in names.items() if are_torchscript(found)} == {"script.pt"}
    assert {name for name, found in names.items() if are_arrays(found)} == {"arrays.npz"}


@pytest.mark.parametrize(
    ("names", "network"),
    [
        (["x/data.pkl", "x/constants.pkl", "x/code/__torch__.py"], True),
        (["x/data.pkl", "x/constants.pkl"], False),
        (["x/data.pkl", "x/code/a.py"], False),
        (["a/constants.pkl", "b/code/a.py"], False),  # somebody's folders
        (["constants.pkl", "code/a.py"], False),
        ([], False),
    ],
)
def test_names(names: list[str], network: bool) -> None:
    assert are_torchscript(names) is network


def test_no_names_are_no_arrays() -> None:
    assert not are_arrays([])
    assert not are_arrays(["a.npy", "b.png"])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(3)])
def test_what_is_no_archive_has_no_names(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)

    assert zip_names(tmp_path / "x") == zip_names(tmp_path / "none") == []


def test_the_head_of_an_array() -> None:
    file = io.BytesIO()
    np.save(file, np.asfortranarray(np.ones((2, 3), np.float32)))
    file.seek(0)

    assert read_array_header(file) == ((2, 3), True, np.dtype(np.float32))
    assert len(file.read()) == 24


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"\x93NUMPY\x03\x00abc", b"\x93NUMPY\x01\x00\x02\x00{x"])
def test_a_damaged_head(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_array_header(io.BytesIO(content))
