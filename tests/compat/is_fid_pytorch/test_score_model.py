"""``ScoreModel`` against a transcription of the original on torchvision's own network with the same random weights.

Tolerance: 1e-5 relative on features, moments and scores (a spread relative to its mean; the original's softmax is
float32); 1e-6 on the distance, of its exact form on the transcription's features. Reached with torch 2.13.0 on a CPU:
1e-6 on scores and moments, 2e-7 on the distance.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from genmetrics.accumulators.moments import Moments
from genmetrics.compat.is_fid_pytorch import IgnoreLabelDataset, ScoreModel, read_stats_file
from genmetrics.compat.is_fid_pytorch.network import SharedNetwork, devices_to_use
from genmetrics.errors import GenmetricsWarning, StatisticsError, UsageError, WeightsError
from genmetrics.stats.formats.write import write_npz
from genmetrics.stats.stats import Stats
from genmetrics.types import ExtractorRecord, Need, SideRecord
from support import score_model as original

TOLERANCE = 1e-5
COUNT = 13
NAME = "inception-v3.tv-in1k"


@pytest.fixture(scope="module")
def images(smooth_images) -> torch.Tensor:
    """(13, 3, 40, 32) floats in -1..1, between the levels of 8 bits."""
    pixels = torch.from_numpy(smooth_images(COUNT, 40, 32, seed=1)).permute(0, 3, 1, 2).float()
    return (pixels + torch.rand(pixels.shape, generator=torch.Generator().manual_seed(0)).sub(0.5)) / 127.5 - 1


def imagenet_normalised(images: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return ((images + 1) / 2 - mean) / std


@pytest.fixture(scope="module")
def expected(score_weights, images):
    """Features and probabilities by the transcription."""
    return original.outputs(original.network(score_weights, 2), images)


@pytest.fixture(scope="module")
def reference_features(expected) -> np.ndarray:
    """(40, 2048), mixtures of those of the images and others."""
    rng = np.random.RandomState(3)
    return rng.dirichlet(np.ones(COUNT), 40) @ expected[0] + 0.1 * np.abs(rng.standard_normal((40, 2048)))


@pytest.fixture(scope="module")
def reference(reference_features):
    """Mean and covariance of some features."""
    return reference_features.mean(axis=0), np.cov(reference_features, rowvar=False)


def exact_distance(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """By the singular values of the centred samples, which are exact for fewer of them than dimensions.

    And the part of it that these values are.
    """
    factors = [(rows - rows.mean(axis=0)) / (len(rows) - 1) ** 0.5 for rows in (one, other)]
    root = np.linalg.svd(factors[0] @ factors[1].T, compute_uv=False).sum()
    apart = np.square(one.mean(axis=0) - other.mean(axis=0)).sum() + sum(np.square(f).sum() for f in factors)
    return float(apart - 2 * root), float(2 * root / apart)


@pytest.fixture(scope="module")
def model(score_weights) -> ScoreModel:
    return ScoreModel(mode=2, cuda=False)


@pytest.fixture(scope="module")
def whole(model, images, reference):
    """One call with all that there is."""
    with pytest.warns(GenmetricsWarning, match="leaves out the last 3 of 13 images"):
        return model.get_score_image_tensor(images, *reference, n_split=5, batch_size=4, return_stats=True)


def relative(one, other) -> float:
    return float(np.linalg.norm(np.asarray(one) - np.asarray(other)) / np.linalg.norm(other))


class TestNumbers:
    def test_all_of_them(self, whole, expected, reference):
        features, probabilities = expected
        is_mean, is_std, fid, mu, sigma = whole
        theirs = original.inception_score(probabilities, 5)
        errors = {
            "is_mean": relative(is_mean, theirs[0]),
            "is_std": abs(is_std - theirs[1]) / theirs[0],
            "mu": relative(mu, features.mean(axis=0)),
            "sigma": relative(sigma, np.cov(features, rowvar=False)),
        }
        print(errors)
        assert max(errors.values()) <= TOLERANCE
        assert theirs[1] > 1e-3, "splits that differ"
        assert all(figure.dtype == np.float64 for figure in (is_mean, is_std, fid, mu, sigma))

    def test_the_distance(self, whole, expected, reference_features):
        exact, of_roots = exact_distance(reference_features, expected[0])
        print(relative(whole[2], exact))
        assert relative(whole[2], exact) < 1e-6
        assert of_roots > 0.1, "the covariances matter"

    def test_no_split_leaves_out_another(self, expected, images, whole):
        """Negative control: splits of all 13 images, as the official score has them, are another number."""
        probabilities = expected[1]
        bounds = [13 * split // 5 for split in range(6)]
        official = [original.inception_score(probabilities[a:b], 1)[0] for a, b in itertools.pairwise(bounds)]
        assert relative(whole[0], np.mean(official)) > 10 * TOLERANCE

    def test_the_images_are_not_rounded_to_8_bits(self, model, images, whole):
        """Negative control: of rounded ones the features are others."""
        rounded = ((images + 1) * 127.5).round().div(127.5).sub(1)
        mu = model.get_score_image_tensor(rounded, n_split=1, return_stats=True)[3]
        assert relative(mu, whole[3]) > 10 * TOLERANCE

    def test_mode_1(self, score_weights, images, expected, whole):
        """Of the same images normalised otherwise; of images that are not, the features are others."""
        mode_1 = ScoreModel(mode=1, cuda=False)
        theirs = original.outputs(original.network(score_weights, 1), imagenet_normalised(images[:4]))[0]
        mu = mode_1.get_score_image_tensor(imagenet_normalised(images[:4]), n_split=1, return_stats=True)[3]
        assert relative(mu, theirs.mean(axis=0)) <= TOLERANCE
        assert relative(mu, expected[0][:4].mean(axis=0)) <= TOLERANCE
        unlike = mode_1.get_score_image_tensor(images[:4], n_split=1, return_stats=True)[3]
        assert relative(unlike, theirs.mean(axis=0)) > 100 * TOLERANCE

    def test_each_score(self, model, images, expected):
        scores, zero, fid = model.get_score_image_tensor(images, n_split=1, return_each_score=True)
        assert isinstance(scores, list) and zero == 0 and fid == -1
        theirs = original.single_divergences(expected[1])
        # A single image's divergence, as small as 0.06 here, is nearer to float32's noise in the logits than the mean
        # of all is: 1.03e-5 on one processor.
        assert relative(scores, theirs) <= 3 * TOLERANCE
        is_mean, is_std, _ = model.get_score_image_tensor(images, n_split=1)
        assert np.exp(np.mean(scores)) == pytest.approx(is_mean, rel=1e-9) and is_std == 0

    def test_classes_that_cannot_be(self):
        """0 · log 0 is 0, where the original's entropy of a class that underflows is infinite or NaN."""
        from genmetrics.compat.is_fid_pytorch.inception_score import divergences_of_each

        logits = torch.full((4, 5), -2000.0)
        logits[range(4), [0, 1, 0, 1]] = 0.0
        assert divergences_of_each(logits) == pytest.approx([np.log(2)] * 4, rel=1e-12)


class TestForms:
    """What comes back, and what the batch size changes."""

    def test_without_a_reference(self, model, images, whole):
        found = model.get_score_image_tensor(images[:10], n_split=5, batch_size=7)
        assert len(found) == 3 and found[2] == -1
        assert found[:2] == pytest.approx(whole[:2], rel=1e-6)
        assert not model.calc_fid

    def test_fewer_images_than_a_batch(self, model, images):
        """The original refuses up to batch_size of them."""
        assert len(model.get_score_image_tensor(images[:10])) == 3

    def test_stats_and_each_score_together(self, model, images):
        scores, zero, fid, mu, sigma = model.get_score_image_tensor(
            images[:4], n_split=1, return_stats=True, return_each_score=True
        )
        assert len(scores) == 4 and zero == 0 and fid == -1 and mu.shape == (2048,) and sigma.shape == (2048, 2048)

    def test_dataset(self, model, images, whole):
        class Labelled(torch.utils.data.Dataset):
            def __getitem__(self, index):
                return images[index], index

            def __len__(self):
                return len(images)

        dataset = IgnoreLabelDataset(Labelled())
        assert len(dataset) == COUNT and torch.equal(dataset[3], images[3])
        with pytest.warns(GenmetricsWarning, match="leaves out"):
            found = model.get_score_dataset(dataset, n_split=5, batch_size=6, return_stats=True)
        assert found[2] == -1
        for place in (0, 1, 3, 4):
            assert relative(found[place], whole[place]) < 1e-6
        with pytest.raises(UsageError, match=r"a batch that is a list; .*IgnoreLabelDataset\(dataset\)"):
            model.get_score_dataset(Labelled())

    def test_arrays_doubles_and_halves(self, model, images):
        ours = model.get_score_image_tensor(images[:2], n_split=1)
        assert model.get_score_image_tensor(images[:2].double().numpy(), n_split=1) == ours
        assert model.get_score_image_tensor(images[:2].half(), n_split=1) == pytest.approx(ours, rel=1e-3)

    def test_the_example_of_the_readme(self, model):
        """A hundred black tensors there; one split of equal images has the score 1."""
        imgs_nchw = torch.Tensor(np.zeros((2, 3, 299, 299)))
        is_mean, is_std, fid = model.get_score_image_tensor(imgs_nchw, n_split=1)
        assert (is_mean, is_std, fid) == (pytest.approx(1.0, abs=1e-9), 0, -1)


class TestReferences:
    def test_file_which_goes_before_that_of_a_call(
        self, score_weights, images, expected, reference, reference_features, tmp_path
    ):
        """As in the original, and it is said once."""
        path = tmp_path / "fid_stats.npz"
        np.savez_compressed(path, mu=reference[0], sigma=reference[1])
        mu, sigma = read_stats_file(str(path))
        np.testing.assert_array_equal(mu, reference[0])
        np.testing.assert_allclose(sigma, reference[1], rtol=1e-12, atol=1e-15)
        model = ScoreModel(mode=2, stats_file=str(path), cuda=False)
        assert model.calc_fid
        np.testing.assert_array_equal(model.mu1, mu)
        own = model.get_score_image_tensor(images[:2], n_split=1)[2]
        assert own == pytest.approx(exact_distance(reference_features, expected[0][:2])[0], rel=1e-6)
        with pytest.warns(GenmetricsWarning, match=r"mu1 and sigma1 of the call are not used"):
            other = model.get_score_image_tensor(images[:2], mu1=mu + 1, sigma1=sigma, n_split=1)[2]
        assert other == own
        assert model.get_score_image_tensor(images[:2], mu1=mu + 1, sigma1=sigma, n_split=1)[2] == own

    def test_a_file_goes_before_arrays(self, score_weights, reference, tmp_path):
        path = tmp_path / "stats.npz"
        np.savez(path, mu=reference[0], sigma=reference[1])
        with pytest.warns(GenmetricsWarning, match="mu1 and sigma1 are not used"):
            model = ScoreModel(2, False, str(path), reference[0] + 1, reference[1])
        np.testing.assert_array_equal(model.mu1, reference[0])

    def test_half_of_one(self, model, images, reference):
        with pytest.raises(UsageError, match="expected mu1 and sigma1 both as arrays"):
            model.get_score_image_tensor(images, mu1=reference[0])

    @pytest.mark.parametrize(
        ("mu", "sigma", "message"),
        [
            (np.zeros(5), np.eye(5), "a mean of 5 values; ScoreModel's network has 2048 features"),
            (np.zeros(2048), np.eye(5), "'sigma1' is of shape"),
            (np.full(2048, np.nan), np.eye(2048), "NaN"),
        ],
    )
    def test_that_do_not_fit(self, model, images, mu, sigma, message):
        with pytest.raises(StatisticsError, match=message):
            model.get_score_image_tensor(images, mu1=mu, sigma1=sigma)

    def test_of_another_network(self, score_weights, tmp_path):
        need = Need("efficientnet-lite0.in1k", "crop875-bicubic-224", "1280", "moments")
        moments = Moments(1280)
        moments.update(torch.randn(3, 1280), torch.arange(3))
        record = ExtractorRecord("0" * 64, True, "exact", {need.preprocess: {}})
        side = SideRecord("drawn", "array", 3, "0" * 64)
        write_npz(Stats({need: moments}, side, {need.extractor: record}, 0), tmp_path / "lite.npz")
        with pytest.raises(
            StatisticsError, match=r"holds features of efficientnet-lite0\.in1k/1280, and .*torchvision"
        ):
            ScoreModel(mode=2, cuda=False, stats_file=tmp_path / "lite.npz")

    def test_names_and_contents_of_files(self, tmp_path):
        with pytest.raises(StatisticsError, match=r"expected a name that ends in \.npz"):
            read_stats_file("stats.pt")
        np.savez(tmp_path / "other.npz", a=np.zeros(3))
        with pytest.raises(StatisticsError, match="expected 'mu' and 'sigma'"):
            read_stats_file(tmp_path / "other.npz")


class TestRefused:
    @pytest.mark.parametrize("mode", [0, 3])
    def test_modes(self, mode):
        with pytest.raises(UsageError, match=r"expected 1 .* or 2 .*what older versions call 3 is 2"):
            ScoreModel(mode=mode, cuda=False)

    @pytest.mark.parametrize(
        "images",
        [torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.zeros(3, 8, 8), torch.zeros(2, 1, 8, 8)],
        ids=["bytes", "one image", "grey"],
    )
    def test_images(self, model, images):
        with pytest.raises(UsageError, match=r"expected floats of shape \(n, 3, h, w\)"):
            model.get_score_image_tensor(images)

    @pytest.mark.parametrize(("option", "value"), [("batch_size", 0), ("n_split", 0)])
    def test_options(self, model, images, option, value):
        with pytest.raises(UsageError, match=rf"{option}=0: expected at least 1"):
            model.get_score_image_tensor(images, **{option: value})

    def test_fewer_images_than_splits(self, model, images):
        with pytest.raises(StatisticsError, match=r"3 image\(s\) cannot fill the n_split=10 splits"):
            model.get_score_image_tensor(images[:3])

    def test_nan(self, model, images):
        with pytest.raises(StatisticsError, match="NaN or infinite values in images 0 to 1"):
            model.get_score_image_tensor(images[:2] * float("nan"), n_split=1)

    def test_images_of_another_range(self, model, images):
        with pytest.warns(GenmetricsWarning, match=r"not images normalised with mean and deviation 0\.5"):
            model.get_score_image_tensor((images[:1] + 1) * 127.5, n_split=1)

    def test_each_score_of_several_splits(self, model, images):
        with pytest.warns(GenmetricsWarning, match="return_each_score is not done with n_split=2"):
            found = model.get_score_image_tensor(images[:2], n_split=2, return_each_score=True)
        assert found[0] == pytest.approx(1.0)

    def test_a_dataset_that_ends_early(self, model, images):
        class Short(torch.utils.data.IterableDataset):
            def __len__(self):
                return 4

            def __iter__(self):
                yield from images[:2]

        with pytest.raises(UsageError, match=r"gave 2 images, and its length is 4"):
            model.get_score_dataset(Short(), n_split=2)

    def test_no_weights(self, monkeypatch, tmp_path):
        monkeypatch.setenv("GENMETRICS_WEIGHTS", str(tmp_path))
        with pytest.raises(WeightsError, match=r"inception_v3_google-0cc3c7bd\.pth"):
            ScoreModel(mode=2, cuda=False)


class TestDevices:
    def test_cuda_on_a_machine_without(self, score_weights, monkeypatch, capsys):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        ScoreModel(mode=2)
        out, err = capsys.readouterr()
        assert out == "" and "torch finds no CUDA device here; the network runs on the CPU" in err
        assert f"the weights '{score_weights}' are not torchvision's" in err

    def test_a_cpu_on_a_machine_with(self, score_weights, monkeypatch, capsys):
        """The original's line."""
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        ScoreModel(mode=2, cuda=False)
        assert capsys.readouterr().out == "WARNING: You have a CUDA device, so you should probably set cuda=True\n"

    def test_all_that_are_visible(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
        assert devices_to_use(True) == [torch.device("cuda", index) for index in range(3)]
        assert devices_to_use(False) == [torch.device("cpu")]

    def test_several_share_a_batch(self, model, images, score_weights):
        """Two networks on one CPU stand for two GPUs: parts come back whole and in order."""
        parts: list[int] = []

        def prepare(part: torch.Tensor) -> torch.Tensor:
            parts.append(len(part))
            return torch.nn.functional.interpolate(part, (299, 299), mode="bilinear")

        shared = SharedNetwork(NAME, [torch.device("cpu")] * 2, score_weights)
        for count, expected in ((5, [3, 2]), (1, [1])):
            ours = shared(images[:count], prepare, ("2048", "logits"))
            assert parts == expected
            theirs = model._network(images[:count], prepare, ("2048", "logits"))
            parts.clear()
            for name in theirs:
                assert ours[name].shape == theirs[name].shape and relative(ours[name], theirs[name]) < 1e-6

    @pytest.mark.gpu
    def test_gpus(self, score_weights, images, whole, reference):
        """All that are visible, and the same GPU twice: the numbers of the CPU."""
        model = ScoreModel(mode=2, cuda=True, mu1=reference[0], sigma1=reference[1])
        assert len(model._network.devices) == torch.cuda.device_count()
        for _ in range(2):
            with pytest.warns(GenmetricsWarning, match="leaves out"):
                found = model.get_score_image_tensor(images.cuda(), n_split=5, batch_size=4, return_stats=True)
            for one, other in zip(found, whole, strict=True):
                assert relative(one, other) < 1e-4
            model._network = SharedNetwork(NAME, [torch.device("cuda", 0)] * 2, Path(score_weights))
