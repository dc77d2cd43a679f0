"""The distance per class against a direct transcription: one matrix square root per class, then the mean."""

from __future__ import annotations

import re

import numpy as np
import pytest
import scipy.linalg
import torch

import genmetrics as gm
from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.labels import Labels
from genmetrics.errors import StatisticsError
from genmetrics.metrics import METRICS
from genmetrics.metrics.intra_class import IntraClassFrechet
from genmetrics.stats.stats import Stats
from genmetrics.types import MetricResult, SideRecord
from support.blocks import NET, registered_blocks

INFO = METRICS.get("intra_fid")
WIDTH = 5


def metric() -> IntraClassFrechet:
    return IntraClassFrechet(INFO, 2020)


def sample(labels: np.ndarray, seed: int = 0, width: int = WIDTH, shift: float = 0.0) -> np.ndarray:
    """Features whose mean and spread depend on the class."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((len(labels), width)) * (1 + 0.3 * labels[:, None])
    return (noise + labels[:, None] * np.arange(width) / width + shift).astype(np.float32)


def stats_of(values: np.ndarray, labels: np.ndarray | None, names: tuple[str, ...] = (), start: int = 0) -> Stats:
    bank = FeatureBank(values.shape[1])
    order = np.random.default_rng(1).permutation(len(values))
    bank.update(torch.from_numpy(values[order]), torch.from_numpy(order))
    kept = None
    if labels is not None:
        kept = Labels()
        kept.update(torch.from_numpy(labels), torch.arange(start, start + len(labels)))
    side = SideRecord("synthetic", "array", len(values), "0" * 64)
    return Stats({metric().needs[0]: bank}, side, {}, 2020, kept, names)


def compute(gen: Stats, ref: Stats) -> MetricResult:
    return metric().compute(gen, ref)


def frechet(gen: np.ndarray, ref: np.ndarray) -> tuple[float, float]:
    covariances = [np.cov(side, rowvar=False) for side in (gen, ref)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    shift = gen.mean(axis=0) - ref.mean(axis=0)
    return float(shift @ shift + np.trace(covariances[0] + covariances[1] - 2 * root)), float(shift @ shift)


GEN_OF = np.random.RandomState(0).randint(0, 4, 160)
REF_OF = np.random.RandomState(1).randint(0, 4, 240)
GEN, REF = sample(GEN_OF, 3, shift=0.2), sample(REF_OF, 4)


class TestAgainstATranscription:
    def test_value_and_table(self):
        pairs = [
            frechet(GEN[number == GEN_OF].astype(np.float64), REF[number == REF_OF].astype(np.float64))
            for number in range(4)
        ]
        distances, shifts = zip(*pairs, strict=True)
        result = compute(stats_of(GEN, GEN_OF), stats_of(REF, REF_OF))
        print(result, np.mean(distances))
        # Reached: 1e-14.
        assert result.value == pytest.approx(np.mean(distances), rel=1e-9)
        assert result.extra["mean_term"] == pytest.approx(np.mean(shifts), rel=1e-9)
        assert result.extra["mean_term"] + result.extra["covariance_term"] == pytest.approx(result.value, rel=1e-12)
        assert result.extra["num_classes"] == 4
        assert result.per_class["class"] == [0, 1, 2, 3]
        assert result.per_class["fid"] == pytest.approx(distances, rel=1e-9)
        assert result.per_class["mean_term"] == pytest.approx(shifts, rel=1e-9)
        assert result.per_class["num_gen"] == [int(np.sum(number == GEN_OF)) for number in range(4)]
        assert result.per_class["num_ref"] == [int((number == REF_OF).sum()) for number in range(4)]

    def test_other_choices_are_told_apart(self):
        """Negative controls: the distance of all images, a mean weighted by images, other labels."""
        value = compute(stats_of(GEN, GEN_OF), stats_of(REF, REF_OF)).value
        table = compute(stats_of(GEN, GEN_OF), stats_of(REF, REF_OF)).per_class
        weighted = np.average(table["fid"], weights=table["num_gen"])
        mixed = compute(stats_of(GEN, GEN_OF[::-1].copy()), stats_of(REF, REF_OF)).value
        for wrong in (frechet(GEN, REF)[0], weighted, mixed):
            assert abs(wrong / value - 1) > 1e-4

    def test_fewer_images_than_dimensions(self):
        """By the samples' cross-Gram matrix, which is exact there."""
        labels = np.repeat([0, 1], 12)
        gen, ref = sample(labels, 1, width=40), sample(labels, 2, width=40)
        expected = []
        for number in (0, 1):
            sides = [side[labels == number].astype(np.float64) for side in (gen, ref)]
            rows = [(side - side.mean(axis=0)) / np.sqrt(len(side) - 1) for side in sides]
            shift = sides[0].mean(axis=0) - sides[1].mean(axis=0)
            overlap = np.linalg.svd(rows[0] @ rows[1].T, compute_uv=False).sum()
            expected.append(shift @ shift + sum(np.square(side).sum() for side in rows) - 2 * overlap)
        result = compute(stats_of(gen, labels), stats_of(ref, labels))
        assert result.value == pytest.approx(np.mean(expected), rel=1e-9)
        assert "2 of 2 classes have no more images than feature dimensions (40; the fewest: 12)" in result.warnings[0]

    def test_warns_of_no_class_that_is_large(self):
        assert compute(stats_of(GEN, GEN_OF), stats_of(REF, REF_OF)).warnings == ()


class TestMatching:
    def test_by_name_whatever_the_numbers(self):
        names = ("ant", "bee", "cat", "dog")
        plain = compute(stats_of(GEN, GEN_OF, names), stats_of(REF, REF_OF, names))
        turned = compute(stats_of(GEN, GEN_OF, names), stats_of(REF, 3 - REF_OF, names[::-1]))
        assert turned.value == pytest.approx(plain.value, rel=1e-12)
        assert turned.per_class["class"] == list(names)

    def test_by_number_where_neither_has_names(self):
        """Negative control: turning the numbers round then matters."""
        plain = compute(stats_of(GEN, GEN_OF), stats_of(REF, REF_OF))
        turned = compute(stats_of(GEN, GEN_OF), stats_of(REF, 3 - REF_OF))
        assert plain.per_class["class"] == [0, 1, 2, 3]
        assert abs(turned.value / plain.value - 1) > 0.1

    @pytest.mark.parametrize("named", ["gen", "ref"])
    def test_names_that_are_numbers_are_those_of_the_other_side(self, named):
        """Folders 0, 1, 10, 2 are numbered in sorted order."""
        values = np.array([0, 1, 10, 2])
        expected = compute(stats_of(GEN, values[GEN_OF]), stats_of(REF, values[REF_OF]))
        names = ("0", "1", "10", "2")
        if named == "gen":
            mixed = compute(stats_of(GEN, GEN_OF, names), stats_of(REF, values[REF_OF]))
        else:
            mixed = compute(stats_of(GEN, values[GEN_OF]), stats_of(REF, REF_OF, names))
        assert mixed.value == pytest.approx(expected.value, rel=1e-12)
        assert sorted(mixed.per_class["class"]) == [0, 1, 2, 10]

    def test_names_in_the_order_of_their_values_are_not_matched_by_place(self):
        """Negative control: with as many classes by another rule the value would be another."""
        names = ("0", "1", "3", "2")
        mixed = compute(stats_of(GEN, GEN_OF), stats_of(REF, REF_OF, names))
        plain = compute(stats_of(GEN, GEN_OF), stats_of(REF, REF_OF))
        assert abs(mixed.value / plain.value - 1) > 0.1

    @pytest.mark.parametrize("names", [("a", "b", "c", "d"), ("0", "1", "2", "x"), ("0", "1", "01", "2")])
    def test_names_of_one_side_alone_are_refused(self, names):
        for gen, ref, text in (
            (names, (), "the generated set names its classes .* and the reference set only numbers them"),
            ((), names, "the reference set names its classes .* and the generated set only numbers them"),
        ):
            with pytest.raises(StatisticsError, match=rf"^{text}.*--labels folders.*NUMBERS\.npy"):
                compute(stats_of(GEN, GEN_OF, gen), stats_of(REF, REF_OF, ref))

    def test_two_numbers_of_one_name_are_one_class(self):
        halves = [np.where(labels == 3, 2, labels) for labels in (GEN_OF, REF_OF)]
        names = ("a", "b", "c")
        expected = compute(stats_of(GEN, halves[0], names), stats_of(REF, halves[1], names))
        names = ("a", "b", "c", "c")
        same = compute(stats_of(GEN, GEN_OF, names), stats_of(REF, REF_OF, names))
        assert same.value == pytest.approx(expected.value, rel=1e-12)


class TestRefusals:
    @pytest.mark.parametrize(("sides", "what"), [((None, REF_OF), "generated"), ((GEN_OF, None), "reference")])
    def test_without_classes(self, sides, what):
        with pytest.raises(StatisticsError, match=rf"^the {what} set has no classes.*--labels"):
            compute(stats_of(GEN, sides[0]), stats_of(REF, sides[1]))

    def test_a_class_of_one_side_only_is_named(self):
        message = r"^the reference set has no image of 1 class\(es\) that the other set has: 3\. "
        with pytest.raises(StatisticsError, match=message):
            compute(stats_of(GEN, GEN_OF), stats_of(REF, np.minimum(REF_OF, 2)))
        names = ("a", "b", "c", "d")
        gen, ref = stats_of(GEN, np.minimum(GEN_OF, 2), names), stats_of(REF, REF_OF, names)
        with pytest.raises(StatisticsError, match=r"the generated set has no image of 1 .*: 'd'"):
            compute(gen, ref)

    def test_many_classes_are_not_all_listed(self):
        labels = np.arange(160) % 40
        with pytest.raises(StatisticsError, match=re.escape("36 class(es) that the other set has: 4, 5, 6,")) as caught:
            compute(stats_of(GEN, labels), stats_of(REF, REF_OF))
        assert "14" not in str(caught.value) and "…" in str(caught.value)

    def test_one_image_of_a_class(self):
        labels = GEN_OF.copy()
        labels[labels == 2] = 1
        labels[5] = 2
        with pytest.raises(StatisticsError, match=r"^the generated set has one image only of 1 class\(es\): 2\. "):
            compute(stats_of(GEN, labels), stats_of(REF, REF_OF))

    def test_classes_of_other_images(self):
        with pytest.raises(StatisticsError, match="classes are of other images"):
            compute(stats_of(GEN, GEN_OF, start=1), stats_of(REF, REF_OF))


def test_from_images_with_labels(smooth_images, tmp_path):
    """The whole way, on a network that takes no time; the name says that it is not Inception."""
    labels = np.arange(28) % 2
    sides = []
    for seed in (1, 2):
        images = smooth_images(28, 20, 20, seed=seed)
        sides.append(tmp_path / f"{seed}.npz")
        np.savez(sides[-1], arr_0=images, arr_1=labels)
    with registered_blocks():
        report = gm.evaluate(*sides, ["intra_fid", "fid"], extractor=NET)
        result = report[f"intra_fd.{NET}"]
        for number in (0, 1):
            of_class = [np.load(side)["arr_0"][labels == number] for side in sides]
            alone = gm.evaluate(*of_class, ["fid"], extractor=NET)[f"fd.{NET}"]
            assert result.per_class["fd"][number] == pytest.approx(alone.value, rel=1e-9)
    assert result.value == pytest.approx(np.mean(result.per_class["fd"]), rel=1e-12)
    assert result.value != pytest.approx(report[f"fd.{NET}"].value, rel=1e-3)
