"""Error bars of the kernel distances: literally without each block, and on sets of known distance."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from genmetrics.accumulators.block_moments import NUM_BLOCKS, block_of
from genmetrics.metrics.jackknife import jackknife
from genmetrics.metrics.kernel import KernelDistance, kernel_distances
from genmetrics.metrics.kernel_full import full_kernel_distance, kernel_jackknife
from genmetrics.types import MetricResult
from support.features import build, sample, stats_of

WIDTH, SHIFT = 6, 0.4


def true_distance(shift: float) -> float:
    """Of N(shift, 1) and N(0, 1) in every coordinate.

    The kernel is a polynomial in the inner product, a sum of independent products whose three moments are known.
    """

    def mean_kernel(a: float, b: float) -> float:
        # Of one coordinate's product.
        one = a * b
        two = (1 + a * a) * (1 + b * b)
        three = (a**3 + 3 * a) * (b**3 + 3 * b)
        d = WIDTH
        first = d * one
        second = d * two + d * (d - 1) * one**2
        third = d * three + 3 * d * (d - 1) * two * one + d * (d - 1) * (d - 2) * one**3
        return third / d**3 + 3 * second / d**2 + 3 * first / d + 1

    return mean_kernel(shift, shift) + mean_kernel(0, 0) - 2 * mean_kernel(shift, 0)


def full(gen: torch.Tensor, ref: torch.Tensor) -> MetricResult:
    metric = build("kid_full")
    return metric.compute(stats_of(metric, gen), stats_of(metric, ref))


def kid(gen: torch.Tensor, ref: torch.Tensor, number: int = 100, size: int = 20) -> MetricResult:
    metric = build("kid")
    assert isinstance(metric, KernelDistance)
    metric.num_subsets, metric.subset_size = number, size
    sides = stats_of(metric, gen), stats_of(metric, ref)
    return metric.with_error(metric.compute(*sides), *sides)


@pytest.mark.parametrize("sizes", [(40, 57), (3, 12)])
def test_replicates_are_the_distances_without_each_block(sizes: tuple[int, int]) -> None:
    gen, ref = sample(1, sizes[0], WIDTH, SHIFT), sample(2, sizes[1], WIDTH)
    blocks = [block_of(torch.arange(count)) for count in sizes]
    found = kernel_jackknife(gen, ref, (blocks[0], blocks[1]))
    assert (found.value, found.se) == pytest.approx(full_kernel_distance(gen, ref), rel=1e-12)
    if sizes[0] == 3:  # two generated samples are left, of which the estimate itself would have no error
        assert len(found.without_gen) == 3
    else:
        without = [full_kernel_distance(gen[blocks[0] != b], ref).value for b in range(NUM_BLOCKS)]
        assert found.without_gen == pytest.approx(without, rel=1e-9)
        assert full(gen, ref).replicates == {"gen": found.without_gen, "ref": found.without_ref}
    without = [full_kernel_distance(gen, ref[blocks[1] != b]).value for b in range(NUM_BLOCKS)]
    assert found.without_ref == pytest.approx(without, rel=1e-9)


def test_replicates_of_float32_products() -> None:
    gen, ref = sample(1, 1100, WIDTH, SHIFT), sample(2, 1300, WIDTH)
    blocks = block_of(torch.arange(1100)), block_of(torch.arange(1300))
    found = kernel_jackknife(gen, ref, blocks)
    without = [full_kernel_distance(gen[blocks[0] != b], ref).value for b in range(NUM_BLOCKS)]
    assert found.without_gen == pytest.approx(without, rel=1e-8)
    # Blocks of samples tell the same error as single samples, to the error of ten blocks.
    of_blocks = jackknife(found.value, {"gen": found.without_gen, "ref": found.without_ref})
    assert of_blocks.se == pytest.approx(found.se, rel=0.5)


def test_too_few_samples_for_blocks_leave_the_error_of_single_ones() -> None:
    gen, ref = sample(1, 10, WIDTH), sample(2, 30, WIDTH)
    one = torch.zeros(10, dtype=torch.int64), torch.arange(30) % 3
    assert kernel_jackknife(gen, ref, one).without_gen == ()


def test_kid_has_the_error_of_all_pairs_and_of_the_subsets() -> None:
    gen, ref = sample(1, 60, WIDTH, SHIFT), sample(2, 50, WIDTH)
    result = kid(gen, ref)
    spread = float(kernel_distances(gen, ref, 100, 20, 2020).std(correction=0))
    assert result.extra["std"] == spread
    assert result.extra["se"] == pytest.approx(math.hypot(full_kernel_distance(gen, ref).se, spread / 10), rel=1e-12)
    assert result.extra["ci95_low"] < result.value < result.extra["ci95_high"]
    assert not result.replicates
    assert "se" not in kid(gen[:2], ref).extra


def test_cost_is_that_of_all_pairs() -> None:
    metric = build("kid")
    few, many = stats_of(metric, sample(1, 50, 2)), stats_of(metric, sample(1, 30_000, 2))
    assert metric.error_cost(few, few) == 1.0
    assert metric.error_cost(many, many) == pytest.approx(2 * 30_000**2 / 2e8)


@pytest.mark.parametrize("name", ["kid_full", "kid"])
def test_intervals_hold_the_true_distance(name: str) -> None:
    repeats, true, inside, values, bars = 100, true_distance(SHIFT), 0, [], []
    for seed in range(repeats):
        gen, ref = sample(2 * seed, 80, WIDTH, SHIFT), sample(2 * seed + 1, 100, WIDTH)
        result = full(gen, ref) if name == "kid_full" else kid(gen, ref, number=10)
        inside += result.extra["ci95_low"] <= true <= result.extra["ci95_high"]
        values.append(result.value)
        bars.append(result.extra["se"])
    spread = float(np.std(values, ddof=1))
    print(f"true {true:.4f}, mean {np.mean(values):.4f}, spread {spread:.4f}, se {np.mean(bars):.4f}, inside {inside}")
    assert abs(np.mean(values) - true) < 4 * spread / math.sqrt(repeats)
    assert np.mean(bars) == pytest.approx(spread, rel=0.25)
    assert inside >= 88


def test_intervals_of_one_distribution_are_wide() -> None:
    """The degenerate case: the error bar is too wide, by up to the root of two."""
    results = [full(sample(2 * seed, 60, WIDTH), sample(2 * seed + 1, 60, WIDTH)) for seed in range(100)]
    spread = float(np.std([result.value for result in results], ddof=1))
    bar = float(np.sqrt(np.mean([result.extra["se"] ** 2 for result in results])))
    print(f"spread {spread:.5f}, error bar {bar:.5f}")
    assert 0.85 < bar / spread < 1.25 * math.sqrt(2)
    assert sum(result.extra["ci95_low"] <= 0 <= result.extra["ci95_high"] for result in results) >= 93
