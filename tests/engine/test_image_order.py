"""Sorted images are noticed, and a random order is not taken for one more often than is said."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from genmetrics.accumulators.softmax_sums import IN_ORDER, SoftmaxSums
from genmetrics.engine.image_order import FALSE_ALARM, limit, order_of, order_of_labels, split_sizes
from genmetrics.types import Need

TEN = Need("n", "p", "logits", "softmax_sums", (("num_splits", 10), ("seed", IN_ORDER)))
RUNS = Need("n", "p", "logits", "softmax_sums", (("chunk", 50),))


def classes_of(count: int, classes: int, skewed: bool, seed: int) -> np.ndarray:
    weights = np.arange(1, classes + 1) ** -1.5 if skewed else np.ones(classes)
    return np.random.default_rng(seed).choice(classes, count, p=weights / weights.sum())


def divergence(labels: np.ndarray, sizes: list[int]) -> float:
    """The Jensen-Shannon divergence of the splits, from its definition by entropies."""

    def entropy(part: np.ndarray) -> float:
        p = np.unique(part, return_counts=True)[1] / len(part)
        return float(-(p * np.log(p)).sum())

    parts = np.split(labels, np.cumsum(sizes)[:-1])
    return entropy(labels) - sum(len(part) / len(labels) * entropy(part) for part in parts)


@pytest.mark.parametrize(("count", "classes"), [(60, 3), (400, 20), (1000, 1000)])
def test_the_divergence_is_that_of_entropies(count: int, classes: int) -> None:
    labels, sizes = classes_of(count, classes, True, 1), split_sizes(TEN, count)
    order, _, _ = order_of_labels(torch.from_numpy(labels), sizes)
    assert order.divergence == pytest.approx(divergence(labels, sizes), abs=1e-12)


@pytest.mark.parametrize("skewed", [False, True])
@pytest.mark.parametrize(("count", "classes"), [(60, 2), (200, 5), (400, 400), (3000, 40)])
def test_a_random_order_exceeds_the_limit_no_more_often_than_is_said(count: int, classes: int, skewed: bool) -> None:
    """At one in a hundred, where it can be counted."""
    labels = torch.from_numpy(classes_of(count, classes, skewed, 2))
    sizes = split_sizes(TEN, count)
    overall = torch.bincount(labels) / count
    allowed = limit(torch.tensor(sizes, dtype=torch.float64), overall.double(), 0.01)
    rng, runs = np.random.default_rng(3), 400
    found = [
        order_of_labels(labels[torch.from_numpy(rng.permutation(count))], sizes)[0].divergence for _ in range(runs)
    ]
    assert sum(value > allowed for value in found) <= 0.01 * runs
    # Negative control: a limit at what they are on average would be exceeded all the time.
    assert sum(value > np.mean(found) for value in found) > 0.2 * runs


@pytest.mark.parametrize("sharpness", [0.3, 2.0, 20.0])
def test_probabilities_of_a_random_order_stay_below_the_limit(sharpness: float) -> None:
    rng = np.random.default_rng(4)
    logits = sharpness * rng.standard_normal((500, 30))
    over = 0
    for _ in range(100):
        sums = SoftmaxSums(30, 10, IN_ORDER, 500)
        sums.update(torch.from_numpy(rng.permutation(logits)), torch.arange(500))
        counts, of_splits = sums.sums()
        order = order_of(counts, of_splits)
        over += order.divergence > limit(counts, of_splits.sum(dim=0) / 500, 0.01)
        assert not order.matters
    assert over <= 1


@pytest.mark.parametrize("known", [True, False], ids=["total known", "total unknown"])
def test_the_score_is_lower_by_the_divergence(known: bool) -> None:
    """log of the score over all images as one = its mean over the splits + divergence."""
    labels = np.sort(classes_of(400, 8, False, 5))
    logits = torch.from_numpy(np.random.default_rng(5).standard_normal((400, 8)) + 4 * np.eye(8)[labels])
    sums, whole = SoftmaxSums(8, 0, 0, 400 if known else None, chunk=50), SoftmaxSums(8, 1, 0, 400)
    for held in (sums, whole):
        held.update(logits, torch.arange(400))
    order = order_of(*sums.sums())
    assert order.matters
    mean = float(sums.mean_divergences().mean())
    assert float(whole.mean_divergences()[0]) == pytest.approx(mean + order.divergence, rel=1e-5)


def test_sorted_labels_are_found_and_counted() -> None:
    labels = torch.arange(400) // 20
    order, most, total = order_of_labels(labels, split_sizes(RUNS, 400))
    assert order.matters
    assert (most, total) == (3, 20)
    mixed = labels[torch.from_numpy(np.random.default_rng(6).permutation(400))]
    assert not order_of_labels(mixed, split_sizes(RUNS, 400))[0].matters


def test_few_images_of_many_classes_say_nothing() -> None:
    """Of 20 images that are each of another class any order is as good."""
    order, _, _ = order_of_labels(torch.arange(20), split_sizes(TEN, 20))
    assert order.divergence == pytest.approx(math.log(10))
    assert not order.matters


def test_splits_are_those_of_the_sums() -> None:
    for need, make in (
        (TEN, lambda total: SoftmaxSums(2, 10, IN_ORDER, total)),
        (RUNS, lambda total: SoftmaxSums(2, 0, 0, total, chunk=50)),
    ):
        for total in (10, 49, 50, 51, 137):
            sums = make(total)
            sums.update(torch.zeros(total, 2), torch.arange(total))
            assert split_sizes(need, total) == sums.sums()[0].tolist()


def test_no_poisson_number_has_a_larger_expected_deviance_than_is_assumed() -> None:
    """Neither the largest one, nor the bound for a single cell."""
    x = np.arange(400)
    log_factorial = np.array([math.lgamma(value + 1) for value in x])
    for mean in np.geomspace(1e-3, 100, 200):
        chance = np.exp(x * np.log(mean) - mean - log_factorial)
        deviance = 2 * (x * np.log(np.maximum(x, 1) / mean) - x + mean)
        assert float((chance * deviance).sum()) <= min(1.17, 2 * mean * math.log1p(1 / mean))


def test_the_false_alarm_is_as_documented() -> None:
    assert FALSE_ALARM == 1e-6
