"""FID∞ and IS∞ against a slow transcription of FID_IS_infinity's ``score_infinity.py`` (32a8ff1)."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.linalg
import torch

from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.errors import StatisticsError
from genmetrics.metrics import METRICS, infinity
from genmetrics.metrics.frechet import FrechetDistance
from genmetrics.metrics.infinity import FrechetAtInfinity, InceptionScoreAtInfinity, extrapolate
from genmetrics.stats.stats import Stats
from genmetrics.types import MetricResult, Need, SideRecord
from support.float64_seen import LargestFloat64

FID, ISC = METRICS.get("fid_inf"), METRICS.get("isc_inf")
SEED = 2020


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """The smallest subset, which makes the tests quick."""
    for metric in (FrechetAtInfinity, InceptionScoreAtInfinity):
        monkeypatch.setattr(metric, "min_size", 50)
    return 50


def sample(count: int, width: int = 6, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((count, width)) + shift).astype(np.float32)


def stats_of(need: Need, values: np.ndarray) -> Stats:
    bank = FeatureBank(values.shape[1])
    bank.update(torch.from_numpy(values), torch.arange(len(values)))
    return Stats({need: bank}, SideRecord("synthetic", "array", len(values), "0" * 64), {}, SEED)


def fid_inf(gen: np.ndarray, ref: np.ndarray, seed: int = SEED) -> MetricResult:
    metric = FrechetAtInfinity(FID, seed)
    return metric.compute(stats_of(metric.needs[0], gen), stats_of(metric.needs[0], ref))


def isc_inf(logits: np.ndarray, seed: int = SEED) -> MetricResult:
    metric = InceptionScoreAtInfinity(ISC, seed)
    return metric.compute(stats_of(metric.needs[0], logits), None)


def published(values: np.ndarray, score, least: int, seed: int) -> tuple[float, float]:
    """Shuffle, take the first n, score; then the line over 1/n by np.polyfit."""
    np.random.seed(seed)  # noqa: NPY002 - the published code draws from the global generator
    batches = np.linspace(least, len(values), 15).astype("int32")
    pool, scores = values.astype(np.float64), []
    for size in batches:
        np.random.shuffle(pool)  # noqa: NPY002
        scores.append(score(pool[:size]))
    slope, intercept = np.polyfit(1 / batches, scores, 1)
    return intercept, slope


def frechet(gen: np.ndarray, ref: np.ndarray) -> float:
    covariances = [np.cov(side, rowvar=False) for side in (gen, ref)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    shift = gen.mean(axis=0) - ref.mean(axis=0)
    return float(shift @ shift + np.trace(covariances[0] + covariances[1] - 2 * root))


def inception_score(logits: np.ndarray) -> float:
    exps = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs = exps / exps.sum(axis=1, keepdims=True)
    kl = probs * (np.log(probs) - np.log(probs.mean(axis=0)))
    return float(np.exp(kl.sum(axis=1).mean()))


class TestAgainstThePublishedCode:
    def test_frechet(self, small):
        gen, ref = sample(300), sample(400, seed=1, shift=0.2)
        ref64 = ref.astype(np.float64)
        value, slope = published(gen, lambda part: frechet(part, ref64), small, SEED)
        ours = fid_inf(gen, ref)
        print(ours.value, value, ours.extra)
        # Reached: 1e-14.
        assert ours.value == pytest.approx(value, rel=1e-9)
        assert ours.extra["slope"] == pytest.approx(slope, rel=1e-9)
        assert ours.extra["raw"] == pytest.approx(frechet(gen.astype(np.float64), ref64), rel=1e-9)
        assert (ours.extra["num_points"], ours.extra["min_size"]) == (15, small)

    def test_inception_score(self, small):
        logits = 3 * sample(260, 8)
        value, slope = published(logits, inception_score, small, SEED)
        ours = isc_inf(logits)
        print(ours.value, value, ours.extra)
        assert ours.value == pytest.approx(value, rel=1e-9)
        assert ours.extra["slope"] == pytest.approx(slope, rel=1e-9)
        assert ours.extra["raw"] == pytest.approx(inception_score(logits.astype(np.float64)), rel=1e-9)

    def test_chunks_do_not_matter_and_bound_the_memory(self, small, monkeypatch):
        logits = 3 * sample(260, 8)
        whole = isc_inf(logits)
        monkeypatch.setattr(infinity, "_CHUNK", 37)
        chunked = isc_inf(logits)
        assert chunked.value == pytest.approx(whole.value, rel=1e-12)
        assert chunked.extra["raw"] == pytest.approx(whole.extra["raw"], rel=1e-12)
        # Which rows are in which of the 15 subsets is kept for all, probabilities of 400 classes are not.
        wide = 3 * sample(260, 400)
        with LargestFloat64() as seen:
            isc_inf(wide)
        assert 0 < seen.numbers <= 37 * 400

    def test_other_choices_are_told_apart(self, small):
        """Negative controls: another seed, another smallest size, swapped sides."""
        gen, ref = sample(300), sample(400, seed=1, shift=0.2)
        value, _ = published(gen, lambda part: frechet(part, ref.astype(np.float64)), small, SEED)
        other, _ = published(gen, lambda part: frechet(part, ref.astype(np.float64)), small - 10, SEED)
        for wrong in (fid_inf(gen, ref, SEED + 1).value, other, fid_inf(ref, gen).value):
            assert abs(wrong / value - 1) > 1e-4
        logits = 3 * sample(260, 8)
        score, _ = published(logits, inception_score, small, SEED)
        assert abs(isc_inf(logits, SEED + 1).value / score - 1) > 1e-6

    def test_published_sizes(self):
        """15 from 5,000 to all, each a whole number cut off."""
        sizes = FrechetAtInfinity(FID, SEED)._sizes(50_000)
        assert sizes == np.linspace(5000, 50_000, 15).astype("int32").tolist()
        assert (len(sizes), sizes[0], sizes[-1]) == (15, 5000, 50_000)


class TestLine:
    def test_exact_on_a_line(self):
        sizes = [10, 20, 40, 80]
        assert extrapolate(sizes, [3 - 7 / size for size in sizes]) == pytest.approx((3, -7), rel=1e-12)

    def test_is_least_squares(self):
        sizes, values = [10, 14, 25, 90], [4.0, 3.0, 3.5, 1.0]
        slope, intercept = np.polyfit(1 / np.array(sizes), values, 1)
        assert extrapolate(sizes, values) == pytest.approx((intercept, slope), rel=1e-9)
        assert extrapolate(sizes[::-1], values) != pytest.approx((intercept, slope), rel=1e-3)


class TestSense:
    def test_the_bias_of_few_generated_images_goes(self, small):
        """Of the same distribution, and a reference of very many images: the truth is 0."""
        ref = sample(20_000, seed=99)
        results = [fid_inf(sample(300, seed=seed), ref) for seed in range(6)]
        raw = np.mean([result.extra["raw"] for result in results])
        value = np.mean([result.value for result in results])
        print(raw, value)
        assert raw > 0.05
        assert abs(value) < raw / 3
        assert all(result.extra["slope"] > 0 for result in results)

    def test_more_apart_is_more(self, small):
        ref = sample(400, seed=1)
        values = [fid_inf(sample(300, shift=shift), ref).value for shift in (0.0, 0.5, 1.0)]
        assert values == sorted(values) and values[-1] > 1

    def test_surer_scores_higher(self, small):
        scores = [isc_inf(scale * sample(300, 8)).value for scale in (0.1, 1.0, 5.0)]
        assert scores == sorted(scores) and scores[0] == pytest.approx(1, abs=0.01)

    def test_certain_classes_score_their_number(self, small):
        logits = np.full((400, 4), -2000, dtype=np.float32)
        logits[np.arange(400), np.arange(400) % 4] = 2000
        assert isc_inf(logits).value == pytest.approx(4, rel=0.05)

    def test_raw_is_the_plain_metric(self, small):
        """No image is made smaller first, which the published code does to images in a folder."""
        gen, ref = sample(300), sample(400, seed=1, shift=0.2)
        plain = FrechetDistance(METRICS.get("fid"), SEED)
        metric = FrechetAtInfinity(FID, SEED)
        sides = [stats_of(metric.needs[0], side) for side in (gen, ref)]
        assert metric.compute(*sides).extra["raw"] == pytest.approx(plain.compute(*sides).value, rel=1e-12)
        assert metric.needs[0].preprocess == plain.needs[0].preprocess


class TestTooFew:
    @pytest.mark.parametrize("count", [10, 5000])
    def test_as_many_as_the_smallest_set_are_refused(self, count):
        with pytest.raises(
            StatisticsError, match=rf"'fid_inf' fits a line to sets of 5000 .* generated set has {count};"
        ):
            fid_inf(sample(count), sample(30))
        with pytest.raises(StatisticsError, match="'isc_inf' fits a line to sets of 5000"):
            isc_inf(sample(count))

    def test_a_short_line_is_warned_of(self, small):
        ref = sample(400, seed=1)
        assert any("sets of 50 to 99 images only" in text for text in fid_inf(sample(99), ref).warnings)
        assert fid_inf(sample(100), ref).warnings == ()

    def test_a_small_reference_is_warned_of(self, small):
        assert any("reference 6" in text for text in fid_inf(sample(120), sample(6, seed=1)).warnings)
