"""The statistics file of todd and vq.fid as we write it."""

from __future__ import annotations

import io
import pickletools
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from genmetrics.accumulators.moments import Moments
from genmetrics.errors import OutputError, StatisticsError, UsageError
from genmetrics.stats.formats import check_can_hold, save_as
from genmetrics.stats.formats.todd import RECORD, save_todd, write_todd
from genmetrics.stats.stats import Stats
from genmetrics.types import ExtractorRecord, Need, SideRecord
from support.foreign_stats import draw, mean_and_cov, todd_importable, todd_pth

NEED = Need("inception-v3.tf2015", "pil-bicubic-256+torch-bilinear-299", "2048", "moments")


def some_stats(width: int = 2048) -> Stats:
    moments = Moments(width)
    moments.update(torch.from_numpy(draw(8, width)), torch.arange(8))
    records = {NEED.extractor: ExtractorRecord("ab" * 32, True, "exact", {NEED.preprocess: {}}, "torch")}
    return Stats({NEED: moments}, SideRecord("val/", "folder", 8, "cd" * 32), records, 0)


def globals_of(path: Path) -> set[str]:
    with zipfile.ZipFile(path) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("data.pkl")]
        opcodes = pickletools.genops(io.BytesIO(archive.read(name)))
        return {str(argument) for opcode, argument, _ in opcodes if opcode.name == "GLOBAL"}


@pytest.mark.parametrize("own", [True, False])
def test_todd_reads_it(own: bool, tmp_path: Path) -> None:
    path = tmp_path / "imagenet_val.pth"
    mu, sigma = mean_and_cov(draw(8, 2048))
    if own:
        save_todd(some_stats(), path, NEED)
    else:
        write_todd(path, mu, sigma)
    with todd_importable() as statistics:
        loaded = torch.load(path, map_location="cpu", weights_only=False)
    assert type(loaded) is statistics
    assert (loaded.mu.dtype, loaded.sigma.dtype) == (np.float32, np.float64)
    np.testing.assert_allclose(loaded.mu, mu, rtol=1e-6)
    np.testing.assert_allclose(loaded.sigma, sigma, rtol=0, atol=1e-12)
    assert not sys.modules.keys() & {"todd", "todd.tasks"}  # and it was written without


@pytest.mark.parametrize("package", ["numpy.core", "numpy._core"])
def test_names_of_every_numpy(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours says numpy.core, which NumPy 1 has and NumPy 2 keeps for files; what either writes is read."""
    path = tmp_path / "x.pth"
    write_todd(path, *mean_and_cov(draw(8, 2048)))
    names = globals_of(path)
    assert "numpy.core.multiarray _reconstruct" in names
    assert "todd.tasks.image_generation.fid Statistics" in names
    assert not any("_core" in name for name in names)
    # As a NumPy of that generation would have written it.
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data.replace(b"cnumpy.core.multiarray\n", f"c{package}.multiarray\n".encode()))
    assert f"{package}.multiarray _reconstruct" in globals_of(path)
    stats = Stats.load(path)
    assert stats.side.kind == "todd statistics"
    held = stats.get(Need("inception-v3.tf2015", "torch-bilinear-299", "2048", "moments"))
    np.testing.assert_array_equal(held.mean().numpy(), mean_and_cov(draw(8, 2048))[0].astype(np.float64))


def test_a_numpy_that_has_no_newer_name_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A NumPy below 1.26 has no ``numpy._core``."""
    path = tmp_path / "x.pth"
    write_todd(path, *mean_and_cov(draw(4, 16)))
    if not hasattr(np, "_core"):
        pytest.skip("this NumPy is such a one itself")
    for name in [name for name in sys.modules if name.startswith("numpy._core")]:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    with todd_importable():
        assert torch.load(path, weights_only=False).sigma.shape == (16, 16)


def test_what_it_is_of_is_read_back(tmp_path: Path) -> None:
    save_todd(some_stats(), tmp_path / "x.pth", NEED)
    stats = Stats.load(tmp_path / "x.pth")
    assert list(stats.accumulators) == [NEED]
    assert stats.side == SideRecord("val/", "folder", 8, "cd" * 32, stats_file=str(tmp_path / "x.pth"))
    assert stats.extractors == some_stats().extractors


class TestSaveAs:
    """By the ending of the name, as ``genmetrics stats build`` and ``stats convert`` write."""

    def test_the_one_that_can_be_meant(self, tmp_path: Path) -> None:
        stats = some_stats(12)
        tf1 = replace(NEED, preprocess="tf1-bilinear-299")
        both = replace(stats, accumulators={**stats.accumulators, tf1: stats.get(NEED)})
        save_as(both, tmp_path / "x.pth")
        assert list(Stats.load(tmp_path / "x.pth").accumulators) == [NEED]

    def test_several(self, tmp_path: Path) -> None:
        stats = some_stats(12)
        plain = replace(NEED, preprocess="torch-bilinear-299")
        both = replace(stats, accumulators={**stats.accumulators, plain: stats.get(NEED)})
        with pytest.raises(UsageError, match="of 2 kinds"):
            save_as(both, tmp_path / "x.pth")
        save_as(both, tmp_path / "x.pth", plain)
        assert list(Stats.load(tmp_path / "x.pth").accumulators) == [plain]

    @pytest.mark.parametrize(
        "other", [{"preprocess": "tf1-bilinear-299"}, {"feature": "64"}, {"extractor": "efficientnet-lite0.in1k"}]
    )
    def test_what_todd_would_take_for_something_else(self, other: dict[str, str], tmp_path: Path) -> None:
        need = replace(NEED, **other)
        stats = some_stats(12)
        stats = replace(stats, accumulators={need: stats.get(NEED)})
        with pytest.raises(StatisticsError, match=r"holds no mean and covariance as todd .* -m fid_pytorch`"):
            save_as(stats, tmp_path / "x.pth")
        with pytest.raises(StatisticsError, match=r"whoever reads it takes it for .* write '.*x.npz', or choose fid_"):
            save_as(stats, tmp_path / "x.pth", need)
        with pytest.raises(StatisticsError, match="holds no mean and covariance as todd"):
            check_can_hold(tmp_path / "x.pth", [need])
        check_can_hold(tmp_path / "x.pth", [NEED])
        assert not (tmp_path / "x.pth").exists()


def test_equal_statistics_are_equal_files(tmp_path: Path) -> None:
    for name in ("a.pth", "b.pth"):
        save_todd(some_stats(32), tmp_path / name, NEED)
    assert (tmp_path / "a.pth").read_bytes() == (tmp_path / "b.pth").read_bytes()


def test_one_that_todd_saved_again_says_what_todd_says(tmp_path: Path) -> None:
    save_todd(some_stats(), tmp_path / "x.pth", NEED)
    with todd_importable():
        torch.save(torch.load(tmp_path / "x.pth", weights_only=False), tmp_path / "y.pth")
    assert Stats.load(tmp_path / "y.pth").side.kind == "todd statistics"


def test_an_altered_one_is_refused(tmp_path: Path) -> None:
    save_todd(some_stats(), tmp_path / "x.pth", NEED)
    todd_pth(tmp_path / "other.pth", draw(8, 2048, 3))
    with zipfile.ZipFile(tmp_path / "x.pth") as ours, zipfile.ZipFile(tmp_path / "other.pth", "a") as other:
        (record,) = [name for name in ours.namelist() if name.endswith(RECORD)]
        other.writestr(f"other/{RECORD}", ours.read(record))
    with pytest.raises(StatisticsError, match="was altered after it was written"):
        Stats.load(tmp_path / "other.pth")


def test_what_cannot_be_written(tmp_path: Path) -> None:
    mu, sigma = mean_and_cov(draw(4, 8))
    with pytest.raises(UsageError, match=r"expected a name ending in \.pth"):
        write_todd(tmp_path / "x.pt", mu, sigma)
    with pytest.raises(OutputError, match="does not exist; create it first"):
        write_todd(tmp_path / "no/x.pth", mu, sigma)
    with pytest.raises(StatisticsError, match=r"hold no moments of inception-v3.tf2015/2048/tf1-bilinear-299"):
        save_todd(some_stats(8), tmp_path / "x.pth", Need("inception-v3.tf2015", "tf1-bilinear-299", "2048", "moments"))
