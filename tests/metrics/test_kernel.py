"""The kernel distance against loops that follow the paper's sums."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.errors import StatisticsError
from genmetrics.metrics import METRICS, kernel_sums
from genmetrics.metrics.kernel import KernelDistance, kernel_distances
from genmetrics.stats.stats import Stats
from genmetrics.types import SideRecord
from support.float64_seen import LargestFloat64

KID = METRICS.get("kid")


def sample(count: int, width: int = 4, seed: int = 0, shift: float = 0.0) -> torch.Tensor:
    values = np.random.default_rng(seed).standard_normal((count, width)) + shift
    return torch.from_numpy(values.astype(np.float32))


def kernel(x: np.ndarray, y: np.ndarray) -> float:
    return (float(x @ y) / len(x) + 1) ** 3


def unbiased_mmd2(x: np.ndarray, y: np.ndarray) -> float:
    """Bińkowski et al., equation 4, one term at a time."""
    m, n = len(x), len(y)
    within_x = sum(kernel(x[i], x[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    within_y = sum(kernel(y[i], y[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    between = sum(kernel(x[i], y[j]) for i in range(m) for j in range(n)) / (m * n)
    return within_x + within_y - 2 * between


def brute_force(gen: torch.Tensor, ref: torch.Tensor, num_subsets: int, size: int, seed: int) -> list[float]:
    x, y = gen.numpy().astype(np.float64), ref.numpy().astype(np.float64)
    rng = np.random.RandomState(seed)
    distances = []
    for _ in range(num_subsets):
        mine = rng.choice(len(x), size, replace=False)
        other = rng.choice(len(y), size, replace=False)
        distances.append(unbiased_mmd2(x[mine], y[other]))
    return distances


def test_two_against_two_by_hand() -> None:
    gen = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    ref = torch.tensor([[1.0, 1.0], [3.0, 0.0]])
    # Products: gen·gen' 0, ref·ref' 3; between 1, 3, 2, 0; kernel (p/2 + 1)³.
    between = (1.5**3 + 2.5**3 + 2.0**3 + 1.0) / 4
    expected = 1.0 + 2.5**3 - 2 * between
    distances = kernel_distances(gen, ref, num_subsets=3, subset_size=2, seed=0)
    assert distances.tolist() == pytest.approx([expected] * 3, rel=1e-14)


# The first draw each pair anew, the second share the kernels between subsets.
@pytest.mark.parametrize(
    ("n", "m", "num_subsets", "size"),
    [(40, 50, 2, 5), (30, 33, 1, 7), (20, 25, 10, 20), (12, 9, 30, 9), (13, 13, 4, 2)],
)
def test_sums_are_the_papers(n: int, m: int, num_subsets: int, size: int) -> None:
    gen, ref = sample(n, seed=1), sample(m, seed=2, shift=0.3)
    distances = kernel_distances(gen, ref, num_subsets, size, seed=2020)
    assert distances.dtype == torch.float64
    assert distances.tolist() == pytest.approx(brute_force(gen, ref, num_subsets, size, 2020), rel=1e-11, abs=1e-12)


def test_biased_estimate_would_be_noticed() -> None:
    """Negative control: with the diagonal in, the numbers are far off."""
    gen, ref = sample(10, seed=1), sample(10, seed=2)
    x, y = gen.numpy().astype(np.float64), ref.numpy().astype(np.float64)
    biased = np.mean([[kernel(a, b) for b in x] for a in x]) + np.mean([[kernel(a, b) for b in y] for a in y])
    biased -= 2 * np.mean([[kernel(a, b) for b in y] for a in x])
    ours = kernel_distances(gen, ref, 1, 10, seed=0)
    assert float(ours[0]) != pytest.approx(biased, abs=1e-2)
    assert float(ours[0]) == pytest.approx(unbiased_mmd2(x, y), rel=1e-11)


def test_both_ways_to_the_sums_agree() -> None:
    """The first subsets of many, which share kernels, are the first of few, which do not."""
    gen, ref = sample(60, width=16, seed=1), sample(70, width=16, seed=2, shift=0.2)
    size = 10
    few, many = (kernel_distances(gen, ref, count, size, seed=7) for count in (3, 100))
    assert 3 * size**2 < 60 * 60 and 100 * size**2 > 70 * 70, "the two counts must take the two ways"
    np.testing.assert_allclose(many[:3].numpy(), few.numpy(), rtol=1e-11, atol=1e-12)


def test_more_rows_than_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shared kernels are computed in blocks of rows; the last is not full."""
    monkeypatch.setattr(kernel_sums, "_TILE", 128)
    gen, ref = sample(300, width=3, seed=1), sample(290, width=3, seed=2, shift=0.1)
    size = 280
    shared = kernel_distances(gen, ref, 2, size, seed=3)
    rng = np.random.RandomState(3)
    for distance in shared.tolist():
        x, y = (side.numpy().astype(np.float64)[rng.choice(len(side), size, replace=False)] for side in (gen, ref))
        kxx, kyy, kxy = ((a @ b.T / 3 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
        pairs = size * (size - 1)
        expected = (kxx.sum() - kxx.trace() + kyy.sum() - kyy.trace()) / pairs - 2 * kxy.mean()
        assert distance == pytest.approx(expected, rel=1e-9)


def test_the_seed_decides_the_draws() -> None:
    gen, ref = sample(40, seed=1), sample(40, seed=2)
    ours = kernel_distances(gen, ref, 5, 10, seed=0)
    assert torch.equal(ours, kernel_distances(gen, ref, 5, 10, seed=0))
    assert not torch.allclose(ours, kernel_distances(gen, ref, 5, 10, seed=1))


def test_generated_subset_is_drawn_first() -> None:
    """Negative control for the order of draws: the reference first gives other numbers."""
    gen, ref = sample(30, seed=1), sample(40, seed=2)
    x, y = gen.numpy().astype(np.float64), ref.numpy().astype(np.float64)
    rng = np.random.RandomState(5)
    other = rng.choice(len(y), 6, replace=False)
    mine = rng.choice(len(x), 6, replace=False)
    assert float(kernel_distances(gen, ref, 1, 6, seed=5)[0]) != pytest.approx(unbiased_mmd2(x[mine], y[other]))


def test_unbiased_over_sets_of_one_distribution() -> None:
    """The mean over many pairs of sets is zero within four standard errors; the biased one lies far outside."""
    values = np.array(
        [float(kernel_distances(sample(20, seed=2 * i), sample(20, seed=2 * i + 1), 1, 20, 0)[0]) for i in range(200)]
    )
    error = values.std() / np.sqrt(len(values))
    assert abs(values.mean()) < 4 * error
    assert (values < 0).any()
    diagonal = 2 * np.mean([kernel(row, row) for row in sample(500, seed=9).numpy()]) / 20
    assert diagonal > 8 * error


def test_inputs_are_not_changed() -> None:
    gen, ref = sample(20, seed=1), sample(20, seed=2)
    before = gen.clone(), ref.clone()
    kernel_distances(gen, ref, 10, 10, seed=0)
    assert torch.equal(gen, before[0]) and torch.equal(ref, before[1])


def stats_of(features: torch.Tensor) -> Stats:
    bank = FeatureBank(features.shape[1])
    bank.update(features, torch.arange(len(features)))
    side = SideRecord("synthetic", "array", len(features), "0" * 64)
    return Stats({KernelDistance(KID, 0).needs[0]: bank}, side, {}, 0)


def test_result_has_mean_and_population_spread() -> None:
    gen, ref = sample(12, seed=1), sample(30, seed=2, shift=0.5)
    result = KernelDistance(KID, 2020).compute(stats_of(gen), stats_of(ref))
    expected = brute_force(gen, ref, 100, 12, 2020)
    assert result.value == pytest.approx(np.mean(expected), rel=1e-10)
    assert dict(result.extra) == {
        "std": pytest.approx(np.std(expected), rel=1e-9),
        "num_subsets": 100,
        "subset_size": 12,
    }


def test_lowered_subset_size_is_told() -> None:
    result = KernelDistance(KID, 0).compute(stats_of(sample(30, seed=1)), stats_of(sample(12, seed=2)))
    assert result.warnings == (
        "subset size lowered from 1000 to 12, the size of the smaller side; the mean stays unbiased, the spread "
        "between subsets is another",
    )
    assert str(result.protocol) == "inception-v3.tf2015/2048/tf1-bilinear-299/poly3-100x12"


def test_full_subset_size_is_not_warned_of() -> None:
    result = KernelDistance(KID, 0).compute(stats_of(sample(1000, seed=1)), stats_of(sample(1001, seed=2)))
    assert result.warnings == ()
    assert result.extra["subset_size"] == 1000
    assert str(result.protocol) == "inception-v3.tf2015/2048/tf1-bilinear-299/poly3-100x1000"


@pytest.mark.parametrize(("n", "m"), [(1, 5), (5, 0)])
def test_fewer_than_two_samples_are_refused(n: int, m: int) -> None:
    with pytest.raises(
        StatisticsError,
        match=rf"^'kid' needs at least 2 images on each side; given are {n} generated and {m} reference "
        r"images\. Add images$",
    ):
        KernelDistance(KID, 0).compute(stats_of(sample(n)), stats_of(sample(m)))


@pytest.mark.parametrize(("num_subsets", "size"), [(5, 320), (2, 60)])
def test_a_bank_is_never_whole_in_float64(num_subsets: int, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first shares the kernels between subsets, the second does not."""
    gen, ref = sample(700, 64, seed=1), sample(690, 64, seed=2)
    whole = kernel_distances(gen, ref, num_subsets, size, seed=0)
    monkeypatch.setattr(kernel_sums, "_TILE", 64)
    with LargestFloat64() as seen:
        tiled = kernel_distances(gen, ref, num_subsets, size, seed=0)
    print(seen.numbers)
    assert 0 < seen.numbers <= 64 * 64 < gen.numel() / 8
    np.testing.assert_allclose(tiled.numpy(), whole.numpy(), rtol=0, atol=1e-13)


@pytest.mark.parametrize("tile", [1, 4, 7, 13])
def test_tiles_do_not_matter(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    gen, ref = sample(13, seed=1), sample(9, seed=2, shift=0.3)
    whole = kernel_distances(gen, ref, 20, 9, seed=0)
    monkeypatch.setattr(kernel_sums, "_TILE", tile)
    np.testing.assert_allclose(kernel_distances(gen, ref, 20, 9, seed=0).numpy(), whole.numpy(), rtol=1e-11, atol=1e-13)
