"""Fetching published statistics: from a server on this machine, and what is said where there is none."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from genmetrics.compat.cleanfid import downloads_helper, features, fid, statistics
from genmetrics.errors import StatisticsError

NAME = "cifar10_clean_train_32"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a server in place of clean-fid's."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            if not self.path.endswith("cut.npz"):
                super().do_GET()
                return
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"PK\3\4")

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        monkeypatch.setattr(statistics, "STATS_URL", f"http://127.0.0.1:{running.server_port}/")
        # The tests' proxy stands for a machine without a network; urllib reads it each time.
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.delenv(name)
        yield folder
        running.shutdown()


@pytest.fixture
def fetched(stats_folder: Path) -> Path:
    """Where what is fetched goes: our folder, though there is a package's."""
    return stats_folder.parents[1] / "ours" / "clean-fid"


@pytest.fixture
def published(server: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    feats = rng.gamma(1.0, 0.4, (30, 16)).astype(np.float32)
    mu, sigma = feats.mean(axis=0), np.cov(feats, rowvar=False)
    np.savez(server / f"{NAME}.npz", mu=mu, sigma=sigma)
    np.savez(server / f"{NAME}_kid.npz", feats=feats)
    return mu, sigma, feats


def test_published_statistics(published, stats_folder, fetched, capsys):
    mu, sigma = features.get_reference_statistics("CIFAR10", 32, split="train")
    assert capsys.readouterr().out == f"downloading statistics to {fetched / NAME}.npz\n"
    assert np.array_equal(mu, published[0]) and np.array_equal(sigma, published[1])
    feats = features.get_reference_statistics("cifar10", 32, split="train", metric="KID", seed=1)
    assert np.array_equal(feats, published[2])
    assert sorted(path.name for path in fetched.iterdir()) == [f"{NAME}.npz", f"{NAME}_kid.npz"]
    assert list(stats_folder.iterdir()) == []
    capsys.readouterr()
    features.get_reference_statistics("cifar10", "32", split="train")
    assert capsys.readouterr().out == "", "what is here is not fetched again"


def test_they_are_compared_with(published, stats_folder, folders, small_network):
    options = {"dataset_name": "cifar10", "dataset_res": 32, "dataset_split": "train", "device": "cpu"}
    with pytest.warns(UserWarning, match="a network of yours"):
        found = fid.compute_fid(
            folders[0], **options, custom_feat_extractor=small_network, num_workers=0, verbose=False
        )
    feats = fid.get_folder_features(folders[0], small_network, num_workers=0, device="cpu", verbose=False)
    assert found == pytest.approx(fid.fid_from_feats(feats, published[2]), rel=1e-5)


def test_a_name_that_is_not_published(server, fetched):
    """The defaults of clean-fid are of no published file."""
    with pytest.raises(StatisticsError) as caught:
        fid.get_reference_statistics("FFHQ", 1024, split="train")
    text = str(caught.value)
    assert "'ffhq_clean_train_1024.npz' are in none of" in text and "not found" in text.lower()
    assert "published of ffhq: dataset_res 1024, 256; dataset_split trainval, trainval70k" in text
    with pytest.raises(StatisticsError, match="published sets: cifar10, ffhq, lsun_church"):
        fid.get_reference_statistics("celeba", 64, split="train")
    assert list(fetched.iterdir()) == []


def test_without_a_network(fetched):
    with pytest.raises(StatisticsError) as caught:
        fid.get_reference_statistics("cifar10", 32, split="train")
    text = str(caught.value)
    assert "https://www.cs.cmu.edu/~clean-fid/stats/cifar10_clean_train_32.npz failed" in text
    for way_out in (f"put the file into '{fetched}'", "give their folder as fdir2", "fid.make_custom_stats"):
        assert way_out in text


@pytest.mark.parametrize("content", [b"<html>not found</html>", b"PK\3\4 cut"])
def test_what_is_no_statistics_is_not_kept(server, fetched, content):
    (server / f"{NAME}.npz").write_bytes(content)
    with pytest.raises(StatisticsError, match="what came is no file of statistics"):
        fid.get_reference_statistics("cifar10", 32, split="train")
    assert list(fetched.iterdir()) == []


def test_a_connection_that_breaks_off(server, tmp_path):
    url = f"{statistics.STATS_URL}cut.npz"
    with pytest.raises(StatisticsError, match="ended after 4 of 1000 bytes"):
        downloads_helper.check_download_url(tmp_path / "into", url)
    assert list((tmp_path / "into").iterdir()) == []


def test_check_download_url(published, tmp_path, capsys):
    url = f"{statistics.STATS_URL}/{NAME}.npz"
    path = downloads_helper.check_download_url(str(tmp_path / "into"), url)
    assert path == str(tmp_path / "into" / f"{NAME}.npz") and Path(path).is_file()
    capsys.readouterr()
    assert downloads_helper.check_download_url(tmp_path / "into", url) == path
    assert capsys.readouterr().out == ""


def test_what_clean_fid_fetched_serves(published, server, stats_folder, capsys):
    for file in server.iterdir():
        file.rename(stats_folder / file.name)
    mu, _ = features.get_reference_statistics("cifar10", 32, split="train")
    assert np.array_equal(mu, published[0]) and capsys.readouterr().out == ""
