"""todd's names: features on pytorch-fid's network, statistics and distances by todd's formulas, and files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import genmetrics.compat.vq.image_generation as ig
from compat.vq.conftest import Network, todd_fid, todd_statistics, vq_image
from genmetrics.errors import SourceError, StatisticsError, UsageError
from support.foreign_stats import draw, todd_importable, todd_pth
from support.peers import import_peer


@pytest.fixture(scope="module")
def inception(inception_weights: Path) -> ig.Inception:
    return ig.Inception(inception_weights)


@pytest.fixture(scope="module")
def images(vq_home: Path) -> torch.Tensor:
    return torch.stack([vq_image(path) for path in sorted((vq_home / "samples").glob("*.png"))])


class TestInception:
    @pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
    def test_features(
        self, dtype: torch.dtype, inception: ig.Inception, images: torch.Tensor, todd_features: dict[str, np.ndarray]
    ) -> None:
        """Reached: 4.2e-7 of the largest feature."""
        found = inception(images[:2].to(dtype)).numpy()
        theirs = todd_features["gen"][:2]
        assert np.abs(found - theirs).max() < 1e-5 * np.abs(theirs).max()

    def test_floats_between_whole_numbers(
        self, inception: ig.Inception, images: torch.Tensor, todd_network: Network
    ) -> None:
        between = F.interpolate(images[:1].float(), size=(40, 50), mode="bilinear")
        theirs = todd_network(between)
        assert np.abs(inception(between).numpy() - theirs).max() < 1e-5 * np.abs(theirs).max()

    def test_nothing_is_patched(self, inception: ig.Inception, images: torch.Tensor) -> None:
        """todd puts its own pooling into torch.nn.functional while it runs."""
        before = F.avg_pool2d
        inception.register_forward_hook(lambda *_: None)
        inception(images[:1])
        assert F.avg_pool2d is before
        assert not list(inception.parameters())

    def test_weights_where_todd_has_them(self, home: Path) -> None:
        assert ig.Inception()._extractor.weights.path == Path("pretrained/pytorch-fid/pt_inception.pth")

    @pytest.mark.parametrize(
        ("images", "text"),
        [
            (torch.zeros(3, 8, 8), r"images have shape \(3, 8, 8\); expected \(n, 3, h, w\)"),
            (torch.zeros((1, 3, 8, 8), dtype=torch.int64), "images are torch.int64; expected uint8"),
            (torch.full((1, 3, 8, 8), -1.0), "float images run from -1 to -1; expected 0..255. From -1..1"),
            (torch.full((1, 3, 8, 8), 0.5), "which is 0..1; expected 0..255: multiply by 255"),
            (torch.full((1, 3, 8, 8), float("nan")), "float images run from nan to nan"),
        ],
    )
    def test_what_are_no_images(self, images: torch.Tensor, text: str, inception: ig.Inception) -> None:
        with pytest.raises(UsageError, match=text):
            inception(images)


class TestStatistician:
    def test_batches(
        self, inception: ig.Inception, images: torch.Tensor, todd_features: dict[str, np.ndarray], tmp_path: Path
    ) -> None:
        statistician = ig.Statistician(inception)
        assert statistician(images[:3]) is None
        statistician(images[3:].float())
        found = statistician.summarize()
        mu, sigma = todd_statistics(todd_features["gen"])
        assert (found.mu.dtype, found.sigma.dtype) == (mu.dtype, sigma.dtype)
        assert np.abs(found.mu - mu).max() < 1e-5 * np.abs(mu).max()
        assert np.abs(found.sigma - sigma).max() < 1e-5 * np.abs(sigma).max()
        # And to a file and back, by us and by todd.
        ig.save(found, tmp_path / "x.pth")
        np.testing.assert_array_equal(ig.load(tmp_path / "x.pth").mu, found.mu)
        with todd_importable():
            np.testing.assert_array_equal(torch.load(tmp_path / "x.pth", weights_only=False).sigma, found.sigma)

    def test_too_few(self, inception: ig.Inception, images: torch.Tensor) -> None:
        statistician = ig.Statistician(inception)
        with pytest.raises(StatisticsError, match=r"0 image\(s\): a mean and covariance need at least 1"):
            statistician.summarize()


def statistics(seed: int, width: int = 64) -> ig.Statistics:
    features = draw(5 * width, width, seed)
    return ig.Statistics(features.mean(axis=0), np.cov(features, rowvar=False))


class TestFid:
    def test_todds_formula(self) -> None:
        """More samples than dimensions, so that SciPy's root is good. Reached: 1.2e-8."""
        gt, pred = statistics(1), statistics(2)
        assert ig.fid(gt, pred) == pytest.approx(todd_fid(gt, pred), rel=1e-6)
        assert ig.fid(gt, pred, eps=1e-3) == ig.fid(gt, pred)
        peer = import_peer("pytorch_fid.fid_score")
        with pytest.warns(DeprecationWarning, match="disp"):
            assert ig.fid(gt, pred) == pytest.approx(peer.calculate_frechet_distance(*gt, *pred), rel=1e-6)

    def test_singular_products_on_which_todd_fails(self) -> None:
        """todd's retry assigns a pair to its matrix; here there is no product."""
        gt, pred = statistics(1), statistics(2)
        for side, part in ((gt, slice(0, 20)), (pred, slice(30, 50))):
            side.mu[part] = 0
            side.sigma[part] = 0
            side.sigma[:, part] = 0
        apart = ig.fid(gt, pred)
        assert np.isfinite(apart) and apart > 0
        assert ig.fid(gt, gt) == pytest.approx(0, abs=1e-6)

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            (lambda side: side._replace(mu=side.mu[:9]), "^'pred.mu' has 9 values and 'pred.sigma' is of shape"),
            (lambda side: side._replace(sigma=side.sigma * np.nan), "'pred.sigma' holds NaN or infinity"),
            (lambda side: side._replace(mu="mu"), "'pred.mu' is a str"),
            (lambda _: statistics(2, 32), "gt is of 64 features and pred of 32"),
        ],
    )
    def test_what_are_no_statistics(self, change: Callable[[ig.Statistics], ig.Statistics], text: str) -> None:
        with pytest.raises(StatisticsError, match=text):
            ig.fid(statistics(1), change(statistics(2)))
        with pytest.raises(UsageError, match=r"eps -1\.0: expected 0 or more"):
            ig.fid(statistics(1), statistics(2), eps=-1.0)


class TestFiles:
    def test_by_name(self, home: Path) -> None:
        Path("pretrained/fid").mkdir()
        mu, sigma = todd_pth(Path("pretrained/fid/imagenet_val.pth"), draw(8, 2048))
        found = ig.load("imagenet_val")
        np.testing.assert_array_equal(found.mu, mu)
        np.testing.assert_allclose(found.sigma, sigma, rtol=0, atol=1e-14)

    def test_what_is_not_there(self, home: Path) -> None:
        with pytest.raises(SourceError, match="no statistics 'imagenet_val'"):
            ig.load("imagenet_val")
        np.save("features.npy", draw(8, 16))
        with pytest.raises(StatisticsError, match="holds 0 means with a covariance, expected one; it holds: feature"):
            ig.load("features.npy")
