"""``inception_score_official_tf`` against TensorFlow's own operators, and torch-fidelity where the definitions meet."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genmetrics.compat.inception_score_official_tf import get_inception_score, main
from genmetrics.errors import StatisticsError, UsageError
from genmetrics.sources import cifar
from support.cifar_batches import write_cifar10
from support.official_scores import inception_score
from support.peers import import_peer

fidelity = import_peer("torch_fidelity.feature_extractor_inceptionv3")
fidelity_isc = import_peer("torch_fidelity.metric_isc")

COUNT = 13
PASSING = "passing through inception network ..."


class TestTensorFlow:
    @pytest.mark.parametrize("splits", [1, 3])
    def test_function(self, graph_weights, golden, golden_images, capsys, splits):
        """Four images of four sizes, in their order."""
        mean, spread = get_inception_score(golden_images, splits=splits, bs=2)
        theirs = inception_score(golden["logits_unbiased"], splits)
        assert capsys.readouterr().out.splitlines()[0] == PASSING
        # The network of the goldens is sure of nothing, so that scores are near 1: what is above 1 is compared.
        ours = np.array([mean - 1, spread])
        errors = np.abs(ours - [theirs[0] - 1, theirs[1]]) / (theirs[0] - 1)
        print(theirs, errors)
        assert errors.max() < 1e-3 and mean.dtype == spread.dtype == np.float64
        # Told apart: with the bias, and of splits that are cut elsewhere.
        with_bias = inception_score(golden["logits"], splits)
        assert abs((with_bias[0] - 1) / (theirs[0] - 1) - 1) > 3e-3
        other = inception_score(golden["logits_unbiased"], 2)
        assert abs((other[0] - 1) / (theirs[0] - 1) - 1) > 3e-2


class TestTorchFidelity:
    @pytest.fixture(scope="class")
    @staticmethod
    def folder(image_folder) -> Path:
        return image_folder(COUNT, 24, 20, seed=4)

    @pytest.fixture(scope="class")
    @staticmethod
    def logits(folder, inception_weights) -> torch.Tensor:
        network = fidelity.FeatureExtractorInceptionV3(
            "inception-v3-compat", ["logits_unbiased"], feature_extractor_weights_path=str(inception_weights)
        )
        pixels = np.stack([np.asarray(Image.open(file)) for file in sorted(folder.iterdir())])
        with torch.no_grad():
            return network(torch.from_numpy(pixels).permute(0, 3, 1, 2))[0]

    def test_command(self, capsys, folder, logits, published):
        """All 13 images in ten splits, permuted with a seed: torch-fidelity's own, default seed and all."""
        main([str(folder)])
        out, _ = capsys.readouterr()
        assert out.splitlines()[:2] == ["reading images ...", PASSING]
        match = re.fullmatch(r"([0-9.e+-]+) ([0-9.e+-]+)", out.splitlines()[2])
        assert match and len(out.splitlines()) == 3
        theirs = fidelity_isc.isc_features_to_metric(logits, 10, True, 2020)
        print(float(match[1]) / theirs["inception_score_mean"] - 1)
        assert float(match[1]) == pytest.approx(theirs["inception_score_mean"], rel=1e-5)
        assert float(match[2]) == pytest.approx(theirs["inception_score_std"], abs=1e-5)
        assert theirs["inception_score_std"] > 1e-3

    def test_function(self, folder, logits, published, capsys):
        """In their order, as the official function takes them; an array does as well as a list."""
        images = np.stack([np.asarray(Image.open(file)) for file in sorted(folder.iterdir())])
        mean, spread = get_inception_score(images, splits=4)
        theirs = fidelity_isc.isc_features_to_metric(logits, 4, False, 2020)
        assert mean == pytest.approx(theirs["inception_score_mean"], rel=1e-5)
        assert spread == pytest.approx(theirs["inception_score_std"], abs=1e-5)
        permuted = fidelity_isc.isc_features_to_metric(logits, 4, True, 2020)["inception_score_mean"]
        assert abs(mean / permuted - 1) > 1e-4


class TestImages:
    @pytest.mark.parametrize(
        ("images", "message"),
        [
            ([], r"no images were given; expected a list of arrays \(h, w, 3\), 0\.\.255"),
            ([np.full((8, 8, 3), 0.9)] * 2, r"no value of the images is above 0\.9; expected 0\.\.255"),
            ([np.full((8, 8, 3), 99), np.full((8, 8), 99)], r"image 1 is int64 of shape \(8, 8\); expected an array"),
            ([np.full((8, 8, 3), 99), np.full((8, 8, 3), -9.0)], r"image 1 has values in -9\.\.-9"),
        ],
    )
    def test_that_are_none(self, images, message, published, capsys):
        with pytest.raises(UsageError, match=message):
            get_inception_score(images, splits=1)

    def test_a_black_one_first(self, published, capsys):
        """On which the official function's check of the first image fails. One image a split is a score of 1."""
        images = [np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 200, np.uint8)]
        assert get_inception_score(images, splits=2) == pytest.approx((1.0, 0.0), abs=1e-9)

    def test_fewer_than_splits(self):
        """Where the official function gives NaN."""
        with pytest.raises(StatisticsError, match=r"2 image\(s\) cannot fill the splits=10"):
            get_inception_score([np.full((8, 8, 3), 99)] * 2)

    @pytest.mark.parametrize("option", ["splits", "bs"])
    def test_options(self, option):
        with pytest.raises(UsageError, match=f"{option}=0: expected at least 1"):
            get_inception_score([np.full((8, 8, 3), 99)] * 2, **{"splits": 1, option: 0})


class TestCommand:
    def test_too_few(self, capsys, image_folder):
        with pytest.raises(SystemExit) as exited:
            main([str(image_folder(3, 8, 8, seed=0))])
        assert exited.value.code == 2
        assert "has 3 image(s), which cannot fill the 10 splits" in capsys.readouterr().err

    def test_cifar10_without_a_folder(self, capsys, tmp_path, monkeypatch, published, image_folder):
        """From a folder as the official archive has it; the same as of a folder of these images."""
        folder = image_folder(15, 32, 32, seed=8)
        images = np.stack([np.asarray(Image.open(file)) for file in sorted(folder.iterdir())])
        monkeypatch.setenv("GENMETRICS_DATASETS", str(write_cifar10(images, tmp_path / "datasets")))
        monkeypatch.setattr(cifar, "CIFAR10", replace(cifar.CIFAR10, rows={"train": 15, "test": 0}))
        main([])
        of_dataset = capsys.readouterr().out.splitlines()
        main([str(folder)])
        of_folder = capsys.readouterr().out.splitlines()
        assert of_dataset[0] == PASSING and of_folder[1:] == of_dataset
        assert float(of_dataset[1].split()[0]) > 1.001

    def test_cifar10_that_is_not_here(self, capsys, tmp_path, monkeypatch):
        monkeypatch.setenv("GENMETRICS_DATASETS", str(tmp_path))
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit):
            main([])
        out, err = capsys.readouterr()
        assert out == "" and "dataset 'cifar10' is not here" in err

    @pytest.mark.network
    @pytest.mark.slow
    def test_the_published_number(self, capsys, monkeypatch):
        """The script's comment: 11.24 ± 0.15 on CIFAR-10's 50,000 training images, permuted."""
        monkeypatch.delenv("GENMETRICS_WEIGHTS", raising=False)
        main([])
        mean = float(capsys.readouterr().out.splitlines()[-1].split()[0])
        assert mean == pytest.approx(11.24, abs=0.01)
