"""The Fréchet distance against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import linalg

from genmetrics import linalg as matrices
from genmetrics.accumulators.moments import Moments
from genmetrics.errors import StatisticsError
from genmetrics.metrics import METRICS
from genmetrics.metrics.frechet import FrechetDistance, frechet_distance
from genmetrics.stats.stats import Stats
from genmetrics.types import SideRecord

WIDTH = 6
FID = METRICS.get("fid")


def moments_of(rows: np.ndarray) -> Moments:
    moments = Moments(rows.shape[1])
    moments.update(torch.from_numpy(rows), torch.arange(len(rows)))
    return moments


def sample(count: int, seed: int = 0, width: int = WIDTH) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, width)) @ rng.standard_normal((width, width)) + rng.standard_normal(width)


def with_covariance(count: int, mean: np.ndarray, sigma: np.ndarray, seed: int) -> np.ndarray:
    """Rows whose sample mean and sample covariance are exactly the given ones."""
    rows = np.random.default_rng(seed).standard_normal((count, len(mean)))
    rows -= rows.mean(axis=0)
    rows = rows @ np.linalg.inv(np.linalg.cholesky(np.cov(rows.T))).T
    return rows @ np.linalg.cholesky(sigma).T + mean


def textbook(gen: np.ndarray, ref: np.ndarray) -> float:
    """The formula as printed, with SciPy's matrix square root."""
    shift = gen.mean(axis=0) - ref.mean(axis=0)
    a, b = np.cov(gen.T), np.cov(ref.T)
    return shift @ shift + np.trace(a + b - 2 * linalg.sqrtm(a @ b).real)


def figures(gen: np.ndarray, ref: np.ndarray) -> float:
    return frechet_distance(moments_of(gen), moments_of(ref))


def test_shifted_mean_alone() -> None:
    rows, shift = sample(50), np.arange(WIDTH) / 2
    assert figures(rows + shift, rows) == pytest.approx(shift @ shift, rel=1e-11)


def test_scaled_spread_alone() -> None:
    rows = sample(50)
    centred = rows - rows.mean(axis=0)
    trace = np.trace(np.cov(rows.T))
    assert figures(3 * centred, centred) == pytest.approx((3 - 1) ** 2 * trace, rel=1e-11)


def test_independent_dimensions() -> None:
    """Diagonal covariances: |μ₁ − μ₂|² + Σ (σ₁ − σ₂)²."""
    mean_gen, mean_ref = np.array([1.0, 0.0, -2.0]), np.array([0.0, 0.5, -2.0])
    std_gen, std_ref = np.array([1.0, 2.0, 0.5]), np.array([3.0, 0.1, 0.5])
    gen = with_covariance(40, mean_gen, np.diag(std_gen**2), seed=1)
    ref = with_covariance(30, mean_ref, np.diag(std_ref**2), seed=2)
    expected = ((mean_gen - mean_ref) ** 2).sum() + ((std_gen - std_ref) ** 2).sum()
    assert figures(gen, ref) == pytest.approx(expected, rel=1e-11)


def test_one_dimension() -> None:
    gen, ref = np.array([[1.0], [3.0]]), np.array([[0.0], [0.0], [3.0]])
    # Means 2 and 1, sample variances 2 and 3.
    assert figures(gen, ref) == pytest.approx(1 + (math.sqrt(2) - math.sqrt(3)) ** 2, rel=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_textbook_formula_at_full_rank(seed: int) -> None:
    gen, ref = sample(60, seed), sample(45, seed + 100)
    assert figures(gen, ref) == pytest.approx(textbook(gen, ref), rel=1e-10)


def test_covariance_is_the_sample_covariance() -> None:
    """Negative control: with ddof 0 the number is another."""
    gen, ref = sample(20, 1), sample(30, 2)
    shift = gen.mean(axis=0) - ref.mean(axis=0)
    a, b = np.cov(gen.T, ddof=0), np.cov(ref.T, ddof=0)
    population = shift @ shift + np.trace(a + b - 2 * linalg.sqrtm(a @ b).real)
    assert figures(gen, ref) != pytest.approx(population, rel=1e-3)


@pytest.mark.parametrize("count", [2, 3, WIDTH, WIDTH + 1, 200])
def test_identical_sets_are_at_zero_and_never_below(count: int) -> None:
    rows = sample(count)
    value = figures(rows, rows.copy())
    assert 0 <= value <= 1e-12 * np.trace(np.cov(rows.T))


@pytest.mark.parametrize("width", [3, 64])
def test_never_negative_for_sets_that_nearly_agree(width: int) -> None:
    rng = np.random.default_rng(0)
    for count in (5, 40, 100):
        rows = 1e3 * sample(count, count, width)
        nearly = rows + 1e-9 * rng.standard_normal(rows.shape)
        assert figures(rows, nearly) >= 0
        assert figures(nearly[::-1].copy(), rows) >= 0


@pytest.mark.parametrize(("n", "m"), [(2, 2), (5, 9), (3, 40), (40, 3), (30, 31)])
def test_fewer_samples_than_dimensions_are_exact(n: int, m: int) -> None:
    """Through the Gram matrix: tr √(Σ₁Σ₂) is the sum of singular values of X·Yᵀ, centred and scaled."""
    width = 100
    gen, ref = sample(n, 1, width), sample(m, 2, width)
    x, y = ((rows - rows.mean(axis=0)) / math.sqrt(len(rows) - 1) for rows in (gen, ref))
    shift = gen.mean(axis=0) - ref.mean(axis=0)
    # Centring takes one rank off each side; the eigenvalues beyond are rounding errors of zero.
    rank = min(n, m) - 1
    overlap = np.sqrt(np.linalg.eigvalsh((x @ y.T) @ (x @ y.T).T)[-rank:]).sum()
    expected = shift @ shift + (x**2).sum() + (y**2).sum() - 2 * overlap
    assert figures(gen, ref) == pytest.approx(expected, rel=1e-9)


def test_few_samples_against_many() -> None:
    """One side keeps rows, the other has folded them; a set of rank one has √(v·Σ·v) for its overlap."""
    ref = sample(300, 5)
    gen = np.stack([np.ones(WIDTH), 3 * np.ones(WIDTH)])
    sigma = np.cov(ref.T)
    direction = (gen[1] - gen[0]) / math.sqrt(2)
    shift = gen.mean(axis=0) - ref.mean(axis=0)
    expected = shift @ shift + direction @ direction + np.trace(sigma) - 2 * math.sqrt(direction @ sigma @ direction)
    assert figures(gen, ref) == pytest.approx(expected, rel=1e-11)


def wide(count: int, seed: int, falling: float = 4.0) -> np.ndarray:
    """Samples of 80 dimensions whose deviations fall over some decades."""
    scale = np.geomspace(1, 10**-falling, 80)
    basis = np.linalg.qr(np.random.default_rng(9).standard_normal((80, 80)))[0]
    return np.random.default_rng(seed).standard_normal((count, 80)) * scale @ basis


def by_singular_values(gen: np.ndarray, ref: np.ndarray) -> tuple[float, float]:
    """The distance, and what is added up before the overlap is subtracted, from the samples in NumPy."""
    x, y = ((rows - rows.mean(axis=0)) / math.sqrt(len(rows) - 1) for rows in (gen, ref))
    shift = gen.mean(axis=0) - ref.mean(axis=0)
    apart = float(shift @ shift + np.square(x).sum() + np.square(y).sum())
    return apart - 2 * float(np.linalg.svd(x @ y.T, compute_uv=False).sum()), apart


SIDES = {
    "unlike": (wide(400, 1, 2.0) * 1.2 + 0.1, wide(300, 2, 2.0)),
    "alike": (wide(400, 1, 2.0), wide(300, 2, 2.0)),
    "nearly equal": (wide(400, 1), wide(400, 1) + 1e-4 * wide(400, 3)),
    "over nine decades": (wide(400, 1, 9.0), wide(300, 2, 9.0)),
    "a copied half": (np.repeat(wide(30, 1), 2, axis=0), wide(300, 2)),
    "few rows": (wide(50, 1), wide(60, 2)),
    "few rows against many": (wide(50, 1), wide(300, 2)),
    "equal": (wide(400, 1), wide(400, 1)),
}


@pytest.mark.parametrize("name", SIDES)
def test_large_products_take_the_short_way_only_where_it_is_right(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reached: 2e-15 of what is added up the long way, 2e-12 the short one."""
    monkeypatch.setattr(matrices, "_SMALL", 0)
    expected, apart = by_singular_values(*SIDES[name])
    long_ways: list[int] = []
    real = torch.linalg.svdvals
    monkeypatch.setattr(torch.linalg, "svdvals", lambda matrix: long_ways.append(1) or real(matrix))
    value = figures(*SIDES[name])
    print(f"{name}: {value:.6g}, off by {abs(value - expected) / apart:.1e}, long way {bool(long_ways)}")
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-12 * apart)
    short = ("unlike", "alike", "few rows", "few rows against many")
    assert bool(long_ways) == (name not in short)


@pytest.mark.gpu
@pytest.mark.parametrize("name", SIDES)
def test_cuda_equals_the_cpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrices, "_SMALL", 0)
    expected, apart = by_singular_values(*SIDES[name])
    value = frechet_distance(*map(moments_of, SIDES[name]), torch.device("cuda"))
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-12 * apart)


def test_constant_features_have_no_spread() -> None:
    """A dead channel, or one image many times: only the means and the other side's variance remain."""
    ref = sample(50)
    gen = np.full((20, WIDTH), 0.25)
    shift = 0.25 - ref.mean(axis=0)
    assert figures(gen, ref) == pytest.approx(shift @ shift + np.trace(np.cov(ref.T)), rel=1e-9)


@pytest.mark.parametrize(
    ("gen", "ref", "text"), [(1, 5, "the generated set has 1 image"), (5, 0, "the reference set has 0 image")]
)
def test_fewer_than_two_samples_are_refused(gen: int, ref: int, text: str) -> None:
    with pytest.raises(
        StatisticsError,
        match=rf"^{text}\(s\); a Fréchet distance needs at least 2 on each side, and thousands for a number worth "
        r"reporting$",
    ):
        figures(sample(gen), sample(ref))


@pytest.mark.parametrize("field", ["mean", "m2"])
@pytest.mark.parametrize("side", ["gen", "ref"])
def test_damaged_statistics_are_no_perfect_score(field: str, side: str) -> None:
    state = moments_of(sample(30)).state()
    state[field][(0,) * state[field].ndim] = float("nan")
    damaged, sound = Moments.from_state(state), moments_of(sample(30))
    with pytest.raises(StatisticsError, match="mean or covariance of a set is NaN or infinite"):
        frechet_distance(*((damaged, sound) if side == "gen" else (sound, damaged)))


def stats_of(rows: np.ndarray) -> Stats:
    side = SideRecord("synthetic", "array", len(rows), "0" * 64)
    return Stats({FrechetDistance(FID, 0).needs[0]: moments_of(rows)}, side, {}, 0)


@pytest.mark.parametrize(
    ("gen", "ref", "named"),
    [
        (WIDTH, 40, f"generated {WIDTH}"),
        (40, 3, "reference 3"),
        (4, WIDTH, f"generated 4, reference {WIDTH}"),
    ],
)
def test_few_samples_are_warned_of(gen: int, ref: int, named: str) -> None:
    result = FrechetDistance(FID, 0).compute(stats_of(sample(gen)), stats_of(sample(ref)))
    assert result.warnings == (
        f"no more images ({named}) than feature dimensions ({WIDTH}): the value is exact for these images but lies "
        "far above what many images of the same models would give; compare it only with values of exactly as many "
        "images",
    )


def test_enough_samples_are_not_warned_of() -> None:
    gen, ref = sample(WIDTH + 1, 1), sample(40, 2)
    result = FrechetDistance(FID, 0).compute(stats_of(gen), stats_of(ref))
    assert result.warnings == ()
    assert result.value == pytest.approx(textbook(gen, ref), rel=1e-9)
    assert (result.id, dict(result.extra), str(result.protocol)) == (
        "fid",
        {},
        "inception-v3.tf2015/2048/tf1-bilinear-299",
    )
