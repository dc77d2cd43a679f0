from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from genmetrics.errors import StatisticsError
from genmetrics.stats.formats import load_stats
from genmetrics.types import UNKNOWN, Need
from support.foreign_stats import draw, mean_and_cov

MOMENTS = Need(UNKNOWN, UNKNOWN, UNKNOWN, "moments")
MU, SIGMA = mean_and_cov(draw(60, 4).astype(np.float64))
DAMAGED = "it cannot be a covariance. The file is damaged or holds something else; make it again"


def message(tmp_path: Path, **arrays: object) -> str:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(StatisticsError) as caught:
        load_stats(tmp_path / "x.npz")
    start = f"statistics file '{tmp_path / 'x.npz'}': "
    assert str(caught.value).startswith(start)
    return str(caught.value).removeprefix(start)


def spoiled(array: np.ndarray, value: float) -> np.ndarray:
    array = array.copy()
    array.flat[1] = value
    return array


@pytest.mark.parametrize(
    ("mu", "sigma", "expected"),
    [
        (SIGMA, SIGMA, "'mu' is float64 of shape (4, 4), expected a vector (d,) of float16, float32 or float64"),
        (MU, MU, "'sigma' is float64 of shape (4,), expected a matrix (d, d) of float16, float32 or float64"),
        (MU, SIGMA[:3, :3], "'mu' has 4 values and 'sigma' is of shape (3, 3), expected (4, 4)"),
        (MU, SIGMA[:3], "'mu' has 4 values and 'sigma' is of shape (3, 4), expected (4, 4)"),
        (MU[:0], SIGMA, "'mu' is float64 of shape (0,), expected a vector (d,) of float16, float32 or float64"),
        (MU.astype(int), SIGMA, "'mu' is int64 of shape (4,), expected a vector (d,) of float16, float32 or float64"),
        (np.array(["a"]), SIGMA, "'mu' is <U1 of shape (1,), expected a vector (d,) of float16, float32 or float64"),
        (
            MU,
            SIGMA.astype(complex),
            "'sigma' is complex128 of shape (4, 4): complex numbers, which an imaginary matrix root leaves; expected "
            "a matrix (d, d), real",
        ),
        (
            MU.astype(object),
            SIGMA,
            "'mu' is object of shape (4,): pickled Python objects, which are never loaded; save mean and covariance "
            "as arrays of floats",
        ),
        (spoiled(MU, np.nan), SIGMA, "'mu' holds NaN or infinity in 1 of its 4 values; make the file again"),
        (MU, spoiled(SIGMA, np.inf), "'sigma' holds NaN or infinity in 1 of its 16 values; make the file again"),
    ],
)
def test_what_is_no_mean_and_covariance(mu: np.ndarray, sigma: np.ndarray, expected: str, tmp_path: Path) -> None:
    assert message(tmp_path, mu=mu, sigma=sigma) == expected


def test_a_matrix_that_is_not_symmetric(tmp_path: Path) -> None:
    skewed = np.diag([4.0, 1, 1, 1])
    skewed[0, 1] = 1e-3
    assert message(tmp_path, mu=MU, sigma=skewed) == (
        f"'sigma' is not symmetric (by 0.001, where its largest value is 4): {DAMAGED}"
    )
    skewed[0, 1] = 3e-5
    np.savez(tmp_path / "x.npz", mu=MU, sigma=skewed)
    covariance = load_stats(tmp_path / "x.npz").get(MOMENTS).covariance()
    assert covariance[0, 1] == covariance[1, 0] == 1.5e-5


def test_a_matrix_that_is_not_positive_semidefinite(tmp_path: Path) -> None:
    assert message(tmp_path, mu=MU, sigma=np.diag([4.0, 1, 1, -1e-3])) == (
        f"'sigma' is not positive semidefinite (its eigenvalues run from -0.001 to 4): {DAMAGED}"
    )
    # Also where no value on the diagonal is negative.
    assert "its eigenvalues run from -1 to 3" in message(tmp_path, mu=MU[:2], sigma=np.array([[1.0, 2], [2, 1]]))
    assert "its eigenvalues run from -1 to -1" in message(tmp_path, mu=MU, sigma=-np.eye(4))


@pytest.mark.parametrize(
    "sigma", [np.zeros((4, 4)), np.diag([1.0, 0, 0, 0]), np.diag([4.0, 1, 1, -1e-6]), np.diag([1.0, -9e-6, -9e-6, 0])]
)
def test_what_rounding_leaves_of_a_singular_one(sigma: np.ndarray, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", mu=MU, sigma=sigma)
    assert load_stats(tmp_path / "x.npz").get(MOMENTS).width == 4


def test_a_singular_one_in_float32(tmp_path: Path) -> None:
    """Ten times fewer samples than dimensions, computed and kept in float32."""
    features = torch.from_numpy(draw(40, 400))
    np.savez(tmp_path / "x.npz", mu=features.mean(0).numpy(), sigma=torch.cov(features.T).numpy())
    assert load_stats(tmp_path / "x.npz").get(MOMENTS).width == 400


def test_eigenvalues_are_only_computed_where_a_factor_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "x.npz", mu=MU, sigma=SIGMA)
    monkeypatch.setattr(torch.linalg, "eigvalsh", None)
    load_stats(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", mu=MU, sigma=-SIGMA)
    with pytest.raises(TypeError):
        load_stats(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        (draw(1, 4), "'feats' holds the features of 1 image; statistics need at least 2"),
        (draw(5, 4)[0], "'feats' is float32 of shape (4,), expected features (n, d) of float16, float32 or float64"),
        (draw(5, 4)[:0], "'feats' is float32 of shape (0, 4), expected features (n, d) of float16, float32 or float64"),
        (spoiled(draw(5, 4), np.nan), "'feats' holds NaN or infinity in 1 of its 20 values; make the file again"),
        (
            np.full((5, 4), 1e300),
            "'feats' holds values beyond float32, in which features are kept; make the file again",
        ),
    ],
)
def test_what_is_no_features(features: np.ndarray, expected: str, tmp_path: Path) -> None:
    assert message(tmp_path, feats=features) == expected
