"""Devices by name, and the networks that a run loads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from genmetrics.engine.networks import Networks, resolve_device
from genmetrics.engine.options import Options
from genmetrics.errors import DeviceError, UnknownNameError, UsageError, WeightsError
from genmetrics.types import Need

LITE = "efficientnet-lite0.in1k"
NEED = Need(LITE, "crop875-bicubic-224", "1280", "moments")


def no_cuda(monkeypatch: pytest.MonkeyPatch, built_with: str | None) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", built_with)


def with_cuda(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:3"])
@pytest.mark.parametrize(("built_with", "why"), [(None, " is a build without CUDA"), ("12.8", " finds no CUDA device")])
def test_cuda_where_there_is_none(monkeypatch: pytest.MonkeyPatch, name: str, built_with: str | None, why: str) -> None:
    no_cuda(monkeypatch, built_with)
    with pytest.raises(DeviceError) as caught:
        resolve_device(name)
    assert str(caught.value) == (
        f"device '{name}' was asked for, but torch {torch.__version__}{why}; use '--device cpu' (or 'auto', which "
        "takes a GPU where there is one)"
    )


@pytest.mark.parametrize("name", ["gpu0", "", "CUDA", "meta", "cuda:x", "cuda:-1", "xpu"])
def test_unknown_device(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with_cuda(monkeypatch, 2)
    with pytest.raises(DeviceError, match=rf"^unknown device '{name}'; expected auto, cpu, cuda, cuda:N or mps$"):
        resolve_device(name)


@pytest.mark.parametrize(("count", "there"), [(1, "cuda:0"), (4, "cuda:0 to cuda:3")])
def test_cuda_device_beyond_the_last(monkeypatch: pytest.MonkeyPatch, count: int, there: str) -> None:
    with_cuda(monkeypatch, count)
    with pytest.raises(
        DeviceError, match=rf"^device 'cuda:4' was asked for, but there are {count} CUDA device\(s\): {there}$"
    ):
        resolve_device("cuda:4")


def test_auto_takes_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    no_cuda(monkeypatch, None)
    assert resolve_device("auto") == torch.device("cpu")
    assert resolve_device("cpu") == torch.device("cpu")
    with_cuda(monkeypatch, 2)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert resolve_device("auto") == torch.device("cuda", 0)
    assert resolve_device("cuda:1") == torch.device("cuda", 1)


def test_each_process_of_a_machine_has_its_own_device(monkeypatch: pytest.MonkeyPatch) -> None:
    with_cuda(monkeypatch, 4)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert resolve_device("cuda") == torch.device("cuda", 3)
    assert resolve_device("auto") == torch.device("cuda", 3)
    assert resolve_device("cuda:1") == torch.device("cuda", 1)


def test_more_processes_than_devices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with_cuda(monkeypatch, 2)
    monkeypatch.setenv("LOCAL_RANK", "2")
    for name in ("cuda", "auto"):
        with pytest.raises(DeviceError) as caught:
            resolve_device(name)
        assert str(caught.value) == (
            "device 'cuda:2' was asked for, but there are 2 CUDA device(s): cuda:0 to cuda:1; each process takes the "
            "one of its local rank: start at most 2 a machine, torchrun --nproc-per-node 2"
        )


def test_mps_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(
        DeviceError,
        match=r"^device 'mps' was asked for, but torch finds none on this machine; use '--device cpu'$",
    ):
        resolve_device("mps")


def test_each_network_is_loaded_once_at_the_asked_precision() -> None:
    networks = Networks([LITE, LITE], Options(device="cpu", precision="bf16"))
    assert networks.extractor(LITE) is networks.extractor(LITE)
    assert networks.device == torch.device("cpu")
    assert networks.extractor(LITE).precision == "bf16"


def test_what_the_weights_are_is_known_without_building(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []
    monkeypatch.setattr("genmetrics.engine.networks.load_extractor", lambda name, weights: built.append(name))
    networks = Networks([LITE], Options(device="cpu"))
    assert networks.records([NEED])[LITE].official is True
    assert networks.can_be_cached(LITE)
    assert built == []


def test_records_list_each_preprocessing_that_was_used() -> None:
    networks = Networks([LITE], Options(device="cpu"))
    other = Need(LITE, "tf1-bilinear-299", "1280", "moments")
    record = networks.records([NEED, other, NEED])[LITE]
    assert list(record.preprocess) == ["crop875-bicubic-224", "tf1-bilinear-299"]
    assert record.preprocess["tf1-bilinear-299"]["size"] == (299, 299)
    assert (record.official, record.precision) == (True, "exact")
    assert record.weights_sha256 == networks.extractor(LITE).weights.sha256


def test_no_need_loads_nothing() -> None:
    assert Networks([], Options(device="cpu")).records([]) == {}


def test_weights_for_a_network_that_is_not_used() -> None:
    options = Options(device="cpu", weights={"inception-v3.tf2015": Path("inception.pth")})
    with pytest.raises(
        UsageError,
        match=r"^weights were given for extractor 'inception-v3\.tf2015', which the asked metrics do not use \(they "
        rf"use: {LITE}\)$",
    ):
        Networks([LITE], options)


def test_missing_weights_and_unknown_networks_are_errors(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        Networks([LITE], Options(device="cpu", weights={LITE: tmp_path / "none.pth"}))
    with pytest.raises(UnknownNameError, match=r"^unknown extractor 'resnet\.x'"):
        Networks(["resnet.x"], Options(device="cpu"))


def test_device_is_checked_before_weights(tmp_path: Path) -> None:
    with pytest.raises(DeviceError):
        Networks([LITE], Options(device="gpu0", weights={LITE: tmp_path / "none.pth"}))
