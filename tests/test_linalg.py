"""Matrix functions against SciPy's and against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import linalg

from genmetrics.errors import StatisticsError
from genmetrics.linalg import (
    centred_row_factor,
    covariance_factor,
    nuclear_norm_of_product,
    polynomial_kernel,
    unit_rows,
)

WIDTH = 12


def random_spd(seed: int, width: int = WIDTH) -> np.ndarray:
    """A symmetric positive definite matrix of condition number 100."""
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.standard_normal((width, width)))
    return (basis * np.geomspace(0.1, 10.0, width)) @ basis.T


def factor_of(matrix: np.ndarray) -> torch.Tensor:
    return covariance_factor(torch.from_numpy(matrix))


@pytest.mark.parametrize("seed", range(4))
def test_nuclear_norm_is_the_trace_of_the_matrix_square_root(seed: int) -> None:
    a, b = random_spd(2 * seed), random_spd(2 * seed + 1)
    expected = np.trace(linalg.sqrtm(a @ b)).real
    assert nuclear_norm_of_product(factor_of(a), factor_of(b)) == pytest.approx(expected, rel=1e-11)


def test_nuclear_norm_is_not_the_trace_of_the_product() -> None:
    """Negative control: without the square root the number is another."""
    a, b = random_spd(0), random_spd(1)
    assert nuclear_norm_of_product(factor_of(a), factor_of(b)) != pytest.approx(np.trace(a @ b), rel=1e-2)


def test_nuclear_norm_of_a_matrix_with_itself_is_its_trace() -> None:
    matrix = random_spd(3)
    assert nuclear_norm_of_product(factor_of(matrix), factor_of(matrix)) == pytest.approx(np.trace(matrix), rel=1e-12)


def test_nuclear_norm_of_commuting_matrices() -> None:
    """Diagonal covariances: Σ √(aᵢ·bᵢ)."""
    a, b = np.array([1.0, 4.0, 9.0]), np.array([16.0, 25.0, 0.0])
    value = nuclear_norm_of_product(factor_of(np.diag(a)), factor_of(np.diag(b)))
    assert value == pytest.approx(4.0 + 10.0, rel=1e-12)


@pytest.mark.parametrize(("p", "q"), [(2, 5), (5, 2), (1, 1), (3, WIDTH)])
def test_nuclear_norm_takes_factors_of_any_number_of_rows(p: int, q: int) -> None:
    rng = np.random.default_rng(p * 10 + q)
    a, b = rng.standard_normal((p, WIDTH)), rng.standard_normal((q, WIDTH))
    # tr √(AB) from the eigenvalues of AB, of which at most min(p, q) are not zero.
    eigenvalues = np.linalg.eigvals((a.T @ a) @ (b.T @ b))
    expected = np.sort(np.sqrt(np.abs(eigenvalues)))[::-1][: min(p, q)].sum()
    assert nuclear_norm_of_product(torch.from_numpy(a), torch.from_numpy(b)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("rank", [WIDTH, WIDTH - 1, 3, 1])
def test_covariance_factor_gives_the_covariance_back(rank: int) -> None:
    rng = np.random.default_rng(rank)
    rows = rng.standard_normal((rank, WIDTH))
    sigma = rows.T @ rows
    factor = factor_of(sigma).numpy()
    np.testing.assert_allclose(factor.T @ factor, sigma, rtol=0, atol=1e-12 * np.trace(sigma))


def test_covariance_factor_of_zero_is_zero() -> None:
    factor = covariance_factor(torch.zeros((4, 4), dtype=torch.float64))
    assert torch.equal(factor.T @ factor, torch.zeros((4, 4), dtype=torch.float64))


def test_covariance_factor_takes_rounding_noise_for_zero() -> None:
    sigma = np.diag([1.0, 2.0, -1e-17])
    factor = factor_of(sigma).numpy()
    assert np.isfinite(factor).all()
    np.testing.assert_allclose(factor.T @ factor, np.diag([1.0, 2.0, 0.0]), rtol=0, atol=1e-15)


@pytest.mark.parametrize("count", [2, 5, 40])
def test_centred_row_factor_is_a_factor_of_numpys_covariance(count: int) -> None:
    rows = np.random.default_rng(count).normal(3.0, 2.0, (count, WIDTH))
    factor = centred_row_factor(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(factor.T @ factor, np.cov(rows.T), rtol=0, atol=1e-13 * np.cov(rows.T).trace())


def test_frechet_identity_for_scaled_covariances() -> None:
    """tr(A + s²A - 2(A·s²A)^½) = (1 - s)²·tr A."""
    matrix, scale = random_spd(5), 1.7
    overlap = nuclear_norm_of_product(factor_of(matrix), factor_of(scale**2 * matrix))
    distance = np.trace(matrix) * (1 + scale**2) - 2 * overlap
    assert distance == pytest.approx((1 - scale) ** 2 * np.trace(matrix), rel=1e-10)


def test_polynomial_kernel_by_hand() -> None:
    x = torch.tensor([[1.0, 2.0], [0.0, -1.0]], dtype=torch.float64)
    y = torch.tensor([[3.0, 1.0]], dtype=torch.float64)
    # (5/2 + 1)³ and (-1/2 + 1)³
    kernel = polynomial_kernel(x, y, degree=3, gamma=0.5, coef0=1.0)
    assert kernel.tolist() == [[3.5**3], [0.5**3]]
    assert x.tolist() == [[1.0, 2.0], [0.0, -1.0]]


def test_unit_rows_of_any_size() -> None:
    rows = torch.tensor([[3.0, 4.0], [3e-200, -4e-200], [3e200, 0.0]], dtype=torch.float64)
    expected = torch.tensor([[0.6, 0.8], [0.6, -0.8], [1.0, 0.0]], dtype=torch.float64)
    for zeros in ("refuse", "keep"):
        torch.testing.assert_close(unit_rows(rows, zeros=zeros), expected, rtol=1e-15, atol=0)


def test_unit_rows_of_zeros_are_kept_or_refused() -> None:
    rows = torch.tensor([[0.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    assert unit_rows(rows, zeros="keep").tolist() == [[0.0, 0.0], [0.0, 1.0]]
    with pytest.raises(StatisticsError, match="1 of 2 rows are all zero: they have no direction"):
        unit_rows(rows, zeros="refuse")
