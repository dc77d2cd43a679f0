"""Error bars of transport along random directions: literally without each block, and of Gaussians of known distance."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from genmetrics.accumulators.block_moments import NUM_BLOCKS, block_of
from genmetrics.metrics.jackknife import jackknife
from genmetrics.metrics.transport import random_directions, sliced_transport_costs
from genmetrics.types import MetricResult
from support.features import build, sample, stats_of

NAMES = ["mind", "mind_quantile", "sliced_wasserstein"]
WIDTH, SHIFT, DIRECTIONS, SEED = 5, 0.6, 40, 2020


def result_of(name: str, gen: torch.Tensor, ref: torch.Tensor) -> MetricResult:
    metric = build(name)
    metric.num_projections = DIRECTIONS
    sides = stats_of(metric, gen), stats_of(metric, ref)
    return metric.with_error(metric.compute(*sides), *sides)


def directions() -> torch.Tensor:
    return random_directions(DIRECTIONS, WIDTH, torch.Generator().manual_seed(SEED))


@pytest.mark.parametrize("name", NAMES)
def test_is_the_jackknife_without_each_block(name: str) -> None:
    gen, ref = sample(1, 104, WIDTH, SHIFT), sample(2, 104 if name == "mind" else 131, WIDTH)
    blocks = [block_of(torch.arange(len(side))) for side in (gen, ref)]
    result = result_of(name, gen, ref)

    def figure(ours: torch.Tensor, theirs: torch.Tensor) -> float:
        cost = float(sliced_transport_costs(ours, theirs, directions()).mean())
        return cost**0.5 if name == "sliced_wasserstein" else 3 * WIDTH * cost

    replicates = {
        "gen": [figure(gen[blocks[0] != b], ref) for b in range(NUM_BLOCKS)],
        "ref": [figure(gen, ref[blocks[1] != b]) for b in range(NUM_BLOCKS)],
    }
    tolerance = 1e-5 if name == "mind" else 1e-10  # its projections are float32
    for side, values in replicates.items():
        assert result.replicates[side] == pytest.approx(values, rel=tolerance)
    found = jackknife(result.value, result.replicates)
    expected = {"debiased": found.debiased, "se": found.se, "ci95_low": found.low, "ci95_high": found.high}
    assert {key: result.extra[key] for key in expected} == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_intervals_hold_the_true_distance_along_these_directions(name: str) -> None:
    """Of two Gaussians of one covariance and means apart by s it is the mean of (u·s)² over the directions u."""
    true = float((directions().double().sum(dim=1) * SHIFT).square().mean())
    true = true**0.5 if name == "sliced_wasserstein" else 3 * WIDTH * true
    results = [
        result_of(name, sample(2 * seed, 150, WIDTH, SHIFT), sample(2 * seed + 1, 150, WIDTH)) for seed in range(100)
    ]
    inside = sum(result.extra["ci95_low"] <= true <= result.extra["ci95_high"] for result in results)
    raw = float(np.mean([result.value for result in results])) - true
    debiased = np.array([result.extra["debiased"] for result in results])
    spread, left = float(debiased.std(ddof=1)), float(debiased.mean()) - true
    bars = float(np.sqrt(np.mean([result.extra["se"] ** 2 for result in results])))
    print(
        f"{name}: true {true:.4f}, bias {raw:+.4f} -> {left:+.4f}, spread {spread:.4f}, se {bars:.4f}, inside {inside}"
    )
    assert inside >= 88
    assert bars == pytest.approx(spread, rel=0.25)
    assert abs(left) < abs(raw) / 2 + 2 * spread / math.sqrt(len(results))


def test_none_of_few_images_and_of_a_subset() -> None:
    assert "se" not in result_of("mind_quantile", sample(1, 99, WIDTH), sample(2, 200, WIDTH)).extra
    with_subset = result_of("mind", sample(1, 150, WIDTH), sample(2, 200, WIDTH))
    assert "se" not in with_subset.extra and not with_subset.replicates
    assert "se" in result_of("mind_quantile", sample(1, 150, WIDTH), sample(2, 200, WIDTH)).extra
