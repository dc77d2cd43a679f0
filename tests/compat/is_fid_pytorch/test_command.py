"""The command's lines and files, against the transcription; each example of the original's README."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genmetrics.compat.is_fid_pytorch.command import main
from genmetrics.compat.is_fid_pytorch.pass_over_images import _OF_FOLDERS
from genmetrics.engine.options import Options
from genmetrics.preprocess.spec import get_preprocess
from genmetrics.sources import cifar
from support import score_model as original
from support.cifar_batches import write_cifar10

COUNT = 23
NOTE = "is_fid_pytorch: note: these scores are of torchvision's network, for a quick look"
FLOAT = r"([0-9.e+-]+)"


@pytest.fixture(scope="module")
def folders(image_folder) -> tuple[Path, Path]:
    """23 images in one, 11 in the other."""
    return image_folder(COUNT, 24, 40, seed=1), image_folder(11, 40, 40, seed=2, warmth=1.0)


@pytest.fixture(scope="module")
def expected(folders, score_weights) -> list[tuple[np.ndarray, np.ndarray]]:
    """Features and probabilities of both."""
    net = original.network(score_weights, 2)
    return [original.outputs(net, original.folder_tensor(sorted(folder.iterdir()))) for folder in folders]


def seeded(probabilities: np.ndarray) -> tuple[float, float]:
    """The score in the order of the default seed, where the original's has none."""
    order = np.random.RandomState(Options.seed).permutation(len(probabilities))
    return original.inception_score(probabilities[order], 10)


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """By singular values of the centred samples, which are exact for fewer of them than dimensions."""
    first, second = ((rows - rows.mean(axis=0)) / (len(rows) - 1) ** 0.5 for rows in (one, other))
    root = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    shift = np.square(one.mean(axis=0) - other.mean(axis=0)).sum()
    return float(shift + np.square(first).sum() + np.square(second).sum() - 2 * root)


def lines(capsys, *arguments: object) -> tuple[list[str], str]:
    main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return out.splitlines(), err


def floats(line: str, pattern: str) -> list[float]:
    match = re.fullmatch(pattern, line)
    assert match, line
    return [float(value) for value in match.groups()]


def refused(capsys, *arguments: object) -> str:
    with pytest.raises(SystemExit) as exited:
        main([str(argument) for argument in arguments])
    assert exited.value.code == 2
    out, err = capsys.readouterr()
    assert "FID" not in out
    return err


def test_folder_and_its_statistics(capsys, folders, expected, score_weights, tmp_path):
    """``--path foldername/ --save-stats-path …``: the score, and a file that anybody reads."""
    target = tmp_path / "fid_stats_folder.npz"
    out, err = lines(capsys, "--path", folders[0], "--save-stats-path", target)
    assert out[0] == f"Reading Images from {folders[0]} ..."
    ours, theirs = floats(out[1], f"{FLOAT} {FLOAT}"), seeded(expected[0][1])
    print([(one - other) / theirs[0] for one, other in zip(ours, theirs, strict=True)])
    assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-6)
    assert abs(original.inception_score(expected[0][1], 10)[0] / theirs[0] - 1) > 1e-3, "another order tells"
    assert out[2:] == [f"Stats save to {target}"]
    assert NOTE in err and "leaves out the last 3 of 23 images" in err
    assert "the weights of 'inception-v3.tv-in1k' are not the published ones" in err
    with np.load(target) as stored:
        features = expected[0][0]
        assert stored["mu"].dtype == stored["sigma"].dtype == np.float64
        np.testing.assert_allclose(stored["mu"], features.mean(axis=0), rtol=1e-4, atol=1e-6)
        assert np.linalg.norm(stored["sigma"] - np.cov(features, rowvar=False)) < 1e-5 * np.linalg.norm(stored["sigma"])


def test_the_other_preprocessing_is_told_apart(folders, expected, score_weights):
    """Negative control: with the resize of tensors the features of the folder's images are others."""
    pixels = np.stack([np.asarray(Image.open(file)) for file in sorted(folders[0].iterdir())[:2]])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    net = original.network(score_weights, 2)
    ours = original.outputs(net, get_preprocess(_OF_FOLDERS)(images))[0]
    wrong = original.outputs(net, get_preprocess("torch-bilinear-299")(images))[0]
    theirs = expected[0][0][:2]
    assert np.linalg.norm(ours - theirs) < 1e-5 * np.linalg.norm(theirs)
    assert np.linalg.norm(wrong - theirs) > 1e-3 * np.linalg.norm(theirs)


def test_two_folders(capsys, folders, expected, score_weights, tmp_path):
    """``--path foldername1/ --fid foldername2/``; and the statistics of the first, which the original forgets."""
    target = tmp_path / "first"
    out, err = lines(capsys, "--path", folders[0], "--fid", folders[1], "--save-stats-path", target)
    assert out[:4] == [
        f"Reading Images from {folders[0]} ...",
        f"Reading Images from {folders[1]} ...",
        "Calculating 1st stat ...",
        "Calculating 2nd stat ...",
    ]
    for line, name, (_, probabilities) in zip(out[4:6], ("1st", "2nd"), expected, strict=True):
        ours, theirs = floats(line, f"{name} IS score = {FLOAT} , {FLOAT}"), seeded(probabilities)
        print([(one - other) / theirs[0] for one, other in zip(ours, theirs, strict=True)])
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-6)
    exact = distance(expected[0][0], expected[1][0])
    (value,) = floats(out[6], f"FID = {FLOAT}")
    print(value / exact - 1)
    assert value == pytest.approx(exact, rel=1e-5)
    assert out[7:] == [f"Stats save to {target}"]
    assert f"the statistics go to '{target}.npz', since NumPy adds that ending" in err
    assert "no more images" in err
    with np.load(f"{target}.npz") as stored:
        np.testing.assert_allclose(stored["mu"], expected[0][0].mean(axis=0), rtol=1e-4, atol=1e-6)


class TestStatistics:
    """npz on one side or both."""

    @pytest.fixture(scope="class")
    @staticmethod
    def saved(expected, tmp_path_factory) -> Path:
        """Of the first folder, as the original writes it."""
        path = tmp_path_factory.mktemp("stats") / "fid_stats_cifar10_train.npz"
        features = expected[0][0]
        np.savez_compressed(path, mu=features.mean(axis=0), sigma=np.cov(features, rowvar=False))
        return path

    @pytest.mark.parametrize("turned", [False, True])
    def test_with_a_folder(self, capsys, folders, expected, saved, score_weights, turned):
        """``--path foldername/ --fid x.npz``; the other way round the original fails."""
        sides = (saved, folders[1]) if turned else (folders[1], saved)
        out, err = lines(capsys, "--path", sides[0], "--fid", sides[1])
        assert out[0] == f"Reading Images from {folders[1]} ..." and len(out) == 3
        assert floats(out[1], f"{FLOAT} {FLOAT}") == pytest.approx(seeded(expected[1][1]), rel=1e-5, abs=1e-6)
        exact = distance(expected[0][0], expected[1][0])
        assert floats(out[2], f"FID = {FLOAT}") == pytest.approx([exact], rel=1e-5)
        assert "the file does not say which network it is of" in err

    def test_both(self, capsys, tmp_path, monkeypatch):
        """``--path x.npz --fid x.npz``, of any width; no network is needed."""
        monkeypatch.setenv("GENMETRICS_WEIGHTS", str(tmp_path))
        paths = [tmp_path / "one.npz", tmp_path / "other.npz"]
        features = [np.random.RandomState(seed).standard_normal((90, 40)) for seed in (0, 1)]
        for path, rows in zip(paths, features, strict=True):
            np.savez(path, mu=rows.mean(axis=0), sigma=np.cov(rows, rowvar=False))
        out, _ = lines(capsys, "--path", paths[0], "--fid", paths[1])
        assert len(out) == 1
        moments = [figure for rows in features for figure in (rows.mean(axis=0), np.cov(rows, rowvar=False))]
        assert floats(out[0], f"FID = {FLOAT}") == pytest.approx([original.frechet(*moments)], rel=1e-6)

    def test_of_other_widths(self, capsys, tmp_path, saved, folders):
        np.savez(tmp_path / "narrow.npz", mu=np.zeros(4), sigma=np.eye(4))
        err = refused(capsys, "--path", folders[0], "--fid", tmp_path / "narrow.npz")
        assert "is of 4 features and the images' are 2048" in err
        err = refused(capsys, "--path", saved, "--fid", tmp_path / "narrow.npz")
        assert "is of 2048 features" in err and "of 4; expected two sets of one network" in err

    def test_alone(self, capsys, saved):
        err = refused(capsys, "--path", saved)
        assert err.startswith("is_fid_pytorch: error: --path ") and "add --fid" in err

    def test_nothing_to_save(self, capsys, saved, tmp_path):
        err = refused(capsys, "--path", saved, "--fid", saved, "--save-stats-path", tmp_path / "x.npz")
        assert "both sides are statistics already" in err

    def test_of_other_weights(self, capsys, folders, saved, score_weights, tmp_path, monkeypatch):
        """What our files say is checked."""
        from genmetrics.stats.formats.write import write_npz
        from genmetrics.stats.stats import Stats
        from genmetrics.types import Need

        target = tmp_path / "ours.npz"
        loaded = Stats.load(saved)
        ((_, moments),) = loaded.accumulators.items()
        for name, message in (
            ("inception-v3.tf2015", "holds features of inception-v3.tf2015/2048"),
            ("inception-v3.tv-in1k", "have different weights of 'inception-v3.tv-in1k'"),
        ):
            need = Need(name, "torch-bilinear-299", "2048", "moments")
            record = replace(next(iter(loaded.extractors.values())), weights_sha256="0" * 64)
            write_npz(replace(loaded, accumulators={need: moments}, extractors={name: record}), target)
            assert message in refused(capsys, "--path", folders[0], "--fid", target)


class TestCifar:
    """Without ``--path``: on a folder of batches made here, as the official archive has them."""

    @pytest.fixture(scope="class")
    @staticmethod
    def images(smooth_images) -> np.ndarray:
        return smooth_images(20, 32, 32, seed=5)

    @pytest.fixture
    def batches(self, images, tmp_path, monkeypatch) -> Path:
        """The folder that holds the dataset's, of four images a batch."""
        folder = write_cifar10(images, tmp_path / "datasets")
        monkeypatch.setattr(cifar, "CIFAR10", replace(cifar.CIFAR10, rows={"train": 20, "test": 4}))
        return folder

    @pytest.fixture(scope="class")
    @staticmethod
    def expected(images, score_weights) -> tuple[np.ndarray, np.ndarray]:
        tensor = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
        return original.outputs(original.network(score_weights, 2), tensor)

    def test_score_and_statistics(self, capsys, batches, expected, score_weights, tmp_path, monkeypatch):
        """In the order of the dataset, as the original has it."""
        monkeypatch.setenv("GENMETRICS_DATASETS", str(batches))
        target = tmp_path / "fid_stats_cifar10_train.npz"
        out, err = lines(capsys, "--save-stats-path", target)
        assert out[0] == "Calculating IS score on CIFAR 10..." and out[2:] == [f"Stats save to {target}"]
        theirs = original.inception_score(expected[1], 10)
        assert floats(out[1], f"{FLOAT} {FLOAT}") == pytest.approx(theirs, rel=1e-5, abs=1e-6)
        assert seeded(expected[1]) != pytest.approx(theirs, rel=1e-4), "another order tells"
        assert NOTE in err
        with np.load(target) as stored:
            np.testing.assert_allclose(stored["mu"], expected[0].mean(axis=0), rtol=1e-4, atol=1e-6)

    def test_where_the_original_keeps_it_and_compared(
        self, capsys, batches, folders, expected, score_weights, tmp_path, monkeypatch
    ):
        """``../data/cifar10``. The original takes no notice of --fid where there is no --path."""
        here = tmp_path / "metrics"
        here.mkdir()
        (tmp_path / "data").mkdir()
        shutil.move(batches, tmp_path / "data" / "cifar10")
        monkeypatch.chdir(here)
        stats = tmp_path / "stats.npz"
        features = expected[0][:10]
        np.savez(stats, mu=features.mean(axis=0), sigma=np.cov(features, rowvar=False))
        out, err = lines(capsys, "--fid", stats)
        assert out[0] == "Calculating IS score on CIFAR 10..." and len(out) == 3
        assert floats(out[2], f"FID = {FLOAT}") == pytest.approx([distance(expected[0], features)], rel=1e-4)
        assert "CIFAR-10 is read from '../data/cifar10/cifar-10-batches-py'" in err

    @pytest.mark.network
    @pytest.mark.slow
    def test_the_published_number(self, monkeypatch, capsys, tmp_path):
        """The original's README: 9.67278 ± 0.14992, of torchvision's weights and all 50,000 images."""
        monkeypatch.delenv("GENMETRICS_WEIGHTS", raising=False)
        out, _ = lines(capsys)
        mean, spread = floats(out[1], f"{FLOAT} {FLOAT}")
        assert mean == pytest.approx(9.67278, abs=2e-3) and spread == pytest.approx(0.14992, abs=2e-3)

    def test_not_here_and_not_to_be_had(self, capsys, score_weights, tmp_path, monkeypatch):
        monkeypatch.setenv("GENMETRICS_DATASETS", str(tmp_path))
        monkeypatch.chdir(tmp_path)
        assert "dataset 'cifar10' is not here" in refused(capsys)


class TestFolders:
    def test_what_is_read_and_what_is_not(self, capsys, image_folder, score_weights, tmp_path):
        made = sorted(image_folder(12, 16, 16, seed=0).iterdir())
        folder = tmp_path / "images"
        (folder / "deeper").mkdir(parents=True)
        for number, file in enumerate(made[:10]):
            Image.open(file).save(folder / f"{number}{('.png', '.PNG', '.bmp', '.jpg')[number % 4]}")
        Image.open(made[10]).save(folder / "other.webp")
        shutil.copy(made[11], folder / "deeper")
        (folder / "notes.txt").write_text("no image")
        out, err = lines(capsys, "--path", folder)
        assert len(out) == 2
        assert "left out, as is_fid_pytorch.py does, is 1 image of other types than .bmp .jpeg .jpg .png" in err
        assert "other.webp" in err and "what is in 1 subfolder: deeper" in err
        assert "counted, though is_fid_pytorch.py misses them, are 3 images: 1.PNG, 5.PNG, 9.PNG" in err

    def test_an_image_that_cannot_be_read(self, capsys, image_folder, score_weights):
        folder = image_folder(10, 16, 16, seed=0)
        (folder / "broken.png").write_bytes(b"no image")
        assert "broken.png" in refused(capsys, "--path", folder)

    def test_too_few_images(self, capsys, image_folder):
        folder = image_folder(4, 8, 8, seed=0)
        assert "has 4 image(s), which cannot fill the 10 splits" in refused(capsys, "--path", folder)

    @pytest.mark.parametrize("name", ["empty", "missing", "file.png"])
    def test_no_images(self, capsys, tmp_path, name):
        (tmp_path / "empty").mkdir()
        (tmp_path / "file.png").write_bytes(b"")
        assert f"{tmp_path / name}" in refused(capsys, "--path", tmp_path / name)

    def test_a_target_that_cannot_be(self, capsys, folders, tmp_path):
        err = refused(capsys, "--path", folders[0], "--save-stats-path", tmp_path / "none" / "x.npz")
        assert "does not exist" in err


def test_as_a_module(folders, tmp_path):
    """``python -m``, in a process of its own; without weights it ends with a line and 2."""
    environment = {**os.environ, "GENMETRICS_WEIGHTS": str(tmp_path), "TORCH_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "genmetrics.compat.is_fid_pytorch", "--path", folders[0]],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 2
    assert "is_fid_pytorch: error: extractor 'inception-v3.tv-in1k' has no weights here" in done.stderr


@pytest.mark.slow
def test_two_processes(capsys, folders, score_weights):
    """Under torchrun the images are shared out, and the lines are those of one process, printed once."""
    arguments = ["--path", str(folders[0]), "--fid", str(folders[1])]
    alone, _ = lines(capsys, *arguments)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m"]
    done = subprocess.run(
        [*launcher, "genmetrics.compat.is_fid_pytorch", *arguments], capture_output=True, text=True, check=True
    )
    together = done.stdout.splitlines()
    assert len(together) == len(alone) and together[:4] == alone[:4]
    for one, other in zip(alone[4:], together[4:], strict=True):
        numbers = [[float(number) for number in re.findall(r"[0-9][0-9.e+-]*(?= |$)", line)] for line in (one, other)]
        assert numbers[1] == pytest.approx(numbers[0], rel=1e-6)
    assert done.stderr.count(NOTE) == 1
