"""``vq.fid``: against vq and todd, transcribed; its options, errors and files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from compat.vq.conftest import Network, todd_rgb, todd_statistics, vq_image
from genmetrics.compat.vq.fid import main
from genmetrics.sources.crop import parse_crop
from genmetrics.sources.decode import decode_file
from genmetrics.stats.stats import Stats
from genmetrics.types import Need
from support.foreign_stats import todd_importable

Said = Callable[[], tuple[str, str]]
CPU = ["--strategy", "cpu"]
NEED = Need("inception-v3.tf2015", "pil-bicubic-256+torch-bilinear-299", "2048", "moments")
CACHE = Path("pretrained/fid")


def in_todd(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A file as todd loads it."""
    with todd_importable() as statistics:
        loaded = torch.load(path, weights_only=False)
        assert type(loaded) is statistics
        return loaded.mu, loaded.sigma


class TestAgainstTodd:
    def test_the_pixels(self, vq_home: Path) -> None:
        """Equal to the bit, transparency included."""
        crop = parse_crop("pil-bicubic-256")
        for path in sorted((vq_home / "data/real").glob("*.png")):
            found = crop(decode_file(path, "white").pixels)
            np.testing.assert_array_equal(found, vq_image(path).permute(1, 2, 0).numpy(), path.name)

    def test_transparency_is_white_in_png_as_there_and_here_in_all_files(self, tmp_path: Path) -> None:
        pixels = np.zeros((8, 8, 4), dtype=np.uint8)
        for suffix, theirs in ((".png", 255), (".webp", 0)):
            Image.fromarray(pixels).save(tmp_path / f"x{suffix}", lossless=True, exact=True)
            with Image.open(tmp_path / f"x{suffix}") as image:
                assert np.asarray(todd_rgb(image)).max() == theirs
            assert decode_file(tmp_path / f"x{suffix}", "white").pixels.min() == 255

    def test_the_statistics(self, home: Path, todd_features: dict[str, np.ndarray], said: Said) -> None:
        """Features agree to float32's rounding; reached: 2.9e-7 relative on the mean, 6.5e-7 on the covariance."""
        main(["data/real", *CPU])
        mu, sigma = in_todd(CACHE / "real.pth")
        theirs_mu, theirs_sigma = todd_statistics(todd_features["real"])
        assert (mu.dtype, sigma.dtype) == (theirs_mu.dtype, theirs_sigma.dtype) == (np.float32, np.float64)
        assert np.abs(mu - theirs_mu).max() < 1e-5 * np.abs(theirs_mu).max()
        assert np.abs(sigma - theirs_sigma).max() < 1e-5 * np.abs(theirs_sigma).max()
        out, log = said()
        assert out == ""
        assert "vq.fid: weights: 'pretrained/pytorch-fid/pt_inception.pth'" in log
        assert "vq.fid: pretrained/fid/real.pth: statistics of 7 images of data/real" in log

    def test_another_resize_is_told_apart(self, vq_home: Path, todd_network: Network) -> None:
        """The negative control of the tolerances: bilinear in place of bicubic moves features a thousand times more."""
        path = vq_home / "data/real/000.png"
        bilinear = parse_crop("pil-bilinear-256")(decode_file(path, "white").pixels)
        ours = todd_network(torch.from_numpy(bilinear.copy()).permute(2, 0, 1)[None])
        theirs = todd_network(vq_image(path)[None])
        assert np.abs(ours - theirs).max() > 1e-3 * np.abs(theirs).max()


class TestFiles:
    def test_what_they_are_of_is_read_back(self, real_statistics: Path) -> None:
        stats = Stats.load(real_statistics)
        assert list(stats.accumulators) == [NEED]
        assert (stats.num_samples, stats.side.alpha, stats.side.num_transparent) == (7, "white", 1)
        assert stats.extractors["inception-v3.tf2015"].precision == "exact"

    def test_a_second_run_writes_the_same_bytes(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GENMETRICS_CACHE", "off")
        written = []
        for _ in range(2):
            main(["few", *CPU])
            written.append((CACHE / "few.pth").read_bytes())
        assert written[0] == written[1]
        assert sorted(path.name for path in CACHE.iterdir()) == ["few.pth"]

    def test_a_failed_run_leaves_what_stood_there(self, home: Path, said: Said) -> None:
        bad = home / "bad"
        bad.mkdir()
        (bad / "x.png").write_bytes(b"no image")
        CACHE.mkdir()
        (CACHE / "bad.pth").write_bytes(b"before")
        with pytest.raises(SystemExit, match="2"):
            main(["bad", *CPU])
        assert (CACHE / "bad.pth").read_bytes() == b"before"
        assert "x.png" in said()[1]


class TestErrors:
    def test_an_unknown_dataset(self, home: Path, said: Said) -> None:
        with pytest.raises(SystemExit, match="2"):
            main(["imagenett", *CPU])
        assert "vq.fid: error: unknown dataset 'imagenett', and no path either" in (log := said()[1])
        assert "did you mean 'imagenet'?" in log

    def test_an_empty_folder(self, home: Path, said: Said) -> None:
        (home / "empty").mkdir()
        with pytest.raises(SystemExit, match="2"):
            main(["empty", *CPU])
        assert "folder 'empty' holds no image" in said()[1]


class TestOptions:
    def test_override(self, home: Path, said: Said) -> None:
        given = [
            ".dataloader.batch_size:2",
            "dataloader.num_workers::0",
            "--override",
            ".dataset.fid_path=elsewhere/x.pth",
        ]
        main(["samples", *CPU, "--override", *given])
        main(["samples", *CPU])
        here, there = in_todd(CACHE / "samples.pth"), in_todd(Path("elsewhere/x.pth"))
        assert np.abs(here[0] - there[0]).max() < 1e-6
        assert "elsewhere/x.pth: statistics of 4 images" in said()[1]

    def test_override_of_what_is_not_there(self, home: Path, said: Said) -> None:
        with pytest.raises(SystemExit, match="2"):
            main(["samples", *CPU, "--override", ".dataset.image_size:384"])
        assert (
            "no such key here; known: .dataloader.batch_size, .dataloader.num_workers, .dataset.fid_path." in said()[1]
        )

    def test_autocast_is_bfloat16_and_says_so(self, home: Path, said: Said) -> None:
        main(["few", *CPU, "--autocast"])
        assert "its numbers are not those that are published" in said()[1]
        assert Stats.load(CACHE / "few.pth").extractors["inception-v3.tf2015"].precision == "bf16"

    @pytest.mark.parametrize(
        ("given", "text"),
        [("ddp", "processes share the images in any case, under auto_torchrun"), ("gpu", "expected cuda, cuda:N, cpu")],
    )
    def test_an_unknown_strategy(self, given: str, text: str, said: Said) -> None:
        with pytest.raises(SystemExit, match="2"):
            main(["samples", "--strategy", given])
        assert text in said()[1]

    @pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
    def test_a_strategy_that_is_not_there(self, home: Path, said: Said) -> None:
        with pytest.raises(SystemExit, match="2"):
            main(["samples", "--strategy", "cuda"])
        assert "device 'cuda' was asked for, but" in said()[1]
        main(["few"])  # without it the CPU does
        assert (CACHE / "few.pth").is_file()

    def test_the_names_of_the_command(self, home: Path, monkeypatch: pytest.MonkeyPatch, said: Said) -> None:
        from genmetrics.compat.vq.__main__ import main as command

        monkeypatch.setattr(sys, "argv", ["vq", "fid", "nothing"])
        with pytest.raises(SystemExit, match="2"):
            command()
        assert "vq.fid: error: unknown dataset 'nothing'" in said()[1]
        monkeypatch.setattr(sys, "argv", ["vq", "--help"])
        with pytest.raises(SystemExit, match="0"):
            command()
        assert "tools.fidelity" in said()[0]
