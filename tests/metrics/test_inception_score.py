"""The Inception Score against its definition and against cases whose score is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genmetrics.accumulators.softmax_sums import SoftmaxSums
from genmetrics.errors import StatisticsError
from genmetrics.metrics import METRICS
from genmetrics.metrics.inception_score import InceptionScore
from genmetrics.stats.stats import Stats
from genmetrics.types import MetricResult, SideRecord

ISC = METRICS.get("isc")
SEED = 2020


def score(logits: np.ndarray, seed: int = SEED, known: bool = True) -> MetricResult:
    metric = InceptionScore(ISC, seed)
    sums = SoftmaxSums(logits.shape[1], 10, seed, len(logits) if known else None)
    sums.update(torch.from_numpy(logits.astype(np.float32)), torch.arange(len(logits)))
    side = SideRecord("synthetic", "array", len(logits), "0" * 64)
    return metric.compute(Stats({metric.needs[0]: sums}, side, {}, seed), None)


def definition(logits: np.ndarray, seed: int) -> tuple[float, float]:
    """exp E_x KL(p(y|x) ‖ p(y)) of ten parts of the permuted images."""
    probs = np.exp(logits.astype(np.float32).astype(np.float64))
    probs /= probs.sum(axis=1, keepdims=True)
    probs = probs[np.random.RandomState(seed).permutation(len(probs))]
    scores = []
    for part in np.array_split(probs, 10):
        divergences = [np.sum(p * np.log(p / part.mean(axis=0))) for p in part]
        scores.append(np.exp(np.mean(divergences)))
    return float(np.mean(scores)), float(np.std(scores))


@pytest.mark.parametrize("known", [True, False], ids=["total known", "total unknown"])
@pytest.mark.parametrize("seed", [0, SEED])
def test_definition(seed: int, known: bool) -> None:
    logits = 2 * np.random.default_rng(1).standard_normal((200, 12))
    result = score(logits, seed, known)
    mean, std = definition(logits, seed)
    assert result.value == pytest.approx(mean, rel=1e-12)
    assert result.extra["std"] == pytest.approx(std, rel=1e-9)
    assert result.extra["num_splits"] == 10


def test_sample_spread_would_be_noticed() -> None:
    """Negative control: std is over all ten splits, not over nine degrees of freedom."""
    logits = 2 * np.random.default_rng(1).standard_normal((200, 12))
    _, std = definition(logits, SEED)
    assert score(logits).extra["std"] != pytest.approx(std * np.sqrt(10 / 9), rel=1e-2)


def test_equal_predictions_score_one() -> None:
    logits = np.tile(np.random.default_rng(2).standard_normal(9), (50, 1))
    result = score(logits)
    assert result.value == pytest.approx(1.0, abs=1e-12)
    assert result.extra["std"] == pytest.approx(0.0, abs=1e-12)


def test_unsure_predictions_score_one() -> None:
    assert score(np.zeros((50, 9))).value == pytest.approx(1.0, abs=1e-12)


def test_sure_and_even_predictions_score_the_number_of_classes() -> None:
    """Each class once in each split: images are placed where the permutation will look for them."""
    classes = 7
    order = np.random.RandomState(SEED).permutation(10 * classes)
    logits = np.full((10 * classes, classes), -200.0)
    logits[order, np.arange(10 * classes) % classes] = 200.0
    result = score(logits)
    assert result.value == pytest.approx(classes, rel=1e-12)
    assert result.extra["std"] == pytest.approx(0.0, abs=1e-9)


def test_adding_a_constant_to_the_logits_changes_nothing() -> None:
    logits = np.random.default_rng(3).standard_normal((60, 5))
    assert score(logits + 50).value == pytest.approx(score(logits).value, rel=1e-5)


def test_seed_is_part_of_the_need() -> None:
    options = [dict(InceptionScore(ISC, seed).needs[0].options) for seed in (1, 2)]
    assert options == [{"num_splits": 10, "seed": 1}, {"num_splits": 10, "seed": 2}]


def test_fewer_images_than_splits_are_refused() -> None:
    with pytest.raises(StatisticsError, match=r"^9 image\(s\) cannot fill the 10 splits of the Inception Score"):
        score(np.zeros((9, 4)))
