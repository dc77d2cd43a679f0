"""``precalc_stats_official_tf`` against torch-fidelity's network, and what its files are good for."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import genmetrics as gm
from genmetrics.compat import fid_official_tf
from genmetrics.compat.precalc_stats_official_tf import main
from support.peers import import_peer

fidelity = import_peer("torch_fidelity.feature_extractor_inceptionv3")

COUNT = 11
LINES = [
    "check for inception model..",
    "ok",
    "load images..",
    f"{COUNT} images found and loaded",
    "create inception graph..",
    "ok",
    "calculate FID stats..",
    "finished",
]


@pytest.fixture(scope="module")
def folder(image_folder):
    return image_folder(COUNT, 40, 24, seed=6)


@pytest.fixture(scope="module")
def features(folder, inception_weights) -> np.ndarray:
    network = fidelity.FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(inception_weights)
    )
    pixels = np.stack([np.asarray(Image.open(file)) for file in sorted(folder.iterdir())])
    with torch.no_grad():
        return network(torch.from_numpy(pixels).permute(0, 3, 1, 2))[0].numpy().astype(np.float64)


@pytest.fixture(scope="module")
def made(folder, random_published, tmp_path_factory) -> tuple[Path, str, str]:
    """The file that comes of a run with another name, and what was printed."""
    target = tmp_path_factory.mktemp("stats") / "stats"
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setenv("GENMETRICS_WEIGHTS", str(random_published))
        patch.setenv("GENMETRICS_ALLOW_UNOFFICIAL_WEIGHTS", "1")
        main([str(folder), str(target)])
    return target.with_suffix(".npz"), out.getvalue(), err.getvalue()


def test_lines_and_file(made, features):
    """1e-5 relative; all images are counted. A name without the ending gets it, as NumPy does it."""
    path, out, err = made
    assert out.splitlines() == LINES
    assert "since NumPy adds that ending" in err
    assert "the weights of 'inception-v3.tf2015' are not the published ones" in err
    with np.load(path) as stored:
        mu, sigma = stored["mu"], stored["sigma"]
    assert mu.dtype == sigma.dtype == np.float64
    for ours, theirs in ((mu, features.mean(axis=0)), (sigma, np.cov(features, rowvar=False))):
        print(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))
        assert np.linalg.norm(ours - theirs) < 1e-5 * np.linalg.norm(theirs)


def test_the_file_is_read_by_the_others(capsys, made, features, tmp_path):
    """By ``fid_official_tf``, by ``genmetrics``, and by anybody who reads ``mu`` and ``sigma`` (test above)."""
    # The distance of Gaussians of one covariance is that of their means.
    np.savez(tmp_path / "shifted.npz", mu=features.mean(axis=0) + 1, sigma=np.cov(features, rowvar=False))
    fid_official_tf.main([str(made[0]), str(tmp_path / "shifted.npz")])
    assert float(capsys.readouterr().out.removeprefix("FID:  ")) == pytest.approx(2048, rel=1e-4)
    stats = gm.Stats.load(made[0])
    ((need, _),) = stats.accumulators.items()
    assert (need.extractor, need.feature, need.preprocess) == ("inception-v3.tf2015", "2048", "tf1-bilinear-299")
    assert stats.num_samples == COUNT


def test_more_than_a_batch(published, tmp_path, image_folder, capsys):
    """Of a hundred images and a few the script drops the few; said before any is read."""
    folder = image_folder(103, 4, 4, seed=0)
    (folder / "00000.png").write_bytes(b"no image")
    with pytest.raises(SystemExit):
        main([str(folder), str(tmp_path / "stats.npz")])
    err = capsys.readouterr().err
    assert "all 103 images are counted; precalc_stats_official_tf.py leaves out the last 3" in err
    assert "00000.png" in err and not (tmp_path / "stats.npz").exists()


def test_errors(capsys, folder, published, tmp_path):
    for arguments, text in (
        ((tmp_path, tmp_path / "stats.npz"), "holds no image"),
        ((folder, tmp_path / "none" / "stats.npz"), "does not exist"),
    ):
        with pytest.raises(SystemExit) as exited:
            main([str(argument) for argument in arguments])
        assert exited.value.code == 2
        assert text in capsys.readouterr().err
