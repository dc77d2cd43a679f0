from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genmetrics.errors import StatisticsError
from genmetrics.stats.formats import load_stats
from genmetrics.types import UNKNOWN, Need
from support.foreign_stats import draw, gan_metrics_npy, mean_and_cov

MOMENTS = Need(UNKNOWN, UNKNOWN, UNKNOWN, "moments")
BANK = Need(UNKNOWN, UNKNOWN, UNKNOWN, "feature_bank")


def test_a_dict_of_mean_and_covariance(tmp_path: Path) -> None:
    features = draw(60, 12)
    gan_metrics_npy(tmp_path / "x.npy", features)

    stats = load_stats(tmp_path / "x.npy")

    mu, sigma = mean_and_cov(features.astype(np.float64))
    assert stats.side.kind == "mu-sigma npy"
    assert stats.num_samples is None
    np.testing.assert_array_equal(stats.get(MOMENTS).mean().numpy(), mu)
    np.testing.assert_allclose(stats.get(MOMENTS).covariance().numpy(), sigma, rtol=0, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_features(dtype: type, tmp_path: Path) -> None:
    """CMMD keeps CLIP's embeddings so."""
    features = np.asfortranarray(draw(20, 6).astype(dtype))
    np.save(tmp_path / "ref_embs.npy", features)

    stats = load_stats(tmp_path / "ref_embs.npy")

    assert stats.side.kind == "features npy"
    assert stats.num_samples == 20
    np.testing.assert_array_equal(stats.get(BANK).rows().numpy(), features.astype(np.float32))


def message(path: Path) -> str:
    with pytest.raises(StatisticsError) as caught:
        load_stats(path)
    return str(caught.value)


def test_something_else(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    expected = "expected floats (n, d), the features of n images, or a dict of 'mu' and 'sigma'"
    np.save(path, np.zeros((2, 4, 4, 3), np.uint8))
    assert message(path) == (
        f"statistics file '{path}': it holds images, uint8 of shape (2, 4, 4, 3), and no statistics; give it as a "
        f"source, 'npy:{path}'"
    )
    np.save(path, np.zeros(4))
    assert message(path) == f"statistics file '{path}': it holds float64 of shape (4,); {expected}"
    np.save(path, np.zeros((4, 4), int))
    assert message(path) == f"statistics file '{path}': it holds int64 of shape (4, 4); {expected}"
    np.save(path, np.array([None, 1], dtype=object), allow_pickle=True)
    assert message(path) == (
        f"statistics file '{path}': it holds Python objects of shape (2,), which are never loaded; {expected}"
    )
    np.save(path, {"mean": 1}, allow_pickle=True)
    assert message(path).startswith(f"statistics file '{path}': it holds a dict of 'mean'; expected a dict of 'mu'")


@pytest.mark.parametrize("size", [7, 40, 200])
def test_a_truncated_file(size: int, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((9, 9)))
    path.write_bytes(path.read_bytes()[:size])
    assert message(path).startswith(f"statistics file '{path}' is damaged or cut short (")
