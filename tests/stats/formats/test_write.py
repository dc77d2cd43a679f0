from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.moments import Moments
from genmetrics.errors import OutputError, StatisticsError, UsageError
from genmetrics.stats.formats import is_statistics, load_stats, save_as, write_npz
from genmetrics.stats.stats import Stats
from genmetrics.types import ExtractorRecord, Need, Part, Selection, SideRecord, SkippedImage
from support.foreign_stats import draw, mean_and_cov

FID_64 = Need("inception-v3.tf2015", "tf1-bilinear-299", "64", "moments")
FID_PYTORCH_64 = replace(FID_64, preprocess="torch-bilinear-299")
BANK_64 = replace(FID_64, accumulator="feature_bank")
OTHER = Need("efficientnet-lite0.in1k", "crop875-bicubic-224", "1280", "moments")
RECORD = ExtractorRecord(
    "ab" * 32, True, "exact", {"tf1-bilinear-299": {"size": [299, 299], "resizer": "tf1-bilinear"}}
)
SIDE = SideRecord(
    source="images/ä",
    kind="folder",
    num_samples=40,
    digest="cd" * 32,
    skipped=(SkippedImage("a.png", "cut short"),),
    notes=("3 images have transparency",),
    selection=Selection(40, 50, 7),
    parts=(Part("images/ä", "folder", "ef" * 32, 40, ((0, 40),)),),
)


def fill(kind: type[Moments] | type[FeatureBank], count: int = 40, seed: int = 0) -> Moments | FeatureBank:
    held = kind(12)
    held.update(torch.from_numpy(draw(count, 12, seed)), torch.arange(count) + 5)
    return held


def make(*needs: Need, count: int = 40) -> Stats:
    kinds = {"moments": Moments, "feature_bank": FeatureBank}
    held = {need: fill(kinds[need.accumulator], count, seed) for seed, need in enumerate(needs)}
    records = {need.extractor: RECORD for need in needs}
    return Stats(held, replace(SIDE, num_samples=count), records, seed=2020, versions={"torch": "2.13.0"})


def test_moments_and_their_record(tmp_path: Path) -> None:
    stats = make(FID_64)
    write_npz(stats, tmp_path / "x.npz")

    mu, sigma = mean_and_cov(draw(40, 12).astype(np.float64))
    with np.load(tmp_path / "x.npz", allow_pickle=False) as file:
        assert sorted(file) == ["genmetrics", "mu", "num_samples", "sigma"]
        assert file["mu"].dtype == file["sigma"].dtype == np.float64
        assert file["num_samples"] == 40
        np.testing.assert_allclose(file["mu"], mu, rtol=1e-14)
        np.testing.assert_allclose(file["sigma"], sigma, rtol=1e-12, atol=1e-14)
        assert json.loads(str(file["genmetrics"]))["fingerprint"]["digest"] == SIDE.digest
        held = file["mu"], file["sigma"]
    read = load_stats(tmp_path / "x.npz")
    assert list(read.accumulators) == [FID_64]
    assert read.side == replace(stats.side, stats_file=str(tmp_path / "x.npz"))
    assert {name: asdict(record) for name, record in read.extractors.items()} == {FID_64.extractor: asdict(RECORD)}
    assert (read.seed, read.versions, read.num_samples) == (2020, {"torch": "2.13.0"}, 40)
    moments = read.get(FID_64)
    assert isinstance(moments, Moments) and moments.counted and moments.num_samples == 40
    np.testing.assert_array_equal(moments.mean().numpy(), held[0])
    np.testing.assert_allclose(moments.covariance().numpy(), held[1], rtol=1e-15)


def test_what_was_read_is_written_again_unchanged(tmp_path: Path) -> None:
    write_npz(make(FID_64), tmp_path / "x.npz")
    write_npz(load_stats(tmp_path / "x.npz"), tmp_path / "y.npz")

    assert load_stats(tmp_path / "y.npz").side == replace(SIDE, stats_file=str(tmp_path / "y.npz"))
    with np.load(tmp_path / "x.npz") as x, np.load(tmp_path / "y.npz") as y:
        np.testing.assert_allclose(x["sigma"], y["sigma"], rtol=1e-15)


def test_merging_what_was_written(tmp_path: Path) -> None:
    """The number of images and the parts are kept, so that merging is exact."""
    halves = []
    for number, rows in enumerate((draw(40, 12)[:18], draw(40, 12)[18:])):
        held = Moments(12)
        held.update(torch.from_numpy(rows), torch.arange(len(rows)))
        part = Part("images", "folder", "ef", 40, (((0, 18), (18, 40))[number],))
        side = replace(SIDE, num_samples=len(rows), parts=(part,), selection=None)
        path = tmp_path / f"{number}.npz"
        write_npz(Stats({FID_64: held}, side, {FID_64.extractor: RECORD}, 2020), path)
        halves.append(load_stats(path))

    merged = halves[0].merge(halves[1])

    np.testing.assert_allclose(
        merged.get(FID_64).covariance().numpy(), np.cov(draw(40, 12).astype(np.float64).T), rtol=1e-12, atol=1e-14
    )


def test_what_another_tool_does_not_say_stays_unknown(tmp_path: Path) -> None:
    mu, sigma = mean_and_cov(draw(40, 12))
    np.savez(tmp_path / "x.npz", mu=mu, sigma=sigma)
    stats = load_stats(tmp_path / "x.npz")
    write_npz(stats, tmp_path / "y.npz")

    again = load_stats(tmp_path / "y.npz")

    assert again.accumulators.keys() == stats.accumulators.keys()
    assert again.extractors == stats.extractors
    assert again.side == replace(stats.side, stats_file=str(tmp_path / "y.npz"))
    with np.load(tmp_path / "y.npz") as file:
        assert "num_samples" not in file


def test_moments_of_kept_features(tmp_path: Path) -> None:
    write_npz(make(BANK_64), tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as file:
        np.testing.assert_allclose(file["sigma"], np.cov(draw(40, 12).astype(np.float64).T), rtol=1e-12, atol=1e-14)
    assert list(load_stats(tmp_path / "x.npz").accumulators) == [FID_64]


def test_features(tmp_path: Path) -> None:
    write_npz(make(FID_64, BANK_64), tmp_path / "x_kid.npz")

    with np.load(tmp_path / "x_kid.npz", allow_pickle=False) as file:
        assert file["feats"].dtype == np.float32
        np.testing.assert_array_equal(file["feats"], draw(40, 12, 1))
    read = load_stats(tmp_path / "x_kid.npz")
    assert list(read.accumulators) == [BANK_64]
    assert torch.equal(read.get(BANK_64).indices(), torch.arange(40) + 5)
    assert is_statistics(tmp_path / "x_kid.npz")


class TestWhichOne:
    def test_several(self, tmp_path: Path) -> None:
        stats = make(FID_64, FID_PYTORCH_64, OTHER)
        with pytest.raises(UsageError) as caught:
            write_npz(stats, tmp_path / "x.npz")
        assert str(caught.value) == (
            f"'images/ä' holds mean and covariance of 3 kinds, and '{tmp_path / 'x.npz'}' can hold one: moments of "
            "inception-v3.tf2015/64/tf1-bilinear-299; moments of inception-v3.tf2015/64/torch-bilinear-299; moments "
            "of efficientnet-lite0.in1k/1280/crop875-bicubic-224. Write a .safetensors, which holds them all, and "
            "choose with `genmetrics stats convert IN OUT -m METRIC`"
        )
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("need", [FID_64, FID_PYTORCH_64, OTHER])
    def test_the_chosen(self, need: Need, tmp_path: Path) -> None:
        stats = make(FID_64, FID_PYTORCH_64, OTHER)
        save_as(stats, tmp_path / "x.npz", need)
        read = load_stats(tmp_path / "x.npz")
        assert list(read.accumulators) == [need]
        assert list(read.extractors) == [need.extractor]
        np.testing.assert_allclose(read.get(need).mean(), stats.get(need).mean(), rtol=1e-15)

    def test_features_and_moments_of_one_kind_are_one(self, tmp_path: Path) -> None:
        write_npz(make(BANK_64, FID_64), tmp_path / "x.npz")

    def test_a_need_of_features_serves_for_moments(self, tmp_path: Path) -> None:
        write_npz(make(FID_64, OTHER), tmp_path / "x.npz", BANK_64)
        assert list(load_stats(tmp_path / "x.npz").accumulators) == [FID_64]

    def test_none(self, tmp_path: Path) -> None:
        with pytest.raises(StatisticsError, match=r"holds no features, which '.*x_kid.npz' is to hold; it holds: mom"):
            write_npz(make(FID_64), tmp_path / "x_kid.npz")
        with pytest.raises(
            StatisticsError, match=r"hold no moments of efficientnet-lite0.*; they hold: moments of inc"
        ):
            write_npz(make(FID_64), tmp_path / "x.npz", OTHER)


def test_too_few_images(tmp_path: Path) -> None:
    with pytest.raises(StatisticsError, match="need at least 2"):
        write_npz(make(FID_64, count=1), tmp_path / "x.npz")


class TestSaveAs:
    def test_by_the_ending(self, tmp_path: Path) -> None:
        stats = make(FID_64, OTHER)
        save_as(stats, str(tmp_path / "x.safetensors"))
        assert load_stats(tmp_path / "x.safetensors").accumulators.keys() == {FID_64, OTHER}

    @pytest.mark.parametrize("name", ["x", "x.pkl", "x.npy", "x.npz.gz"])
    def test_another_ending(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(UsageError) as caught:
            save_as(make(FID_64), tmp_path / name)
        assert str(caught.value) == (
            f"statistics file '{tmp_path / name}': expected a name ending in .safetensors (everything, to be read by "
            "genmetrics), .npz (mean and covariance, to be read by pytorch-fid, clean-fid and others), _kid.npz "
            "(features, to be read by clean-fid) or .pth (mean and covariance, to be read by todd and vq.fid)"
        )
        assert list(tmp_path.iterdir()) == []


class TestTheFile:
    @pytest.mark.parametrize("name", ["x", "x.stats", "x.npz"])
    def test_its_name_is_taken_as_it_is(self, name: str, tmp_path: Path) -> None:
        write_npz(make(FID_64), tmp_path / name)
        assert [path.name for path in tmp_path.iterdir()] == [name]

    @pytest.mark.skipif(os.name != "posix", reason="needs permissions as POSIX has them")
    @pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
    def test_permissions(self, umask: int, tmp_path: Path) -> None:
        before = os.umask(umask)
        try:
            write_npz(make(FID_64), tmp_path / "x.npz")
        finally:
            os.umask(before)
        assert (tmp_path / "x.npz").stat().st_mode & 0o777 == 0o666 & ~umask

    def test_an_old_file_stays_if_writing_fails(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "x.npz").write_bytes(b"old")

        def full(file: object, **_: object) -> None:
            file.write(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(np, "savez", full)
        with pytest.raises(OutputError, match=r"cannot write '.*x.npz': No space left on device"):
            write_npz(make(FID_64), tmp_path / "x.npz")
        assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]
        assert (tmp_path / "x.npz").read_bytes() == b"old"


class TestAltered:
    @pytest.fixture
    def arrays(self, tmp_path: Path) -> dict[str, np.ndarray]:
        write_npz(make(FID_64), tmp_path / "x.npz")
        with np.load(tmp_path / "x.npz") as file:
            return dict(file)

    def message(self, tmp_path: Path, arrays: dict[str, np.ndarray]) -> str:
        np.savez(tmp_path / "x.npz", **arrays)
        with pytest.raises(StatisticsError) as caught:
            load_stats(tmp_path / "x.npz")
        return str(caught.value)

    def header(self, arrays: dict[str, np.ndarray], **changes: object) -> dict[str, np.ndarray]:
        text = json.dumps(json.loads(str(arrays["genmetrics"])) | changes)
        return arrays | {"genmetrics": np.array(text)}

    def test_arrays(self, arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
        assert self.message(tmp_path, arrays | {"mu": arrays["mu"] + 1}) == (
            f"statistics file '{tmp_path / 'x.npz'}': it was altered after it was written (its checksum does not fit); "
            "copy it again. To read its mean and covariance without the record, save them alone: "
            "`numpy.savez(path, mu=mu, sigma=sigma)`"
        )

    def test_the_record(self, arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
        assert "it was altered after it was written" in self.message(tmp_path, self.header(arrays, versions={}))

    def test_a_newer_layout(self, arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
        assert "it has layout 2, and this version of genmetrics reads up to 1; install a newer one" in self.message(
            tmp_path, self.header(arrays, schema=2)
        )

    @pytest.mark.parametrize(
        "record", [np.array("text"), np.array("[]"), np.array("{}"), np.array(1.0), np.array('{"schema": 1}')]
    )
    def test_no_record(self, record: np.ndarray, arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
        assert "'genmetrics' is no record of ours (" in self.message(tmp_path, arrays | {"genmetrics": record})
