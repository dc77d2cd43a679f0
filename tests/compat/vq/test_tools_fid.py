"""``tools/fid.py``: against todd's formula on pytorch-fid's network, its files, options and errors."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

import genmetrics as gm
from compat.vq.conftest import exact_fid, todd_fid, todd_statistics
from genmetrics.compat.vq.cache import find_statistics
from genmetrics.compat.vq.tools.fid import main
from genmetrics.errors import SourceError
from support.foreign_stats import draw, todd_importable, todd_pth

Said = Callable[[], tuple[str, str]]
CPU = ["--strategy", "cpu"]
WEIGHTS = Path("pretrained/pytorch-fid/pt_inception.pth")


@dataclass(frozen=True)
class Ran:
    """Two runs with one work folder: against a cache of ours by its name, and one of vq's by its path."""

    folder: Path
    out: str
    log: str

    @property
    def numbers(self) -> list[float]:
        return [float(line.removeprefix("FID: ")) for line in self.out.splitlines()]


@pytest.fixture(scope="module")
def ran(
    tmp_path_factory: pytest.TempPathFactory,
    vq_home: Path,
    real_statistics: Path,
    todd_features: dict[str, np.ndarray],
) -> Ran:
    folder = tmp_path_factory.mktemp("ran")
    (folder / "pretrained").symlink_to(vq_home / "pretrained")
    (folder / "samples").symlink_to(vq_home / "samples")
    (folder / "jpegs").mkdir()
    for path in (folder / "samples").iterdir():
        (folder / "jpegs" / path.with_suffix(".jpg").name).write_bytes(path.read_bytes())  # known by their content
    (folder / "work").mkdir()
    (folder / "work/fid.txt").write_text("kept\n")
    todd_pth(folder / "theirs.pth", todd_features["real"])
    out, log = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(log):
        patch.chdir(folder)
        patch.setenv("GENMETRICS_CACHE", str(vq_home / "cache"))
        work = ["--work-dir", "work"]
        main(["real", "samples", *CPU, *work, "--override", ".dataloader.num_workers:0"])
        main(["theirs.pth", "jpegs", *CPU, *work, "--override", ".dataset.access_layer.suffix:jpg"])
    return Ran(folder, out.getvalue(), log.getvalue())


class TestAgainstTodd:
    def test_the_number(self, ran: Ran, todd_features: dict[str, np.ndarray]) -> None:
        """Fewer images than dimensions: the Gram matrix of their features is exact. Reached: 5.5e-7."""
        assert ran.numbers == pytest.approx([exact_fid(todd_features["real"], todd_features["gen"])] * 2, rel=1e-5)

    @pytest.mark.slow
    def test_todds_own_root(self, ran: Ran, todd_features: dict[str, np.ndarray]) -> None:
        """SciPy's root of a singular product of 2048x2048 matrices has noise of its own. Reached: 1.7e-6."""
        theirs = todd_fid(*(todd_statistics(todd_features[side]) for side in ("real", "gen")))
        assert ran.numbers[0] == pytest.approx(theirs, rel=1e-3)

    def test_what_it_says_of_a_file_that_vq_wrote(self, ran: Ran) -> None:
        ours, theirs = ran.log.split("tools.fid: reference: 'theirs.pth'")
        note = "its format does not say how images were cropped; taken for vq's Resize(256) and CenterCrop(256)"
        assert note in theirs and note not in ours
        assert "do not say with which weights" in theirs and "do not say with which weights" not in ours

    def test_what_is_written_is_read_by_todd(self, ran: Ran, todd_features: dict[str, np.ndarray]) -> None:
        with todd_importable():
            written = torch.load(ran.folder / "work/fid.pth", weights_only=False)
        mu, sigma = todd_statistics(todd_features["gen"])
        assert np.abs(written.mu - mu).max() < 1e-5 * np.abs(mu).max()
        assert np.abs(written.sigma - sigma).max() < 1e-5 * np.abs(sigma).max()

    def test_the_same_by_our_own_command(
        self, ran: Ran, monkeypatch: pytest.MonkeyPatch, vq_home: Path, real_rows: Path
    ) -> None:
        monkeypatch.setenv("GENMETRICS_CACHE", str(vq_home / "cache"))
        report = gm.evaluate(
            ran.folder / "samples",
            real_rows,
            ["fid_pytorch"],
            crop="pil-bicubic-256",
            alpha="white",
            device="cpu",
            weights=ran.folder / WEIGHTS,
        )
        assert ran.numbers[0] == pytest.approx(report["fid_pytorch.pil-bicubic-256"].value, rel=1e-6)


class TestWorkDir:
    def test_runs_append(self, ran: Ran) -> None:
        first, *lines = (ran.folder / "work/fid.txt").read_text().splitlines()
        assert first == "kept"
        assert len(lines) == 6
        given = [
            "reference='real', data_root='samples', strategy='cpu', override={'.dataloader.num_workers': '0'}",
            "reference='theirs.pth', data_root='jpegs', strategy='cpu', "
            "override={'.dataset.access_layer.suffix': 'jpg'}",
        ]
        for run, text, value in zip((lines[:3], lines[3:]), given, ran.numbers, strict=True):
            assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+", run[0])
            assert run[1] == f"args=Namespace({text}, autocast=False, work_dir=PosixPath('work'))"
            assert run[2] == f"fid={value}"

    def test_what_is_there(self, ran: Ran) -> None:
        assert sorted(path.name for path in (ran.folder / "work").iterdir()) == ["fid.pth", "fid.txt"]
        assert re.fullmatch(r"(FID: \d+\.\d+\n){2}", ran.out)

    def test_one_that_cannot_be_written_is_told_before_an_image_is_read(self, cached: Path, said: Said) -> None:
        Path("file").write_text("")
        with pytest.raises(SystemExit, match="2"):
            main(["real", "samples", *CPU, "--work-dir", "file/work"])
        _, log = said()
        assert "tools.fid: error: cannot write 'file/work/fid.txt'" in log
        assert "images" not in log


def test_autocast(cached: Path, said: Said) -> None:
    """Against a cache that was made without it the network is another, and the two do not compare."""
    with pytest.raises(SystemExit, match="2"):
        main(["real", "samples", *CPU, "--autocast"])
    _, log = said()
    assert "its numbers are not those that are published" in log
    assert "different precision of 'inception-v3.tf2015' (generated bf16, reference exact)" in log
    assert "samples, 4 images" not in log


class TestErrors:
    def test_a_cache_that_is_not_there(self, cached: Path, said: Said) -> None:
        with pytest.raises(SystemExit, match="2"):
            main(["imagenet_val", "samples", *CPU])
        assert (
            "no statistics 'imagenet_val': neither 'pretrained/fid/imagenet_val.pth' nor a file 'imagenet_val' exists "
            in (log := said()[1])
        )
        assert "known: real in 'pretrained/fid'" in log
        assert "-m genmetrics.compat.vq.fid imagenet`" in log

    def test_no_cache_at_all(self, home: Path) -> None:
        with pytest.raises(SourceError, match="'pretrained/fid' holds none"):
            find_statistics("imagenet_val")

    def test_an_empty_folder(self, cached: Path, said: Said) -> None:
        Path("empty").mkdir()
        with pytest.raises(SystemExit, match="2"):
            main(["real", "empty", *CPU])
        assert "folder 'empty' holds no '*.png'; it holds no image at all" in said()[1]

    def test_statistics_of_another_crop(self, home: Path, said: Said) -> None:
        gm.compute_stats("samples", ["fid_pytorch"], device="cpu", weights=WEIGHTS, alpha="white").save("x.safetensors")
        with pytest.raises(SystemExit, match="2"):
            main(["x.safetensors", "samples", *CPU])
        assert "holds features of preprocess 'torch-bilinear-299'" in said()[1]

    def test_statistics_of_another_width(self, home: Path, said: Said) -> None:
        np.savez("x.npz", mu=draw(90, 64).mean(0), sigma=np.cov(draw(90, 64), rowvar=False))
        with pytest.raises(SystemExit, match="2"):
            main(["x.npz", "samples", *CPU])
        assert "holds mean and covariance of 64 dimensions" in said()[1]

    def test_other_weights_than_the_cache_was_made_with(self, cached: Path, said: Said) -> None:
        state = torch.load(WEIGHTS)
        Path("pretrained/pytorch-fid").unlink()
        WEIGHTS.parent.mkdir()
        torch.save({**state, "fc.bias": state["fc.bias"] + 1}, WEIGHTS)
        with pytest.raises(SystemExit, match="2"):
            main(["real", "samples", *CPU])
        _, log = said()
        assert "different weights_sha256 of 'inception-v3.tf2015'" in log
        assert "samples, 4 images" not in log
