"""Error bars and correction of the Fréchet distance: literally without each block, and on sets of known distance."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from genmetrics.accumulators.block_moments import NUM_BLOCKS, BlockMoments, block_of
from genmetrics.accumulators.moments import Moments
from genmetrics.metrics import METRICS
from genmetrics.metrics.frechet import FrechetDistance, frechet_distance
from genmetrics.metrics.jackknife import jackknife
from genmetrics.stats.stats import Stats
from genmetrics.types import MetricResult, SideRecord

FID = METRICS.get("fid")
WIDTH = 8


def moments_of(rows: np.ndarray) -> Moments:
    moments = Moments(rows.shape[1])
    moments.update(torch.from_numpy(rows), torch.arange(len(rows)))
    return moments


def stats_of(rows: np.ndarray, blocks: bool = True) -> Stats:
    metric = FrechetDistance(FID, 0)
    held = {metric.needs[0]: moments_of(rows)}
    if blocks:
        (need,) = metric.error_needs
        held[need] = BlockMoments(rows.shape[1])
        held[need].update(torch.from_numpy(rows), torch.arange(len(rows)))
    return Stats(held, SideRecord("synthetic", "array", len(rows), "0" * 64), {}, 0)


def sample(count: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """Features that are not Gaussian: products of normal ones, with a spectrum that falls."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((count, WIDTH)) * (1 + 0.2 * rng.standard_normal((count, 1)))
    return rows * np.arange(1, WIDTH + 1) ** -0.5 + shift


def result_of(gen: Stats, ref: Stats) -> MetricResult:
    metric = FrechetDistance(FID, 0)
    return metric.with_error(metric.compute(gen, ref), gen, ref)


@pytest.mark.parametrize("count", [41, 400])
def test_is_the_jackknife_of_distances_without_each_block(count):
    gen, ref = sample(count, 1, 0.3), sample(count + 7, 2)
    blocks = [block_of(torch.arange(len(side))).numpy() for side in (gen, ref)]
    replicates = {
        "gen": [frechet_distance(moments_of(gen[blocks[0] != b]), moments_of(ref)) for b in range(NUM_BLOCKS)],
        "ref": [frechet_distance(moments_of(gen), moments_of(ref[blocks[1] != b])) for b in range(NUM_BLOCKS)],
    }
    result = result_of(stats_of(gen), stats_of(ref))
    expected = jackknife(result.value, replicates)
    for side, values in replicates.items():
        assert result.replicates[side] == pytest.approx(values, rel=1e-9)
    assert result.extra == pytest.approx(
        {"debiased": expected.debiased, "se": expected.se, "ci95_low": expected.low, "ci95_high": expected.high},
        rel=1e-8,
    )
    assert result.warnings == ()


def test_the_value_stays_what_it_is():
    gen, ref = stats_of(sample(100, 1)), stats_of(sample(100, 2))
    assert result_of(gen, ref).value == FrechetDistance(FID, 0).compute(gen, ref).value


def test_the_correction_takes_the_bias_off():
    """Means over repeats, of samples against the distribution itself as far as 200,000 samples know it."""
    ref = stats_of(sample(200_000, 0), blocks=False)
    true = frechet_distance(moments_of(sample(200_000, 1, 0.2)), ref.accumulators[FrechetDistance(FID, 0).needs[0]])
    results = [result_of(stats_of(sample(80, seed, 0.2)), ref) for seed in range(2, 62)]
    raw = np.mean([result.value for result in results]) - true
    left = np.mean([result.extra["debiased"] for result in results]) - true
    error = np.std([result.extra["debiased"] for result in results], ddof=1) / math.sqrt(len(results))
    print(true, raw, left, error)
    assert raw > 5 * error
    assert abs(left) < 0.15 * raw + 2.5 * error
    inside = [result.extra["ci95_low"] <= true <= result.extra["ci95_high"] for result in results]
    assert 0.85 <= np.mean(inside) <= 1.0


def test_a_reference_that_is_a_mean_and_covariance_is_taken_as_it_is():
    gen, ref = stats_of(sample(100, 1)), stats_of(sample(90, 2), blocks=False)
    result = result_of(gen, ref)
    assert set(result.replicates) == {"gen"}
    assert result.warnings == (
        "error bar and correction are of the generated images alone: of the reference there is a mean and covariance, "
        "from which nothing can be left out",
    )
    both = result_of(gen, stats_of(sample(90, 2)))
    assert both.extra["se"] > result.extra["se"]


@pytest.mark.parametrize(("gen", "ref", "named"), [(39, 60, "39 generated"), (60, 39, "39 reference"), (9, 9, "and")])
def test_too_few_images_for_it_to_hold(gen, ref, named):
    result = result_of(stats_of(sample(gen, 1)), stats_of(sample(ref, 2)))
    assert "se" not in result.extra and not result.replicates
    text = result.warnings[-1]
    assert text.startswith("no error bar and no correction: they hold from 5 images per dimension on, 40 here")
    assert named in text


def test_cost_is_a_distance_for_each_block():
    metric = FrechetDistance(FID, 0)
    gen, ref = stats_of(sample(50, 1)), stats_of(sample(50, 2), blocks=False)
    assert metric.error_cost(gen, gen) == 2 * NUM_BLOCKS
    assert metric.error_cost(gen, ref) == NUM_BLOCKS
    assert metric.error_cost(gen, stats_of(sample(5 * WIDTH - 1, 2))) == 0  # there will be a warning, and no distance


@pytest.mark.parametrize("side", ["gen", "ref"])
def test_where_few_images_weigh_much_there_is_a_reason_in_place_of_a_number(side):
    """Lengths that are log-normal with σ = 0.6, of which the simulation leaves an eighth of the bias."""
    rng = np.random.default_rng(9)
    heavy = rng.standard_normal((2000, WIDTH)) * np.exp(0.6 * rng.standard_normal((2000, 1)))
    sets = {"gen": sample(2000, 1), "ref": sample(2000, 2)} | {side: heavy}
    result = result_of(stats_of(sets["gen"]), stats_of(sets["ref"]))
    assert "debiased" not in result.extra and "se" not in result.extra and not result.replicates
    (warning,) = result.warnings
    name = {"gen": "generated", "ref": "reference"}[side]
    assert f"a few of the {name} images lie so far from all others" in warning
    assert "times a Gaussian's, and both hold up to 2 times" in warning
