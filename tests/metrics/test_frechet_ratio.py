"""The ratio to a real floor against a direct transcription, and what it is of a perfect and of a poor model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import scipy.linalg
import torch

from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.errors import StatisticsError
from genmetrics.metrics.frechet_ratio import FrechetRatio
from genmetrics.stats.stats import Stats
from genmetrics.types import MetricInfo, MetricResult, SideRecord

SEED = 2020
WIDTHS = (5, 3)


def info(count: int = 2) -> MetricInfo:
    names = (
        "|".join(f"{text}{number}{end}" for number in range(count))
        for text, end in (("net", ".v1"), ("f", ""), ("p", ""))
    )
    extractor, feature, preprocess = names
    return MetricInfo("fdr", "x:FrechetRatio", "ratio", extractor, feature, preprocess, False, False, generic="fdr")


def sample(count: int, seed: int, shift: float = 0.0, widths: Sequence[int] = WIDTHS) -> list[np.ndarray]:
    """What each network gives of the same images."""
    scene = np.random.default_rng(seed).standard_normal((count, 2 * max(widths))) + shift
    mixing = np.random.default_rng(7)
    return [(scene @ mixing.standard_normal((scene.shape[1], width))).astype(np.float32) for width in widths]


def stats_of(metric: FrechetRatio, features: Sequence[np.ndarray]) -> Stats:
    banks = {}
    for need, values in zip(metric.needs, features, strict=True):
        banks[need] = FeatureBank(values.shape[1])
        banks[need].update(torch.from_numpy(values), torch.arange(len(values)))
    return Stats(banks, SideRecord("synthetic", "array", len(features[0]), "0" * 64), {}, SEED)


def compute(gen: Sequence[np.ndarray], ref: Sequence[np.ndarray], seed: int = SEED) -> MetricResult:
    metric = FrechetRatio(info(len(gen)), seed)
    return metric.compute(stats_of(metric, gen), stats_of(metric, ref))


def frechet(gen: np.ndarray, ref: np.ndarray) -> float:
    gen, ref = gen.astype(np.float64), ref.astype(np.float64)
    covariances = [np.cov(side, rowvar=False) for side in (gen, ref)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    shift = gen.mean(axis=0) - ref.mean(axis=0)
    return float(shift @ shift + np.trace(covariances[0] + covariances[1] - 2 * root))


def transcription(gen: Sequence[np.ndarray], ref: Sequence[np.ndarray], seed: int) -> list[float]:
    rng = np.random.RandomState(seed)
    size = min(len(gen[0]), len(ref[0]) // 2)
    order = rng.permutation(len(ref[0]))
    chosen = rng.permutation(len(gen[0]))[:size]
    a, b = order[:size], order[size:]
    return [
        frechet(mine[chosen], theirs[b]) / frechet(theirs[a], theirs[b]) for mine, theirs in zip(gen, ref, strict=True)
    ]


@pytest.mark.parametrize(("of_gen", "of_ref"), [(60, 200), (150, 200), (100, 200), (500, 90)])
def test_equals_the_transcription(of_gen, of_ref):
    gen, ref = sample(of_gen, 1, 0.3), sample(of_ref, 2)
    expected = transcription(gen, ref, SEED)
    result = compute(gen, ref)
    print(result, expected)
    # Reached: 1e-14.
    assert result.value == pytest.approx(np.mean(expected), rel=1e-9)
    for number, ratio in enumerate(expected):
        name = f"net{number}.v1"
        assert result.extra[f"ratio.{name}"] == pytest.approx(ratio, rel=1e-9)
        assert result.extra[f"fd.{name}"] / result.extra[f"floor.{name}"] == pytest.approx(ratio, rel=1e-9)
    assert result.extra["num_samples"] == min(of_gen, of_ref // 2)
    # Negative controls: another draw, swapped sides.
    for wrong in (compute(gen, ref, SEED + 1).value, compute(ref, gen).value):
        assert abs(wrong / np.mean(expected) - 1) > 1e-3


@pytest.mark.parametrize("count", [60, 150])
def test_a_perfect_model_scores_about_one(count):
    """Whatever the number of images, where the distances themselves are bias alone."""
    sides = [
        (sample(count, 2 * seed, widths=(40, 24)), sample(400, 2 * seed + 1, widths=(40, 24))) for seed in range(8)
    ]
    results = [compute(*side) for side in sides]
    values = [result.value for result in results]
    print(np.mean(values), np.std(values), np.mean([result.extra["floor.net0.v1"] for result in results]))
    assert np.mean(values) == pytest.approx(1, abs=0.1)
    # Negative control: against a floor of all the images that there are, few generated ones look bad.
    plain = [frechet(gen[0], ref[0]) / frechet(ref[0][::2], ref[0][1::2]) for gen, ref in sides]
    assert count == 150 or np.mean(plain) > 1.5


def test_a_poor_model_scores_more():
    ref = sample(400, 2)
    values = [compute(sample(200, 1, shift), ref).value for shift in (0.0, 0.3, 1.0, 2.0)]
    assert values == sorted(values) and values[-1] > 10 * values[0]


def test_each_network_counts_alike_whatever_the_scale_of_its_features():
    gen, ref = sample(100, 1, 0.5), sample(300, 2)
    scaled = [[side[0], 1000 * side[1]] for side in (gen, ref)]
    assert compute(*scaled).value == pytest.approx(compute(gen, ref).value, rel=1e-6)


def test_one_network_alone():
    gen, ref = sample(100, 1, 0.5), sample(300, 2)
    result = compute(gen[:1], ref[:1])
    assert result.value == pytest.approx(transcription(gen[:1], ref[:1], SEED)[0], rel=1e-9)
    assert list(result.extra) == ["ratio.net0.v1", "fd.net0.v1", "floor.net0.v1", "num_samples"]


def test_few_images_are_warned_of():
    gen, ref = sample(4, 1), sample(300, 2)
    assert any("no more than the feature dimensions of net0.v1 5:" in text for text in compute(gen, ref).warnings)
    assert compute(sample(100, 1), ref).warnings == ()


class TestRefusals:
    @pytest.mark.parametrize(("of_gen", "of_ref"), [(1, 100), (50, 3)])
    def test_too_few_images(self, of_gen, of_ref):
        with pytest.raises(
            StatisticsError, match=rf"at least 2 generated and 4 reference.* it has {of_gen} and {of_ref}"
        ):
            compute(sample(of_gen, 1), sample(of_ref, 2))

    def test_networks_that_saw_unlike_sets(self):
        gen, ref = sample(50, 1), sample(100, 2)
        with pytest.raises(StatisticsError, match="reference set's features are of 90 and 100 images"):
            compute(gen, [ref[0], ref[1][:90]])

    def test_a_reference_of_one_image_over_and_over(self):
        with pytest.raises(StatisticsError, match=r"two halves of the reference are 0 apart on 'net0\.v1'"):
            compute(sample(50, 1), [np.ones((80, width), dtype=np.float32) for width in WIDTHS])
