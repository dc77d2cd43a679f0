from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from genmetrics.errors import StatisticsError
from genmetrics.stats.formats import load_stats
from genmetrics.types import UNKNOWN, ExtractorRecord, Need
from support.foreign_stats import draw, mean_and_cov, todd_importable, todd_pth

MOMENTS = Need(UNKNOWN, UNKNOWN, UNKNOWN, "moments")
BANK = Need(UNKNOWN, UNKNOWN, UNKNOWN, "feature_bank")
INCEPTION, TF1 = "inception-v3.tf2015", "tf1-bilinear-299"


def save(value: object, path: Path, legacy: bool) -> None:
    torch.save(value, path, _use_new_zipfile_serialization=not legacy)


def message(path: Path) -> str:
    with pytest.raises(StatisticsError) as caught:
        load_stats(path)
    return str(caught.value)


both = pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])


@both
@pytest.mark.parametrize("as_tensors", [True, False])
@pytest.mark.parametrize("kind", [dict, tuple])
def test_mean_and_covariance(kind: type, as_tensors: bool, legacy: bool, tmp_path: Path) -> None:
    mu, sigma = mean_and_cov(draw(60, 12))
    pair = (torch.from_numpy(mu), torch.from_numpy(sigma)) if as_tensors else (mu, sigma)
    save({"mu": pair[0], "sigma": pair[1]} if kind is dict else pair, tmp_path / "x.pth", legacy)

    stats = load_stats(tmp_path / "x.pth")

    assert list(stats.accumulators) == [MOMENTS]
    assert stats.side.kind == "mu-sigma torch file"
    np.testing.assert_array_equal(stats.get(MOMENTS).mean().numpy(), mu.astype(np.float64))
    np.testing.assert_allclose(stats.get(MOMENTS).covariance().numpy(), sigma, rtol=0, atol=1e-15)


VIEWS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "whole": lambda x: x,
    "part": lambda x: x[3:9],
    "transposed": lambda x: x.T,
    "every other": lambda x: x[::2, 1::3],
    "parameter": torch.nn.Parameter,
}


@both
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("view", VIEWS)
def test_features(view: str, dtype: torch.dtype, legacy: bool, tmp_path: Path) -> None:
    features = VIEWS[view](torch.from_numpy(draw(20, 6)).to(dtype))
    save(features, tmp_path / "x.pt", legacy)

    stats = load_stats(tmp_path / "x.pt")

    assert stats.side.kind == "features torch file"
    assert stats.num_samples == features.shape[0]
    torch.testing.assert_close(stats.get(BANK).rows(), features.detach().float(), rtol=0, atol=0)


@pytest.mark.parametrize("installed", [True, False])
def test_the_statistics_of_todd(installed: bool, tmp_path: Path) -> None:
    mu, sigma = todd_pth(tmp_path / "imagenet_val.pth", draw(8, 2048))
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        torch.load(tmp_path / "imagenet_val.pth")  # as their own tools do with a recent torch

    if installed:
        with todd_importable():
            stats = load_stats(tmp_path / "imagenet_val.pth")
    else:
        stats = load_stats(tmp_path / "imagenet_val.pth")

    need = Need(INCEPTION, "torch-bilinear-299", "2048", "moments")
    assert list(stats.accumulators) == [need]
    assert stats.side.kind == "todd statistics"
    assert stats.extractors == {INCEPTION: ExtractorRecord(None, None, None, {"torch-bilinear-299": {}})}
    np.testing.assert_array_equal(stats.get(need).mean().numpy(), mu.astype(np.float64))
    np.testing.assert_allclose(stats.get(need).covariance().numpy(), sigma, rtol=0, atol=1e-14)


class TestNamesOfTorchFidelity:
    @pytest.mark.parametrize(
        ("name", "need", "note"),
        [
            (
                "cifar-10_train-inception-v3-compat-stat-fid-64.pt",
                Need(INCEPTION, TF1, "64", "moments"),
                "that the statistics are of inception-v3.tf2015 is said by the file's name",
            ),
            ("x-vgg16-stat-fid-fc2_relu.pt", MOMENTS, "layer 'fc2_relu' of torch-fidelity's extractor 'vgg16'"),
            (
                "x-clip-vit-b-32-stat-fid-clip-vit-b-32.pt",
                MOMENTS,
                "layer 'clip-vit-b-32' of torch-fidelity's extractor 'clip-vit-b-32'",
            ),
            ("x-dinov2-vit-b-14-stat-fid-dinov2.pt", MOMENTS, "torch-fidelity's extractor 'dinov2-vit-b-14'"),
            ("x-mine-stat-fid-64.pt", MOMENTS, "layer '64' of torch-fidelity's extractor a network of unknown name"),
            ("x-inception-v3-compat-features-64.pt", MOMENTS, "the file does not say which network"),
        ],
    )
    def test_statistics(self, name: str, need: Need, note: str, tmp_path: Path) -> None:
        mu, sigma = mean_and_cov(draw(80, 64))
        torch.save({"mu": mu, "sigma": sigma}, tmp_path / name)

        stats = load_stats(tmp_path / name)

        assert list(stats.accumulators) == [need]
        assert note in stats.side.notes[0]
        assert stats.num_samples is None

    @pytest.mark.parametrize(
        ("layer", "width"), [("64", 64), ("192", 192), ("logits_unbiased", 1008), ("logits", 1008)]
    )
    def test_features(self, layer: str, width: int, tmp_path: Path) -> None:
        path = tmp_path / f"x-inception-v3-compat-features-{layer}.pt"
        torch.save(torch.from_numpy(draw(5, width)), path)

        stats = load_stats(path)

        assert list(stats.accumulators) == [Need(INCEPTION, TF1, layer, "feature_bank")]
        assert stats.side.kind == "torch-fidelity features"
        assert stats.num_samples == 5

    def test_a_width_that_the_layer_does_not_have(self, tmp_path: Path) -> None:
        path = tmp_path / "x-inception-v3-compat-stat-fid-2048.pt"
        torch.save({"mu": np.zeros(3), "sigma": np.eye(3)}, path)
        assert "'mu' is 3 wide, and by the file's format it is of a feature 2048 wide" in message(path)


def altered(path: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """The same archive with other members."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def replaced(old: bytes, new: bytes) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        name = next(name for name in members if name.endswith("data.pkl"))
        assert old in members[name]
        members[name] = members[name].replace(old, new)

    return change


class TestTensorsThatReachOutside:
    """A tensor's size, stride and offset come from the file; nothing outside of its values may be read."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        torch.save(torch.from_numpy(draw(4, 3)), tmp_path / "x.pt")
        return tmp_path / "x.pt"

    # In the pickle: offset 0, size (4, 3), stride (3, 1), each number in one byte behind K.
    SIZES = b"K\x00K\x04K\x03\x86q\x06K\x03K\x01\x86"

    def test_the_file_is_read(self, path: Path) -> None:
        altered(path, replaced(self.SIZES, self.SIZES))
        assert load_stats(path).num_samples == 4

    @pytest.mark.parametrize(
        "sizes",
        [
            b"K\x01K\x04K\x03\x86q\x06K\x03K\x01\x86",  # offset
            b"K\x00K\x05K\x03\x86q\x06K\x03K\x01\x86",  # more rows
            b"K\x00K\x04K\x03\x86q\x06K\x04K\x01\x86",  # a longer stride
            b"K\x00K\xffK\xff\x86q\x06K\x00K\x00\x86",  # one value many times
            b"J\xff\xff\xff\xffK\x04K\x03\x86q\x06K\x03K\x01\x86",  # before the values
            b"K\x00K\x04K\x03\x86q\x06K\x03J\xff\xff\xff\xff\x86",  # backwards
            b"K\x00K\x04K\x03\x86q\x06K\x03\x85",  # as many strides as sizes
            b"K\x00X\x01\0\0\0xK\x03\x86q\x06K\x03K\x01\x86",  # no number
        ],
    )
    def test_refused(self, sizes: bytes, path: Path) -> None:
        altered(path, replaced(self.SIZES, sizes))
        assert message(path).startswith(f"statistics file '{path}' holds a pickle that is refused: it builds a tensor")

    def test_values_that_are_missing_or_short(self, path: Path) -> None:
        whole = path.read_bytes()
        altered(path, lambda members: members.pop(next(name for name in members if name.endswith("data/0"))))
        assert "it refers to the values 'data/0', which are not in it" in message(path)
        path.write_bytes(whole)
        altered(path, lambda members: members.update({name: b"1234" for name in members if name.endswith("data/0")}))
        assert "it is damaged: the values '0' are 4 bytes, expected 48" in message(path)

    def test_another_storage(self, path: Path) -> None:
        altered(path, replaced(b"FloatStorage", b"QInt8Storage"))
        assert "it asks for 'torch.QInt8Storage'" in message(path)

    def test_values_of_the_other_byte_order(self, path: Path) -> None:
        def change(members: dict[str, bytes]) -> None:
            for name in members:
                if name.endswith("byteorder"):
                    members[name] = b"big"
                if name.endswith("data/0"):
                    members[name] = np.frombuffer(members[name], "<f4").astype(">f4").tobytes()

        altered(path, change)
        np.testing.assert_array_equal(load_stats(path).get(BANK).rows().numpy(), draw(4, 3))


@both
def test_a_network_is_no_statistics(legacy: bool, tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    save(torch.nn.Linear(2, 3).state_dict(), path, legacy)
    assert message(path).startswith(f"statistics file '{path}': it holds a dict of 'bias', 'weight'; expected a dict")
    save(torch.nn.Linear(2, 3), path, legacy)
    assert message(path).startswith(f"statistics file '{path}' holds a pickle that is refused: it asks for 'torch.nn.")


@pytest.mark.parametrize("fraction", [0.05, 0.3, 0.6, 0.9, 0.99])
@both
def test_a_truncated_file(legacy: bool, fraction: float, tmp_path: Path) -> None:
    path, buffer = tmp_path / "x.pt", io.BytesIO()
    save({"mu": torch.zeros(30), "sigma": torch.eye(30)}, buffer, legacy)
    path.write_bytes(buffer.getvalue()[: int(len(buffer.getvalue()) * fraction)])
    assert message(path).startswith(f"statistics file '{path}'")
    assert any(word in message(path) for word in ("damaged", "cut short"))
