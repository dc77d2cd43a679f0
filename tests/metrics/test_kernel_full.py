"""The kernel distance over all pairs against loops, and its error bar against deletion and against repeated draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.errors import StatisticsError
from genmetrics.metrics import METRICS, kernel_sums
from genmetrics.metrics.kernel import kernel_distances
from genmetrics.metrics.kernel_full import FullKernelDistance, full_kernel_distance
from genmetrics.stats.stats import Stats
from genmetrics.types import SideRecord

FULL = METRICS.get("kid_full")


def sample(count: int, width: int = 4, seed: int = 0, shift: float = 0.0) -> torch.Tensor:
    values = np.random.default_rng(seed).standard_normal((count, width)) + shift
    return torch.from_numpy(values.astype(np.float32))


def unbiased_mmd2(x: np.ndarray, y: np.ndarray) -> float:
    """Bińkowski et al., equation 4, one term at a time."""

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return (float(a @ b) / len(a) + 1) ** 3

    n, m = len(x), len(y)
    within_x = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_y = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within_x + within_y - 2 * sum(kernel(a, b) for a in x for b in y) / (n * m)


def deleted(x: np.ndarray, y: np.ndarray) -> float:
    """The jackknife's standard error of two samples, by computing everything anew without each of them."""
    variance = 0.0
    for mine, other, order in ((x, y, 1), (y, x, -1)):
        without = [unbiased_mmd2(*(np.delete(mine, index, axis=0), other)[::order]) for index in range(len(mine))]
        variance += (len(mine) - 1) / len(mine) * np.sum((np.array(without) - np.mean(without)) ** 2)
    return float(variance**0.5)


SIZES = [(3, 3), (3, 12), (9, 7), (20, 20)]


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_value_is_the_papers(n: int, m: int) -> None:
    gen, ref = sample(n, seed=1), sample(m, seed=2, shift=0.3)
    expected = unbiased_mmd2(gen.double().numpy(), ref.double().numpy())
    assert full_kernel_distance(gen, ref).value == pytest.approx(expected, rel=1e-11, abs=1e-13)


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_error_is_that_of_leaving_each_sample_out(n: int, m: int) -> None:
    gen, ref = sample(n, seed=1), sample(m, seed=2, shift=0.3)
    expected = deleted(gen.double().numpy(), ref.double().numpy())
    assert full_kernel_distance(gen, ref).se == pytest.approx(expected, rel=1e-9)


def test_error_of_one_side_alone_would_be_noticed() -> None:
    """Negative control: without the reference's share the error bar is far too small."""
    gen, ref = sample(20, seed=1).double().numpy(), sample(10, seed=2, shift=0.3).double().numpy()
    without = [unbiased_mmd2(np.delete(gen, index, axis=0), ref) for index in range(20)]
    alone = float((19 * np.var(without)) ** 0.5)
    assert alone < 0.9 * deleted(gen, ref)


@pytest.mark.parametrize("tile", [1, 4, 7, 13])
def test_tiles_do_not_matter(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    gen, ref = sample(13, seed=1), sample(9, seed=2, shift=0.3)
    whole = full_kernel_distance(gen, ref)
    monkeypatch.setattr(kernel_sums, "_TILE", tile)
    assert full_kernel_distance(gen, ref) == pytest.approx(whole, rel=1e-11)


def spread_and_bars(shift: float, repeats: int = 60) -> tuple[float, float, float]:
    """The spread of the estimate over draws of both sets, its mean, and the root mean square of its error bars."""
    found = [
        full_kernel_distance(sample(40, 6, 2 * seed, shift), sample(50, 6, 2 * seed + 1)) for seed in range(repeats)
    ]
    values, bars = np.array(found).T
    return float(values.std(ddof=1)), float(values.mean()), float(np.sqrt(np.mean(bars**2)))


def test_error_is_the_spread_over_draws_of_unlike_sets() -> None:
    spread, mean, bar = spread_and_bars(0.4)
    print(f"mean {mean:.4f}, spread {spread:.4f}, error bar {bar:.4f}")
    # 60 draws tell a spread to 9% (one standard error).
    assert bar == pytest.approx(spread, rel=0.25)


def test_error_is_too_wide_for_sets_of_one_distribution() -> None:
    """As the docstring says: without a linear term, by up to the root of two, and never too narrow."""
    spread, mean, bar = spread_and_bars(0.0)
    print(f"mean {mean:.4f}, spread {spread:.4f}, error bar {bar:.4f}")
    assert abs(mean) < 4 * spread / 60**0.5
    assert 0.85 < bar / spread < 1.25 * 2**0.5


def test_spread_between_subsets_is_no_error_bar() -> None:
    """What is printed behind ± elsewhere is the spread of subsets of `kid`, here several times the true error."""
    gen, ref = sample(400, 16, 1, 0.2), sample(400, 16, 2)
    of_subsets = float(kernel_distances(gen, ref, 100, 50, 0).std(correction=0))
    full = full_kernel_distance(gen, ref)
    print(f"std of subsets {of_subsets:.4f}, standard error {full.se:.4f}")
    assert of_subsets > 2 * full.se


def test_equals_the_mean_over_subsets() -> None:
    gen, ref = sample(60, 6, 1, 0.2), sample(50, 6, 2)
    distances = kernel_distances(gen, ref, 3000, 20, 0)
    error = float(distances.std()) / 3000**0.5
    full = full_kernel_distance(gen, ref).value
    print(f"full {full:.5f}, subsets {float(distances.mean()):.5f} +- {error:.5f}")
    assert abs(full - float(distances.mean())) < 4 * error
    # Negative control: another set of the same distribution is told apart.
    assert abs(full_kernel_distance(sample(60, 6, 3, 0.2), ref).value - float(distances.mean())) > 4 * error


def test_global_generators_do_not_matter() -> None:
    """Neither metric draws from them, so that every rank of a distributed run has the same number."""
    gen, ref = sample(30, seed=1), sample(30, seed=2)
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002  # the global one is meant
        found.append((full_kernel_distance(gen, ref), kernel_distances(gen, ref, 5, 10, 7).tolist()))
    assert found[0] == found[1]


def test_symmetric_and_inputs_are_not_changed() -> None:
    gen, ref = sample(20, seed=1), sample(15, seed=2)
    before = gen.clone(), ref.clone()
    assert full_kernel_distance(gen, ref) == pytest.approx(full_kernel_distance(ref, gen), rel=1e-12)
    assert torch.equal(gen, before[0]) and torch.equal(ref, before[1])


def stats_of(features: torch.Tensor) -> Stats:
    bank = FeatureBank(features.shape[1])
    bank.update(features, torch.arange(len(features)))
    side = SideRecord("synthetic", "array", len(features), "0" * 64)
    return Stats({FullKernelDistance(FULL, 0).needs[0]: bank}, side, {}, 0)


def test_result() -> None:
    gen, ref = sample(12, seed=1), sample(30, seed=2, shift=0.5)
    result = FullKernelDistance(FULL, 2020).compute(stats_of(gen), stats_of(ref))
    expected = full_kernel_distance(gen, ref)
    assert (result.value, result.extra["se"]) == pytest.approx(expected, rel=1e-12)
    assert list(result.extra) == ["se", "ci95_low", "ci95_high", "num_gen", "num_ref"]
    assert (result.extra["num_gen"], result.extra["num_ref"]) == (12, 30)
    assert str(result.protocol) == "inception-v3.tf2015/2048/tf1-bilinear-299/poly3-full"
    assert result.warnings == ()


@pytest.mark.parametrize(("n", "m"), [(2, 5), (5, 2), (0, 0)])
def test_fewer_than_three_samples_are_refused(n: int, m: int) -> None:
    with pytest.raises(
        StatisticsError,
        match=rf"^the full kernel distance and its error bar need at least 3 images on each side; given are {n} "
        rf"generated and {m} reference images\. Add images$",
    ):
        FullKernelDistance(FULL, 0).compute(stats_of(sample(n)), stats_of(sample(m)))
