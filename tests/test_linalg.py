"""Matrix functions against SciPy's and against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import linalg

from genmetrics import linalg as ours
from genmetrics.errors import StatisticsError
from genmetrics.linalg import (
    centred_row_factor,
    covariance_factor,
    nuclear_norm_by_squares,
    nuclear_norm_of_product,
    transport_factor,
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


SIZE = 300
# Singular values of a product, all of which their squares tell.
TOLD = {
    "flat": np.ones(SIZE),
    "falling as 1/i": 1 / np.arange(1, SIZE + 1),
    "falling as 1/i^2": np.arange(1, SIZE + 1) ** -2.0,
    "six decades": np.geomspace(1, 1e-6, SIZE),
    "few and many": np.where(np.arange(SIZE) < 5, 1.0, 1e-5),
}
# Of these the squares of the smallest are below the rounding errors of the largest.
NOT_TOLD = {
    "thirteen decades": np.geomspace(1, 1e-13, SIZE),
    "half the rank": np.where(np.arange(SIZE) < SIZE // 2, 1.0, 0.0),
    "far below": np.where(np.arange(SIZE) < 3, 1.0, 1e-9),
    "nothing": np.zeros(SIZE),
}


def of_singular_values(values: np.ndarray, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.standard_normal((SIZE, SIZE)))[0] for _ in range(2))
    return torch.from_numpy(left * values @ right)


@pytest.mark.parametrize("name", TOLD)
def test_squares_of_singular_values_err_within_their_bound(name: str) -> None:
    """Reached: a hundredth of the bound."""
    found = nuclear_norm_by_squares(of_singular_values(TOLD[name]))
    error = abs(found.value - TOLD[name].sum())
    print(f"{name}: error {error:.1e}, bound {found.error:.1e}, of {found.value:.3g}")
    assert error <= found.error <= 1e-7 * found.value
    # Negative control: the bound is no wider than it must be for a flat spectrum.
    if name == "flat":
        assert found.error < 1e-10


@pytest.mark.parametrize("name", NOT_TOLD)
def test_squares_of_singular_values_say_where_they_do_not_tell(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "_SMALL", 0)
    matrix = of_singular_values(NOT_TOLD[name])
    assert nuclear_norm_by_squares(matrix).error == np.inf
    identity = torch.eye(SIZE, dtype=torch.float64)
    value = nuclear_norm_of_product(matrix, identity, allowed=lambda norm: 1e-7 * norm)
    assert value == pytest.approx(NOT_TOLD[name].sum(), rel=1e-12, abs=1e-12)


def test_roots_of_eigenvalues_alone_would_be_noticed() -> None:
    """Negative control: without the singular values to fall back on, rounding errors of zeros become figures."""
    worst = 0.0
    for values in NOT_TOLD.values():
        matrix = of_singular_values(values)
        roots = torch.linalg.eigvalsh(matrix @ matrix.T).clamp(min=0).sqrt()
        worst = max(worst, abs(float(roots.sum()) - values.sum()) / max(values.sum(), 1.0))
    assert worst > 1e-8


@pytest.mark.parametrize(("n", "m"), [(80, 80), (60, 130), (130, 60)])
def test_the_zero_of_centred_rows_is_taken_out(n: int, m: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(n)
    a, b = (centred_row_factor(torch.from_numpy(rng.standard_normal((count, 400)) + 3)) for count in (n, m))
    expected = float(torch.linalg.svdvals(a @ b.T).sum())
    found = nuclear_norm_by_squares(a @ b.T)
    assert abs(found.value - expected) <= found.error < 1e-10
    # The rank is n - 1: one more of its zeros, of a copied row, cannot be told.
    copied = torch.cat((a, a[:1] - a[1:2], a[1:2] - a[:1]))
    assert nuclear_norm_by_squares(copied @ b.T).error == np.inf or n >= m
    monkeypatch.setattr(ours, "_BLOCK", 7)
    assert nuclear_norm_by_squares(a @ b.T).value == pytest.approx(expected, rel=1e-13)


def test_squares_are_taken_only_where_their_error_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    real = torch.linalg.svdvals
    monkeypatch.setattr(torch.linalg, "svdvals", lambda matrix: calls.append(1) or real(matrix))
    matrix, identity = of_singular_values(TOLD["six decades"]), torch.eye(SIZE, dtype=torch.float64)
    nuclear_norm_of_product(matrix, identity, allowed=lambda norm: 1e-7 * norm)
    assert calls == [1], "small ones are always exact"
    monkeypatch.setattr(ours, "_SMALL", 0)
    nuclear_norm_of_product(matrix, identity, allowed=lambda norm: 1e-7 * norm)
    assert calls == [1]
    for strict in (lambda norm: 1e-14 * norm, lambda norm: -1.0, lambda norm: float("nan"), None):
        nuclear_norm_of_product(matrix, identity, allowed=strict)
    assert calls == [1] * 5


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


@pytest.mark.parametrize("seed", range(3))
def test_transport_takes_one_covariance_to_the_other(seed: int) -> None:
    a, b = random_spd(2 * seed), random_spd(2 * seed + 1)
    factor = transport_factor(factor_of(a), factor_of(b)).numpy()
    found = factor.T @ factor
    root = linalg.sqrtm(a).real
    inverse = np.linalg.inv(root)
    np.testing.assert_allclose(found, inverse @ linalg.sqrtm(root @ b @ root).real @ inverse, rtol=0, atol=1e-10)
    np.testing.assert_allclose(found @ a @ found, b, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("p", "q"), [(4, 30), (30, 4), (4, 6), (6, 4), (12, 12)])
@pytest.mark.parametrize("spread", [1.0, 1e-4, 1e-9])
def test_transport_below_full_rank_is_that_within_the_range(p: int, q: int, spread: float) -> None:
    """Between rows a of any size a·T·aᵀ is (a·B·aᵀ)^½, of which singular values tell; no inverse is in that."""
    rng = np.random.default_rng(p)
    a, b = rng.standard_normal((p, WIDTH)), rng.standard_normal((q, WIDTH))
    left, sizes, right = np.linalg.svd(a, full_matrices=False)
    a = (left * sizes * np.geomspace(1, spread, len(sizes))) @ right
    vectors, values, _ = np.linalg.svd(a @ b.T, full_matrices=False)
    moved = transport_factor(torch.from_numpy(a), torch.from_numpy(b)).numpy() @ a.T
    expected = (vectors * values) @ vectors.T
    np.testing.assert_allclose(moved.T @ moved, expected, rtol=0, atol=2e-8 * values.max())


def test_transport_from_nothing_is_nothing() -> None:
    zero, one = torch.zeros((3, 5), dtype=torch.float64), torch.eye(5, dtype=torch.float64)
    assert transport_factor(zero, one).shape == (0, 5)
    assert transport_factor(one, zero).shape == (0, 5)
