"""What every metric promises, over the whole registry and on synthetic statistics."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from genmetrics.accumulators.build import ACCUMULATORS, NO_FEATURES, build_accumulator
from genmetrics.accumulators.labels import Labels
from genmetrics.extractors import EXTRACTORS
from genmetrics.metrics import METRICS
from genmetrics.metrics.base import Metric
from genmetrics.preprocess.spec import PREPROCESS
from genmetrics.registry import load_target
from genmetrics.stats.stats import Stats
from genmetrics.types import MetricInfo, SideRecord

SEED, WIDTH, COUNT = 2020, 10, 80
ALL = METRICS.entries()
#: Distances that compare all of one set with all of another, by their class.
DISTANCE_CLASSES = {
    "CMMD",
    "FrechetAtInfinity",
    "FrechetDistance",
    "FrechetInfluence",
    "FrechetRatio",
    "FullKernelDistance",
    "IntraClassFrechet",
    "KernelDistance",
    "Mind",
    "MindQuantile",
    "SlicedWasserstein",
    "StreamingCMMD",
}
#: Metrics whose sense is tested in a file of their own, by their class.
TESTED_ELSEWHERE: dict[str, str] = {
    "Authenticity": "metrics/test_memorisation.py",
    "ChunkedInceptionScore": "metrics/test_inception_score.py",
    "ClipScore": "engine/test_caption_scores.py",
    "ClippedDensityCoverage": "metrics/test_clipped.py",
    "DensityCoverage": "metrics/test_precision_recall.py",
    "InceptionScoreAtInfinity": "metrics/test_infinity.py",
    "MemorisationInformedFrechetDistance": "metrics/test_memorisation.py",
    "NearestReference": "metrics/test_memorisation.py",
    "PairDiversity": "engine/test_pairs.py",
    "PathLength": "engine/test_paths.py",
    "PrecisionRecall": "metrics/test_precision_recall.py",
    "RealismScore": "metrics/test_memorisation.py",
    "RenyiKernelEntropy": "metrics/test_vendi.py",
    "Vendi": "metrics/test_vendi.py",
}
#: How many samples a metric needs that refuses fewer than its protocol has, by its class.
COUNTS = {"FrechetAtInfinity": 5200, "InceptionScoreAtInfinity": 5200}
DISTANCES = [info for info in ALL if info.target.rpartition(":")[2] in DISTANCE_CLASSES]
FRECHET = [info for info in ALL if info.target.endswith(":FrechetDistance")]
SCORES = [info for info in ALL if info.target.endswith(":InceptionScore")]


def by_id(info: MetricInfo) -> str:
    return info.id


def build(info: MetricInfo) -> Metric:
    metric = load_target(info.target)(info, SEED)
    assert isinstance(metric, Metric)
    return metric


def count_of(info: MetricInfo) -> int:
    return COUNTS.get(info.target.rpartition(":")[2], COUNT)


def sample(seed: int, shift: float = 0.0, count: int = COUNT) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, WIDTH)) + shift


def stats_of(metric: Metric, values: np.ndarray, order: np.ndarray | None = None) -> Stats:
    """The statistics that the metric needs of the rows, fed in the given order."""
    indices = np.arange(len(values)) if order is None else order
    accumulators = {}
    for need in dict.fromkeys((*metric.needs, *metric.ref_needs)):
        accumulators[need] = build_accumulator(need, values.shape[1], len(values))
        rows = values[indices]
        if need.accumulator in NO_FEATURES:  # a figure and the class that it is of
            rows = np.stack((np.abs(rows[:, 0]), indices % 2), axis=1)
        accumulators[need].update(torch.from_numpy(rows), torch.from_numpy(indices))
    labels = Labels()
    labels.update(torch.from_numpy(indices % 2), torch.from_numpy(indices))
    return Stats(accumulators, SideRecord("synthetic", "array", len(values), "0" * 64), {}, SEED, labels)


def value(info: MetricInfo, gen: np.ndarray, ref: np.ndarray | None) -> float:
    metric = build(info)
    return metric.compute(stats_of(metric, gen), None if ref is None else stats_of(metric, ref)).value


@pytest.mark.parametrize("info", ALL, ids=by_id)
def test_metric_agrees_with_its_description(info: MetricInfo) -> None:
    metric = build(info)
    assert metric.id == info.id
    assert metric.unary is info.unary
    assert metric.higher_is_better is info.higher_is_better
    assert metric.protocol == info.protocol
    assert metric.needs
    named = [text.split("|") for text in (info.extractor, info.feature, info.preprocess)]
    for need in (*metric.needs, *metric.ref_needs):
        assert (need.extractor, need.feature, need.preprocess) in set(zip(*named, strict=True))
        assert need.accumulator in ACCUMULATORS


@pytest.mark.parametrize("info", ALL, ids=by_id)
def test_description_names_what_exists(info: MetricInfo) -> None:
    named = [text.split("|") for text in (info.extractor, info.feature, info.preprocess)]
    for name, feature, preprocess in zip(*named, strict=True):
        extractor = EXTRACTORS.get(name)
        assert feature in extractor.features
        assert preprocess in PREPROCESS
    assert info.summary and info.equals
    assert re.fullmatch(r"[a-z][a-z0-9_]*", info.id)
    if info.generic is not None and len(named[0]) == 1:
        assert info.feature == (extractor.logits if info.role == "logits" else extractor.pool)
        assert info.preprocess == extractor.preprocess


def test_families_are_of_one_metric_each() -> None:
    families = [info.generic for info in ALL if info.generic]
    assert len(families) == len(set(families))


def test_estimators_agree_with_the_classes_constants() -> None:
    estimators = {info.id: info.estimator for info in ALL}
    settings = {info.id: dict(info.settings) for info in ALL}
    for name in ("kid", "kid_clean"):
        assert estimators[name] == f"poly3-{settings[name]['num_subsets']}x{settings[name]['subset_size']}"
    assert estimators["isc"] == f"splits{settings['isc']['num_splits']}"
    for info in ALL:
        for name, number in info.settings:
            if name in ("num_projections", "chunk"):
                assert str(number) in info.estimator.split("-"), info.id
    assert {estimators[info.id] for info in FRECHET} == {""}
    for info in ALL:
        if "k" in dict(info.settings):
            assert re.match(r"k(\d+)-", info.estimator)[1] == str(dict(info.settings)["k"])


@pytest.mark.parametrize("info", ALL, ids=by_id)
def test_result_says_what_it_is(info: MetricInfo) -> None:
    metric = build(info)
    side = stats_of(metric, sample(0, count=count_of(info)))
    result = metric.compute(side, None if info.unary else side)
    assert result.id == info.id
    assert np.isfinite(result.value)
    assert all(np.isfinite(figure) for figure in result.extra.values())
    assert (result.protocol.extractor, result.protocol.feature) == (info.extractor, info.feature)
    assert result.protocol.precision == "exact"


@pytest.mark.parametrize("info", DISTANCES, ids=by_id)
def test_distance_grows_with_the_shift(info: MetricInfo) -> None:
    count = count_of(info)
    ref = sample(1, count=count)
    values = [value(info, sample(0, shift, count), ref) for shift in (0.0, 0.5, 1.0, 2.0)]
    assert values == sorted(values)
    assert values[-1] > 5 * abs(values[0])


@pytest.mark.parametrize("info", DISTANCES, ids=by_id)
def test_distance_sees_a_collapse(info: MetricInfo) -> None:
    """Two samples repeated have the reference's scale but not its diversity."""
    count = count_of(info)
    ref = sample(1, count=count)
    collapsed = np.tile(sample(2, count=2), (count // 2, 1))
    assert value(info, collapsed, ref) > 2 * abs(value(info, sample(0, count=count), ref))


@pytest.mark.parametrize("info", ALL, ids=by_id)
def test_order_of_arrival_does_not_matter(info: MetricInfo) -> None:
    count = count_of(info)
    metric, gen, ref = build(info), sample(0, count=count), sample(1, 0.3, count)
    order = np.random.default_rng(2).permutation(count)
    sides = [[stats_of(metric, side, how) for side in (gen, ref)] for how in (None, order)]
    values = [metric.compute(mine, None if info.unary else other).value for mine, other in sides]
    assert values[0] == pytest.approx(values[1], rel=1e-11)


@pytest.mark.parametrize("info", FRECHET, ids=by_id)
def test_frechet_distance_is_symmetric(info: MetricInfo) -> None:
    gen, ref = sample(0, count=50), 1.5 * sample(1, 0.7)
    assert value(info, gen, ref) == pytest.approx(value(info, ref, gen), rel=1e-12)


@pytest.mark.parametrize("info", FRECHET, ids=by_id)
def test_frechet_distance_does_not_depend_on_which_sample_has_which_index(info: MetricInfo) -> None:
    gen, ref = sample(0), sample(1, 0.3)
    mixed = gen[np.random.default_rng(3).permutation(COUNT)]
    assert value(info, mixed, ref) == pytest.approx(value(info, gen, ref), rel=1e-11)


@pytest.mark.parametrize("info", SCORES, ids=by_id)
@pytest.mark.parametrize("scale", [0.0, 0.1, 1.0, 5.0, 1000.0])
def test_inception_score_is_between_one_and_the_number_of_classes(info: MetricInfo, scale: float) -> None:
    score = value(info, scale * sample(0), None)
    assert 1 - 1e-12 <= score <= WIDTH * (1 + 1e-12)


@pytest.mark.parametrize("info", SCORES, ids=by_id)
def test_inception_score_grows_with_the_sureness(info: MetricInfo) -> None:
    scores = [value(info, scale * sample(0), None) for scale in (0.0, 0.5, 2.0, 10.0)]
    assert scores[0] == pytest.approx(1.0, abs=1e-12)
    assert scores == sorted(scores)
    assert scores[-1] > 2


def test_every_metric_is_in_a_group_that_is_tested() -> None:
    """A new metric that is neither a distance nor a score needs a test of its sense in a file named above."""
    elsewhere = {info.id for info in ALL if info.target.rpartition(":")[2] in TESTED_ELSEWHERE}
    assert {info.id for info in (*DISTANCES, *SCORES)} | elsewhere == {info.id for info in ALL}
    assert all((Path(__file__).parents[1] / file).exists() for file in TESTED_ELSEWHERE.values())
