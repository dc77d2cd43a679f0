from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from genmetrics.errors import StatisticsError
from genmetrics.stats.formats import load_stats
from genmetrics.types import UNKNOWN, ExtractorRecord, Need
from support.foreign_stats import draw, edm2_pkl, mean_and_cov, stylegan_pkl

MOMENTS = Need(UNKNOWN, UNKNOWN, UNKNOWN, "moments")
BANK = Need(UNKNOWN, UNKNOWN, UNKNOWN, "feature_bank")
INCEPTION, TF1 = "inception-v3.tf2015", "tf1-bilinear-299"
DINO = Need("dinov2-vitl14.lvd142m", "torch-bicubic-antialias-224", "cls", "moments")
FID = Need(INCEPTION, TF1, "2048", "moments")
MD5 = "0123456789abcdef0123456789abcdef"


def message(path: Path) -> str:
    with pytest.raises(StatisticsError) as caught:
        load_stats(path)
    return str(caught.value)


class TestStyleGAN:
    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_sums(self, protocol: int, tmp_path: Path) -> None:
        features = draw(100, 12)
        path = tmp_path / f"ffhq256x256-inception-2015-12-05-{MD5}.pkl"
        stylegan_pkl(path, features, protocol=protocol)

        stats = load_stats(path)

        mu, sigma = mean_and_cov(features.astype(np.float64))
        assert list(stats.accumulators) == [MOMENTS]
        assert stats.side.kind == "StyleGAN pickle"
        assert stats.num_samples == stats.get(MOMENTS).num_samples == 100
        np.testing.assert_allclose(stats.get(MOMENTS).mean().numpy(), mu, rtol=1e-13)
        np.testing.assert_allclose(stats.get(MOMENTS).covariance().numpy(), sigma, rtol=1e-11, atol=1e-12)
        assert "the file may be of the detector 'inception-2015-12-05'" in stats.side.notes[0]
        # As StyleGAN's own script has it.
        theirs = np.cov(features.astype(np.float64), rowvar=False, ddof=0)
        factor = float(stats.side.notes[1].rpartition(" ")[2])
        np.testing.assert_allclose(stats.get(MOMENTS).covariance().numpy() * factor, theirs, rtol=1e-8, atol=1e-9)

    def test_features(self, tmp_path: Path) -> None:
        features = draw(40, 12)
        stylegan_pkl(tmp_path / "x.pkl", features, capture_all=True, capture_mean_cov=False)

        stats = load_stats(tmp_path / "x.pkl")

        assert list(stats.accumulators) == [BANK]
        np.testing.assert_array_equal(stats.get(BANK).rows().numpy(), features)
        assert "this name is not of that form" in stats.side.notes[0]

    def test_both(self, tmp_path: Path) -> None:
        stylegan_pkl(tmp_path / "x.pkl", draw(40, 12), capture_all=True)
        assert list(load_stats(tmp_path / "x.pkl").accumulators) == [MOMENTS, BANK]

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"num_items": 1}, "'num_items' is 1; a mean and covariance need at least 2 images"),
            ({"num_items": 2.5}, "'num_items' is a float (2.5), expected a whole number of images"),
            ({"num_items": 41}, "'all_features' holds 40 features, and 'num_items' says 41; it was cut short"),
            ({"raw_cov": np.eye(3)}, "'raw_mean' has 12 values and 'raw_cov' is of shape (3, 3)"),
            ({"raw_cov": None}, "'raw_cov' is a NoneType (None), expected sums of products (d, d)"),
            ({"raw_cov": -np.eye(12)}, "'raw_cov as a covariance' is not positive semidefinite"),
            ({"raw_mean": None, "all_features": None}, "it holds neither 'raw_mean' and 'raw_cov' nor 'all_features'"),
        ],
    )
    def test_what_is_wrong(self, change: dict, expected: str, tmp_path: Path) -> None:
        path = tmp_path / "x.pkl"
        stylegan_pkl(path, draw(40, 12), capture_all=True)
        path.write_bytes(pickle.dumps(pickle.loads(path.read_bytes()) | change))
        assert message(path).startswith(f"statistics file '{path}': ")
        assert expected in message(path)


@pytest.fixture(scope="module")
def edm2(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    path = tmp_path_factory.mktemp("edm2") / "img512.pkl"
    return path, edm2_pkl(path, 1_281_167, fid=draw(8, 2048), fd_dinov2=draw(8, 1024))


class TestEDM2:
    def test_both_networks(self, edm2: tuple[Path, dict]) -> None:
        path, written = edm2
        stats = load_stats(path)

        assert list(stats.accumulators) == [FID, DINO]
        assert stats.side.kind == "EDM2 pickle"
        assert stats.num_samples == 1_281_167
        assert stats.extractors == {
            INCEPTION: ExtractorRecord(None, None, None, {TF1: {}}),
            DINO.extractor: ExtractorRecord(None, None, None, {DINO.preprocess: {}}),
        }
        for need, key in ((FID, "fid"), (DINO, "fd_dinov2")):
            assert stats.get(need).num_samples == 1_281_167
            np.testing.assert_array_equal(stats.get(need).mean().numpy(), written[key]["mu"])
            np.testing.assert_allclose(
                stats.get(need).covariance().numpy(), written[key]["sigma"], rtol=1e-14, atol=1e-14
            )

    def test_one_network(self, tmp_path: Path) -> None:
        edm2_pkl(tmp_path / "x.pkl", fd_dinov2=draw(8, 1024))
        assert list(load_stats(tmp_path / "x.pkl").accumulators) == [DINO]

    @pytest.mark.parametrize(
        ("held", "expected"),
        [
            ({"fid": {"mu": np.zeros(3)}}, "'fid' holds 'mu', expected 'mu' and 'sigma'"),
            ({"fid": {"mu": np.zeros(3), "sigma": np.eye(3)}}, "'fid.mu' is 3 wide, and by the file's format"),
            ({"fid": {"mu": np.zeros(3), "sigma": np.eye(2)}}, "'fid.mu' has 3 values and 'fid.sigma' is of shape"),
            ({"num_images": 1, "fid": {}}, "'num_images' is 1; a mean and covariance need at least 2 images"),
        ],
    )
    def test_what_is_wrong(self, held: dict, expected: str, tmp_path: Path) -> None:
        (tmp_path / "x.pkl").write_bytes(pickle.dumps(held))
        assert expected in message(tmp_path / "x.pkl")


@pytest.mark.parametrize("kind", [dict, tuple, list])
def test_mean_and_covariance_alone(kind: type, tmp_path: Path) -> None:
    mu, sigma = mean_and_cov(draw(60, 12))
    held = {"mu": mu, "sigma": sigma} if kind is dict else kind((mu, sigma))
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(held))

    stats = load_stats(tmp_path / "x.pkl")

    assert stats.side.kind == "mu-sigma pickle"
    np.testing.assert_array_equal(stats.get(MOMENTS).mean().numpy(), mu.astype(np.float64))


def test_something_else(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    for held, expected in (
        ({"mu": np.zeros(2)}, "it holds 'mu' and lacks 'sigma'; expected both"),
        ({"weight": np.zeros(2)}, "it holds a dict of 'weight'; expected a dict of 'mu' and 'sigma'"),
        ("text", "it holds a str; expected a dict"),
        (None, "it holds a NoneType; expected a dict"),
    ):
        path.write_bytes(pickle.dumps(held))
        assert message(path).startswith(f"statistics file '{path}': {expected}")


def test_another_class(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps({"mu": Path("x")}))
    assert message(path).startswith(f"statistics file '{path}' holds a pickle that is refused: it asks for 'pathlib.")
    assert message(path).endswith("save mean and covariance with `numpy.savez(path, mu=mu, sigma=sigma)`")


@pytest.mark.parametrize("size", [2, 30, 400])
def test_a_truncated_file(size: int, tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps({"mu": np.zeros(30), "sigma": np.eye(30)})[:size])
    assert message(path).startswith(f"statistics file '{path}' holds a pickle that is refused: it is damaged (")
