"""Error bars of the Inception Score: literally without each split, and on logits of a known distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from genmetrics.accumulators.softmax_sums import SoftmaxSums
from genmetrics.metrics import METRICS
from genmetrics.metrics.inception_score import ChunkedInceptionScore, InceptionScore
from genmetrics.metrics.jackknife import jackknife
from genmetrics.stats.stats import Stats
from genmetrics.types import MetricResult, SideRecord

SEED, CLASSES = 2020, 6


def logits(count: int, seed: int) -> np.ndarray:
    """More or less sure of one of the classes."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((count, CLASSES))
    values[np.arange(count), rng.integers(0, CLASSES, count)] += 3 * rng.random(count)
    return values.astype(np.float32)


def score(values: np.ndarray, splits: int = 10, known: bool = True) -> MetricResult:
    metric = InceptionScore(METRICS.get("isc"), SEED)
    metric.num_splits = splits
    sums = SoftmaxSums(CLASSES, splits, SEED, len(values) if known else None)
    sums.update(torch.from_numpy(values), torch.arange(len(values)))
    return metric.compute(
        Stats({metric.needs[0]: sums}, SideRecord("synthetic", "array", len(values), "0"), {}, 0), None
    )


def score_of_part(values: np.ndarray) -> float:
    p = torch.from_numpy(values).double().softmax(dim=1).numpy()
    return float(np.exp((p * np.log(p / p.mean(axis=0))).sum(axis=1).mean()))


@pytest.mark.parametrize("known", [True, False], ids=["total known", "total unknown"])
def test_is_the_jackknife_without_each_split(known: bool) -> None:
    values = logits(203, 1)
    result = score(values, known=known)
    order = np.random.RandomState(SEED).permutation(203)
    parts = [values[order[number * 203 // 10 : (number + 1) * 203 // 10]] for number in range(10)]
    without = [
        np.mean([score_of_part(part) for other, part in enumerate(parts) if other != left]) for left in range(10)
    ]
    assert result.replicates["gen"] == pytest.approx(without, rel=1e-12)
    found = jackknife(result.value, {"gen": without})
    expected = {"se": found.se, "ci95_low": found.low, "ci95_high": found.high}
    assert {name: result.extra[name] for name in expected} == pytest.approx(expected, rel=1e-9)
    # The mean of splits has no bias that its own splits could show, and none is taken off.
    assert found.debiased == pytest.approx(result.value, rel=1e-12)
    assert "debiased" not in result.extra
    # Negative control: what is printed behind the plus-minus elsewhere is three times as much.
    assert result.extra["std"] == pytest.approx(result.extra["se"] * 3, rel=1e-9)


def test_one_split_has_no_error_bar() -> None:
    result = score(logits(50, 1), splits=1)
    assert "se" not in result.extra and not result.replicates


def test_runs_of_the_order() -> None:
    values = logits(95, 2)
    metric = ChunkedInceptionScore(METRICS.get("isc_adm"), SEED)
    metric.chunk = 40
    sums = SoftmaxSums(CLASSES, 0, 0, 95, chunk=40)
    sums.update(torch.from_numpy(values), torch.arange(95))
    result = metric.compute(Stats({metric.needs[0]: sums}, SideRecord("synthetic", "array", 95, "0"), {}, 0), None)
    a, b, c = (score_of_part(values[start : start + 40]) for start in (0, 40, 80))
    assert result.replicates["gen"] == pytest.approx([(b + c) / 2, (a + c) / 2, (a + b) / 2], rel=1e-12)
    assert result.extra["se"] == pytest.approx(np.std([a, b, c], ddof=1) / math.sqrt(3), rel=1e-9)


def test_interval_holds_what_splits_of_that_size_score_on_average_and_bias_is_downwards() -> None:
    """The truth is the mean score of as many images as a split has; many images score more."""
    size = 50
    many = logits(200_000, 999)
    expected = float(np.mean([score_of_part(part) for part in np.split(many, len(many) // size)]))
    results = [score(logits(10 * size, seed)) for seed in range(100)]
    inside = sum(result.extra["ci95_low"] <= expected <= result.extra["ci95_high"] for result in results)
    spread = float(np.std([result.value for result in results], ddof=1))
    bars = float(np.mean([result.extra["se"] for result in results]))
    of_many = score_of_part(many)
    print(f"splits of {size}: {expected:.4f}, all: {of_many:.4f}, spread {spread:.4f}, se {bars:.4f}, inside {inside}")
    assert inside >= 88
    assert bars == pytest.approx(spread, rel=0.2)
    assert expected < of_many - 0.01
