"""Error bars of neighbour metrics: literally without each block of generated images, and against the true share."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from genmetrics.accumulators.block_moments import NUM_BLOCKS, block_of
from genmetrics.metrics.jackknife import jackknife
from genmetrics.metrics.mean_error import share_error
from genmetrics.types import MetricResult
from support.features import build, evaluate, sample, stats_of

WIDTH = 4
#: Each by the value that it is of.
NAMES = ["prc", "prdc", "clipped_dc", "authpct", "nearest", "realism"]


def generated(count: int, seed: int) -> torch.Tensor:
    return sample(seed, count, WIDTH, 0.5, 1.2)


@pytest.mark.parametrize("name", NAMES)
def test_replicates_are_the_values_without_each_block(name: str) -> None:
    gen, ref = generated(73, 1), sample(2, 60, WIDTH)
    block = block_of(torch.arange(73))
    result = evaluate(name, gen, ref)
    without = [evaluate(name, gen[block != b], ref).value for b in range(NUM_BLOCKS)]
    assert set(result.replicates) == {"gen"}
    assert result.replicates["gen"] == pytest.approx(without, rel=1e-9)
    # Single samples tell the same error as ten blocks, to the error of ten blocks.
    assert jackknife(result.value, {"gen": without}).se == pytest.approx(result.extra["se"], rel=0.6)


@pytest.mark.parametrize("name", NAMES)
def test_standard_error_is_that_of_each_image_left_out(name: str) -> None:
    gen, ref = generated(31, 3), sample(2, 40, WIDTH)
    without = [evaluate(name, torch.cat((gen[:i], gen[i + 1 :])), ref).value for i in range(31)]
    result = evaluate(name, gen, ref)
    assert result.extra["se"] == pytest.approx(jackknife(result.value, {"gen": without}).se, rel=1e-7)
    assert result.extra["ci95_low"] <= result.value <= result.extra["ci95_high"]


@pytest.mark.parametrize("name", NAMES)
def test_intervals_hold_the_value_of_many_images_against_that_reference(name: str) -> None:
    """The truth is the value of very many generated images against the same reference."""
    ref = sample(2, 60, WIDTH)
    # Each value is a mean over generated images, so that the mean over sets is that of all their images.
    true = float(np.mean([evaluate(name, generated(1000, seed), ref).value for seed in range(5000, 5060)]))
    results = [evaluate(name, generated(100, seed), ref) for seed in range(4000, 4100)]
    inside = sum(result.extra["ci95_low"] <= true <= result.extra["ci95_high"] for result in results)
    spread = float(np.std([result.value for result in results], ddof=1))
    bars = float(np.mean([result.extra["se"] for result in results]))
    print(f"{name}: true {true:.4f}, spread {spread:.4f}, se {bars:.4f}, inside {inside}")
    assert inside >= 88
    assert bars == pytest.approx(spread, rel=0.25)


def test_what_another_reference_would_change_is_not_in_it() -> None:
    """Negative control, and why the page says so: over references too, the value varies by more."""
    pairs = [(generated(100, seed), sample(1000 + seed, 30, WIDTH)) for seed in range(60)]
    results = [evaluate("prdc", *pair) for pair in pairs]
    spread = float(np.std([result.value for result in results], ddof=1))
    assert spread > 1.3 * float(np.mean([result.extra["se"] for result in results]))


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
def test_shares_have_wilsons_interval(share: float) -> None:
    count = 100
    inside = torch.arange(count) < round(share * count)
    found = share_error(inside)
    assert found["se"] == pytest.approx(float(inside.double().std()) / 10, rel=1e-12, abs=1e-15)
    assert 0 <= found["ci95_low"] <= share <= found["ci95_high"] <= 1
    assert found["ci95_high"] - found["ci95_low"] > 0.03
    for end in (found["ci95_low"], found["ci95_high"]):
        if 0 < end < 1:  # Wilson's ends are the shares from which the seen one is 1.96 of their own errors away
            assert abs(share - end) == pytest.approx(1.959964 * math.sqrt(end * (1 - end) / count), rel=1e-5)


def test_no_error_bar_where_the_value_is_cut() -> None:
    ref = sample(2, 60, WIDTH)
    result = evaluate("clipped_dc", sample(3, 60, WIDTH, scale=0.1), ref)
    assert result.value == 1.0
    assert "se" not in result.extra and not result.replicates


def test_a_single_image_has_none() -> None:
    metric = build("prdc")
    result: MetricResult = metric.compute(stats_of(metric, generated(7, 1)), stats_of(metric, sample(2, 40, WIDTH)))
    assert "se" in result.extra
    nearest = evaluate("nearest", generated(1, 1), sample(2, 40, WIDTH))
    assert "se" not in nearest.extra and not nearest.replicates
