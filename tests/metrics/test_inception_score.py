"""The Inception Score against its definition and against cases whose score is known."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from genmetrics.accumulators.build import build_accumulator
from genmetrics.accumulators.labels import Labels
from genmetrics.accumulators.softmax_sums import SoftmaxSums
from genmetrics.errors import StatisticsError
from genmetrics.metrics import METRICS
from genmetrics.metrics.inception_score import ChunkedInceptionScore, InceptionScore
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


ADM = METRICS.get("isc_adm")
CHUNK = 40


def score_of_runs(logits: np.ndarray, labels: np.ndarray | None = None, known: bool = True) -> MetricResult:
    """With runs of 40 in place of 5,000."""
    metric = ChunkedInceptionScore(replace(ADM, settings=(("chunk", CHUNK),)), SEED)
    (need,) = metric.needs
    assert need.options == (("chunk", CHUNK),)
    sums = build_accumulator(need, logits.shape[1], len(logits) if known else None)
    sums.update(torch.from_numpy(logits.astype(np.float32)), torch.arange(len(logits)))
    held = None
    if labels is not None:
        held = Labels()
        held.update(torch.from_numpy(labels), torch.arange(len(labels)))
    side = SideRecord("synthetic", "array", len(logits), "0" * 64)
    return metric.compute(Stats({need: sums}, side, {}, SEED, held), None)


def sorted_classes(count: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are sure of a class each, sorted by it."""
    labels = np.sort(np.arange(count) % classes)
    logits = 0.1 * np.random.default_rng(0).standard_normal((count, classes)) + 12 * np.eye(classes)[labels]
    return logits, labels


@pytest.mark.parametrize("known", [True, False], ids=["total known", "total unknown"])
@pytest.mark.parametrize("count", [1, 39, 40, 41, 200, 230])
def test_runs_are_in_order_and_the_last_counts_as_much(count: int, known: bool) -> None:
    logits = 2 * np.random.default_rng(1).standard_normal((count, 12))
    probs = np.exp(logits.astype(np.float32).astype(np.float64))
    probs /= probs.sum(axis=1, keepdims=True)
    runs = [probs[start : start + CHUNK] for start in range(0, count, CHUNK)]
    scores = [np.exp(np.mean([np.sum(p * np.log(p / run.mean(axis=0))) for p in run])) for run in runs]
    result = score_of_runs(logits, known=known)
    assert result.value == pytest.approx(np.mean(scores), rel=1e-12)
    assert result.extra["std"] == pytest.approx(np.std(scores), rel=1e-9, abs=1e-12)
    assert (result.extra["num_splits"], result.extra["split_size"]) == (len(runs), CHUNK)


def test_images_sorted_by_class_score_as_many_classes_as_a_run_holds() -> None:
    """ADM's trap: of 20 perfect classes a run of 40 holds two, and the permuted score sees them all."""
    logits, labels = sorted_classes(400, 20)
    of_runs, permuted = score_of_runs(logits, labels), score(logits)
    print(f"in order {of_runs.value:.2f}, permuted {permuted.value:.2f}")
    assert 1.9 < of_runs.value < 2.1
    assert permuted.value > 14
    mixed = np.random.default_rng(1).permutation(400)
    assert score_of_runs(logits[mixed], labels[mixed]).value > 14


def test_runs_of_the_registered_metric_are_adms() -> None:
    (need,) = ChunkedInceptionScore(ADM, 7).needs
    assert (need.extractor, need.feature, need.preprocess) == (ISC.extractor, ISC.feature, ISC.preprocess)
    assert need.options == (("chunk", 5000),)
    assert ADM.generic is None


@pytest.mark.parametrize("known", [True, False], ids=["total known", "total unknown"])
def test_splits_of_images_in_their_order(known: bool) -> None:
    logits = 2 * np.random.default_rng(3).standard_normal((53, 12)).astype(np.float32)
    metric = InceptionScore(replace(ISC, id="isc_4", settings=(("num_splits", 4), ("shuffle", 0))), SEED)
    (need,) = metric.needs
    sums = build_accumulator(need, 12, len(logits) if known else None)
    sums.update(torch.from_numpy(logits), torch.arange(len(logits)))
    side = SideRecord("synthetic", "array", len(logits), "0" * 64)
    result = metric.compute(Stats({need: sums}, side, {}, SEED), None)
    probs = torch.from_numpy(logits).double().softmax(dim=1).numpy()
    bounds = [part * 53 // 4 for part in range(5)]
    parts = [probs[start:stop] for start, stop in itertools.pairwise(bounds)]
    expected = [np.exp((p * np.log(p / p.mean(axis=0))).sum(axis=1).mean()) for p in parts]
    assert result.value == pytest.approx(np.mean(expected), rel=1e-12)
    assert result.extra["num_splits"] == 4
    shuffled = InceptionScore(replace(ISC, settings=(("num_splits", 4), ("shuffle", 1))), SEED)
    assert shuffled.needs != metric.needs
