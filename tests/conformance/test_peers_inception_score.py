"""Our Inception Score against torch-fidelity 0.4.0, with its permutation.

Tolerance: 1e-5 relative on the mean over splits and on their spread. Both compute in float64; reached with torch
2.13.0: 6e-15.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from genmetrics.accumulators.base import Accumulator
from genmetrics.accumulators.build import build_accumulator
from genmetrics.accumulators.softmax_sums import SoftmaxSums
from genmetrics.extractors import EXTRACTORS
from genmetrics.metrics.base import Metric
from genmetrics.metrics.resolve import build_metrics
from genmetrics.stats.stats import Stats
from genmetrics.types import MetricResult, SideRecord
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


def scored(metric: Metric, sums: Accumulator) -> MetricResult:
    """Of a set that has its softmax sums alone."""
    side = SideRecord("drawn", "array", sums.num_samples, "0" * 64)
    return metric.compute(Stats({metric.needs[0]: sums}, side, {}, SEED), None)


def ours(logits: Tensor, seed: int = SEED, total: int | None = None, backwards: bool = False) -> tuple[float, float]:
    """Batch by batch; ``backwards`` has the last batches arrive first."""
    (metric,) = build_metrics(["isc"], None, EXTRACTORS.get, seed)
    options = dict(metric.needs[0].options)
    assert options == {"num_splits": NUM_SPLITS, "seed": seed}
    sums = SoftmaxSums(logits.shape[1], NUM_SPLITS, seed, total)
    batches = torch.arange(len(logits)).split(150)
    for indices in reversed(batches) if backwards else batches:
        sums.update(logits[indices], indices)
    result = scored(metric, sums)
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


def adm_transcribed(logits: Tensor, split_size: int = 5000) -> float:
    """guided-diffusion's evaluator (22e0df8): float32, consecutive splits, a short last one counts as much."""
    preds = logits.softmax(dim=1).numpy()
    scores = []
    for start in range(0, len(preds), split_size):
        part = preds[start : start + split_size]
        divergence = part * (np.log(part) - np.log(np.expand_dims(np.mean(part, 0), 0)))
        scores.append(np.exp(np.mean(np.sum(divergence, 1))))
    return float(np.mean(scores))


def ours_adm(logits: Tensor, total: int | None) -> float:
    (metric,) = build_metrics(["isc_adm"], None, EXTRACTORS.get, SEED)
    sums = build_accumulator(metric.needs[0], logits.shape[1], total)
    for indices in torch.arange(len(logits)).split(900):
        sums.update(logits[indices], indices)
    return scored(metric, sums).value


class TestADM:
    @pytest.mark.parametrize("total_known", [True, False], ids=["known-total", "unknown-total"])
    @pytest.mark.parametrize("count", [300, 5000, 11_200])
    def test_score(self, count, total_known):
        logits = draw_logits(count, 100)
        found, expected = ours_adm(logits, count if total_known else None), adm_transcribed(logits)
        print(f"ours {found}, theirs {expected}, relative {abs(found - expected) / expected:.1e}")
        assert abs(found - expected) / expected <= TOLERANCE

    def test_the_order_decides(self):
        """Negative control, and the trap: sorted by class a set scores far below the same set permuted."""
        logits = draw_logits(11_200, 100)
        mixed = logits[np.random.RandomState(0).permutation(len(logits))]
        in_order, permuted = adm_transcribed(logits), adm_transcribed(mixed)
        print(f"in order {in_order:.2f}, permuted {permuted:.2f}, isc {ours(logits)[0]:.2f}")
        assert in_order < 0.85 * permuted
        assert abs(ours_adm(mixed, None) - in_order) / in_order > 1e4 * TOLERANCE
        assert ours(logits)[0] > 1.2 * in_order

    def test_a_short_last_split_that_counts_by_its_size(self):
        logits = draw_logits(11_200, 100)
        scores = [adm_transcribed(part) for part in logits.split(5000)]
        wrong = float(np.average(scores, weights=[5000, 5000, 1200]))
        assert abs(ours_adm(logits, None) - wrong) / wrong > 1e3 * TOLERANCE
