"""Error bars of means of pairs, captions and path lengths: literally, and on figures of a known distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from genmetrics.accumulators.block_moments import NUM_BLOCKS, block_of
from genmetrics.accumulators.feature_bank import Scalars
from genmetrics.accumulators.labels import Labels
from genmetrics.metrics.jackknife import jackknife
from genmetrics.metrics.mean_error import mean_error, without_error
from genmetrics.metrics.perceptual import kept_lengths
from genmetrics.stats.stats import Stats
from genmetrics.types import MetricResult, SideRecord
from support.features import build

#: Of single figures, with a long tail.
NAMES = ["lpips", "ms_ssim", "ppl", "ppl_torch_fidelity", "clip_score", "clip_score_100"]
SCALES = {"clip_score": 2.5, "clip_score_100": 100.0}


def figures(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.lognormal(-1.5, 0.6, count)


def result_of(
    name: str, values: np.ndarray, groups: np.ndarray | None = None, per_class: int | None = None
) -> MetricResult:
    """Of a set of three images a figure, or of so many of each class."""
    metric = build(name)
    held = Scalars(2)
    groups = np.full(len(values), -1.0) if groups is None else groups
    held.update(torch.from_numpy(np.stack((values, groups), axis=1).astype(np.float64)), torch.arange(len(values)))
    labels = None
    images = 3 * len(values)
    if per_class is not None:
        labels, of_images = Labels(), np.repeat(np.unique(groups), per_class)
        images = len(of_images)
        labels.update(torch.from_numpy(of_images.astype(np.int64)), torch.arange(images))
    side = SideRecord("synthetic", "array", images, "0" * 64)
    return metric.compute(Stats({metric.needs[0]: held}, side, {}, 0, labels=labels), None)


@pytest.mark.parametrize("name", NAMES)
def test_replicates_are_the_values_without_each_block(name: str) -> None:
    values = figures(523, 1)
    result, block = result_of(name, values), block_of(torch.arange(523)).numpy()
    without = [result_of(name, values[block != b]).value for b in range(NUM_BLOCKS)]
    assert result.replicates["gen"] == pytest.approx(without, rel=1e-12)
    assert jackknife(result.value, {"gen": without}).se == pytest.approx(result.extra["se"], rel=0.6)
    assert result.extra["ci95_low"] < result.value < result.extra["ci95_high"]


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("ppl")])
def test_standard_error_is_that_of_each_figure_left_out(name: str) -> None:
    values = figures(40, 2)
    without = [result_of(name, np.delete(values, place)).value for place in range(40)]
    result = result_of(name, values)
    assert result.extra["se"] == pytest.approx(jackknife(result.value, {"gen": without}).se, rel=1e-9)


def test_standard_error_of_lengths_is_tukeys() -> None:
    values = figures(1000, 3)
    result = result_of("ppl", values)
    kept = kept_lengths(torch.from_numpy(values), 1.0, 99.0).numpy()
    moved = np.clip(values, kept.min(), kept.max())
    expected = moved.std(ddof=1) * math.sqrt(1000) / len(kept)
    assert result.extra["se"] == pytest.approx(expected, rel=1e-12)
    # Negative control: the kept ones alone would seem surer than they are.
    assert kept.std(ddof=1) / math.sqrt(len(kept)) < 0.95 * expected


@pytest.mark.parametrize("name", NAMES)
def test_intervals_hold_the_true_mean(name: str) -> None:
    many = torch.from_numpy(figures(2_000_000, 99))
    true = float(kept_lengths(many, 1.0, 99.0).mean()) if name.startswith("ppl") else float(many.mean())
    true *= SCALES.get(name, 1.0)
    results = [result_of(name, figures(400, 1000 + seed)) for seed in range(100)]
    inside = sum(result.extra["ci95_low"] <= true <= result.extra["ci95_high"] for result in results)
    spread = float(np.std([result.value for result in results], ddof=1))
    bars = float(np.mean([result.extra["se"] for result in results]))
    print(f"{name}: true {true:.4f}, spread {spread:.4f}, se {bars:.4f}, inside {inside}")
    assert inside >= 88
    assert bars == pytest.approx(spread, rel=0.25)


def test_pairs_that_share_images_have_none() -> None:
    """Three images make three pairs; four of a class at most two without a common image."""
    metric = build("lpips")
    held = Scalars(2)
    held.update(torch.tensor([[0.1, -1.0], [0.2, -1.0], [0.3, -1.0]], dtype=torch.float64), torch.arange(3))
    stats = Stats({metric.needs[0]: held}, SideRecord("synthetic", "array", 3, "0" * 64), {}, 0)
    found = metric.compute(stats, None)
    assert set(found.extra) == {"std", "num_pairs"} and not found.replicates
    values, groups = figures(12, 5), np.repeat([0.0, 1.0], 6)
    assert "se" in result_of("lpips_class", values, groups, per_class=12).extra
    assert "se" not in result_of("lpips_class", values, groups, per_class=11).extra
    assert "se" not in result_of("lpips_class", values, groups).extra
    assert "se" not in result_of("lpips_class", values[:2], groups[[0, 6]], per_class=5).extra


def test_classes() -> None:
    """The classes are as they are: the error is of the pairs within them, and the true mean in 95 of 100 intervals."""
    shift, counts = np.array([0.0, 0.3, 1.0]), [10, 20, 30]
    groups = np.repeat([0.0, 1.0, 2.0], counts)
    results = []
    for seed in range(100):
        values = figures(60, 3000 + seed) + shift[groups.astype(int)]
        results.append(result_of("lpips_class", values, groups, per_class=60))
    parts = [values[groups == group] for group in range(3)]
    expected = math.sqrt(sum(part.var(ddof=1) / len(part) for part in parts)) / 3
    assert results[-1].extra["se"] == pytest.approx(expected, rel=1e-12)
    true = float(math.exp(-1.5 + 0.6**2 / 2) + shift.mean())
    inside = sum(result.extra["ci95_low"] <= true <= result.extra["ci95_high"] for result in results)
    print(f"inside {inside}")
    assert inside >= 88
    # Negative control: the spread between classes is no error.
    assert results[-1].extra["std"] > 3 * expected


def test_a_score_that_is_cut_has_none() -> None:
    found = result_of("clip_score_100", -figures(50, 1))
    assert found.value == 0.0
    assert "se" not in found.extra and not found.replicates


def test_one_figure_has_none_and_error_bars_can_be_taken_out() -> None:
    assert mean_error(torch.ones(1, dtype=torch.float64)) == {}
    result = result_of("lpips", figures(50, 1))
    bare = without_error(result)
    assert set(bare.extra) == {"std", "num_pairs"} and not bare.replicates
    assert without_error(bare) is bare
