"""Our Inception Score against torch-fidelity 0.4.0, with its permutation.

Tolerance: 1e-5 relative on the mean over splits and on their spread. Both compute in float64; reached with torch
2.13.0: 6e-15.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from genmetrics.accumulators.softmax_sums import SoftmaxSums
from genmetrics.extractors import EXTRACTORS
from genmetrics.metrics.base import SetStatistics
from genmetrics.metrics.resolve import build_metrics
from genmetrics.types import Need
from support.peers import import_peer

fidelity = import_peer("torch_fidelity.metric_isc")

TOLERANCE = 1e-5
SEED = 2020
NUM_SPLITS = 10
# With remainders by the ten splits, without, and as few as there may be.
COUNTS = [10, 37, 200, 1003, 1999]


def draw_logits(count: int, classes: int = 1008) -> Tensor:
    """(count, classes) float32, sorted by class as the images of a folder of classes are."""
    rng = np.random.RandomState(5)
    favourite = np.sort(rng.randint(0, classes, count))
    logits = 1.5 * rng.standard_normal((count, classes))
    logits[np.arange(count), favourite] += rng.uniform(2, 9, count)
    return torch.from_numpy(logits.astype(np.float32))


class _OneSet(SetStatistics):
    """What the metric sees of a set that has its softmax sums alone."""

    def __init__(self, sums: SoftmaxSums) -> None:
        self._sums = sums

    @property
    def num_samples(self) -> int:
        return self._sums.num_samples

    def get(self, need: Need) -> SoftmaxSums:
        assert need.accumulator == "softmax_sums"
        return self._sums


def ours(logits: Tensor, seed: int = SEED, total: int | None = None, backwards: bool = False) -> tuple[float, float]:
    """Batch by batch; ``backwards`` has the last batches arrive first."""
    (metric,) = build_metrics(["isc"], None, EXTRACTORS.get, seed)
    options = dict(metric.needs[0].options)
    assert options == {"num_splits": NUM_SPLITS, "seed": seed}
    sums = SoftmaxSums(logits.shape[1], NUM_SPLITS, seed, total)
    batches = torch.arange(len(logits)).split(150)
    for indices in reversed(batches) if backwards else batches:
        sums.update(logits[indices], indices)
    result = metric.compute(_OneSet(sums), None)
    return result.value, result.extra["std"]


def theirs(logits: Tensor, shuffle: bool = True) -> tuple[float, float]:
    found = fidelity.isc_features_to_metric(logits, NUM_SPLITS, shuffle, SEED)
    return found["inception_score_mean"], found["inception_score_std"]


def errors(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    found = abs(one[0] - other[0]) / other[0], abs(one[1] - other[1]) / other[1]
    print(f"ours {one}, theirs {other}, relative {found[0]:.1e}, {found[1]:.1e}")
    return found


class TestTorchFidelity:
    @pytest.mark.parametrize("total_known", [True, False], ids=["known-total", "unknown-total"])
    @pytest.mark.parametrize("backwards", [False, True], ids=["in-order", "backwards"])
    @pytest.mark.parametrize("count", COUNTS[1:])
    def test_mean_and_spread(self, count, backwards, total_known):
        logits = draw_logits(count)
        found = ours(logits, total=count if total_known else None, backwards=backwards)
        assert max(errors(found, theirs(logits))) <= TOLERANCE

    def test_one_image_a_split(self):
        """Each marginal is its only image's distribution: the score is 1 and has no spread, up to rounding."""
        logits = draw_logits(COUNTS[0])
        for found in (ours(logits), theirs(logits)):
            assert found == pytest.approx((1.0, 0.0), abs=1e-12)

    @pytest.mark.parametrize("count", COUNTS)
    def test_a_known_total_changes_nothing(self, count):
        logits = draw_logits(count)
        assert ours(logits, total=count) == pytest.approx(ours(logits), rel=1e-12, abs=1e-12)

    @pytest.mark.parametrize("scale", [0.0, 1e-3, 30.0])
    def test_uniform_and_one_hot_softmaxes(self, scale):
        """From no preference to near certainty. Where all images are alike the spread is rounding alone."""
        logits = draw_logits(203) * scale
        assert ours(logits) == pytest.approx(theirs(logits), rel=TOLERANCE, abs=1e-9)

    def test_probabilities_that_underflow(self):
        """torch-fidelity gives nan where a class is impossible to float64 for a whole split; 0 · log 0 is 0."""
        logits = draw_logits(203) * 200
        with np.errstate(invalid="ignore"):
            assert np.isnan(theirs(logits)).all()
        p = logits[np.random.RandomState(SEED).permutation(203)].double().softmax(dim=1)
        splits = [p[203 * i // NUM_SPLITS : 203 * (i + 1) // NUM_SPLITS] for i in range(NUM_SPLITS)]
        # The floor keeps means of denormals, which contribute nothing, from rounding to zero.
        marginals = [split.mean(dim=0).clamp(min=1e-300) for split in splits]
        divergences = [torch.xlogy(p, p) - torch.xlogy(p, q) for p, q in zip(splits, marginals, strict=True)]
        scores = [float(divergence.sum(dim=1).mean().exp()) for divergence in divergences]
        assert ours(logits) == pytest.approx((np.mean(scores), np.std(scores)), rel=1e-12)


class TestToldApart:
    def test_another_seed(self):
        logits = draw_logits(1003)
        assert min(errors(ours(logits, SEED + 1), theirs(logits))) > 10 * TOLERANCE

    def test_no_permutation(self):
        """On images sorted by class the splits without a permutation see few classes each."""
        logits = draw_logits(1003)
        assert min(errors(ours(logits), theirs(logits, shuffle=False))) > 1000 * TOLERANCE

    def test_another_order_of_the_images(self):
        logits = draw_logits(1003)
        assert min(errors(ours(logits.flip(0)), theirs(logits))) > 10 * TOLERANCE

    def test_the_sample_spread(self):
        """ddof 1 in place of 0 over ten splits."""
        mean, spread = ours(draw_logits(1003))
        wrong = (mean, spread * (NUM_SPLITS / (NUM_SPLITS - 1)) ** 0.5)
        assert errors(wrong, theirs(draw_logits(1003)))[1] > 100 * TOLERANCE
