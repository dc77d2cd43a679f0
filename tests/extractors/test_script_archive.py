"""The weights of TorchScript archives, as torch itself has them, and without running anything."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genmetrics.errors import WeightsError
from genmetrics.extractors.script_archive import is_script_archive, script_state_dict
from genmetrics.extractors.weights import load_state_dict
from genmetrics.unpickle import RefusedPickleError

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 3).half()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.register_buffer("counts", torch.arange(3))
        self.register_buffer("empty", torch.empty(0, 2))

    def forward(self, x: Tensor) -> Tensor:
        return x


class Outer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.turned = Inner(), nn.Parameter(torch.randn(3, 2).T)
        self.register_buffer("part", torch.arange(10)[2:8:3])
        self.register_buffer("flags", torch.tensor([True, False]))
        self.register_buffer("wide", torch.tensor(0.1, dtype=torch.float64))
        self.register_buffer("narrow", torch.tensor([1.5], dtype=torch.bfloat16))

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) + self.turned.sum()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    torch.jit.save(torch.jit.script(Outer()), tmp_path / "a.pt")
    return tmp_path / "a.pt"


@pytest.mark.parametrize("make", [torch.jit.script, lambda module: torch.jit.trace(module, torch.ones(1))])
def test_the_tensors_are_those_of_torch(make, tmp_path):
    made = make(Outer())
    torch.jit.save(made, tmp_path / "a.pt")
    assert is_script_archive(tmp_path / "a.pt")
    found, expected = script_state_dict(tmp_path / "a.pt"), made.state_dict()
    assert found.keys() == expected.keys() and "inner.layers.1.running_mean" in found
    for name, value in expected.items():
        assert found[name].dtype == value.dtype and torch.equal(found[name], value) and found[name].is_contiguous()
    assert load_state_dict(tmp_path / "a.pt", "x.y").keys() == expected.keys()


def test_what_torch_save_writes_is_none(tmp_path):
    torch.save(Outer().state_dict(), tmp_path / "a.pth")
    assert not is_script_archive(tmp_path / "a.pth") and not is_script_archive(tmp_path / "nowhere")


def rewritten(archive: Path, **members: bytes) -> Path:
    """The archive with other content in some of its members."""
    path = archive.with_name("changed.pt")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            inner = name.partition("/")[2]
            new.writestr(name, members.get(inner.replace(".", "_").replace("/", "_"), old.read(name)))
    return path


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("was_run",)


PICKLED_TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n(("
STORAGE = b"X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ"


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (pickle.dumps(Hostile(), 2), r"it asks for 'posix\.mkdir'"),
        (b"\x80\x02c__torch__\nA\n)\x81cos\nsystem\nb.", r"it asks for 'os\.system'"),
        (b"\x80\x02" + PICKLED_TENSOR + STORAGE + b"K\x00(K\x07t(K\x01ttR.", "builds a tensor of size"),
        (b"\x80\x02" + PICKLED_TENSOR + STORAGE + b"K\x00(K\x02t(K\x09ttR.", "builds a tensor of size"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(K\x00K\x00(t(ttR.", "of something else than a storage"),
        (b"\x80\x02(X\x07\x00\x00\x00storageK\x00K\x00K\x00K\x00tQ.", "which is no storage of a tensor"),
        (b"\x80\x02(" + STORAGE.replace(b"K\x06", b"K\x05") + b".", r"24 bytes of values, expected 20"),
        (b"\x80\x02(" + STORAGE.replace(b"\x000X", b"\x009X") + b".", "it is damaged"),
        (b"garbage", "it is damaged"),
    ],
)
def test_what_is_refused(pickled, message, archive, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    path = rewritten(archive, data_pkl=pickled)
    with pytest.raises(RefusedPickleError, match=message):
        script_state_dict(path)
    with pytest.raises(WeightsError, match=r"changed\.pt' for extractor 'x\.y' cannot be read"):
        load_state_dict(path, "x.y")
    assert not (tmp_path / "was_run").exists()


def test_a_tensor_cannot_be_changed(archive):
    """A pickle that goes on with a tensor as with an object of its own."""
    tensor = PICKLED_TENSOR + STORAGE + b"K\x00(K\x02t(K\x01t\x89NtR"
    with pytest.raises(RefusedPickleError, match="it changes what it was given"):
        script_state_dict(rewritten(archive, data_pkl=b"\x80\x02" + tensor + b"}b."))


def test_a_module_that_holds_itself(archive):
    looped = b"\x80\x02c__torch__\nA\n)\x81q\x00}(X\x01\x00\x00\x00ah\x00X\x01\x00\x00\x00b" + (
        PICKLED_TENSOR + STORAGE + b"K\x00(K\x02t(K\x01t\x89NtR" + b"ub."
    )
    found = script_state_dict(rewritten(archive, data_pkl=looped))
    assert list(found) == ["b"] and found["b"].shape == (2,)


def test_damaged(archive):
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="cannot be read as a torch or safetensors state dict"):
        load_state_dict(archive, "x.y")
