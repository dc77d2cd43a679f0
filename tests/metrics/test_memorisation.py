"""Realism, authenticity and nearest reference images, against transcriptions of dgm-eval's code and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genmetrics.errors import StatisticsError
from support.features import all_distances, build, evaluate, own_distances, sample, stats_of


def realism_of_dgm_eval(gen: torch.Tensor, ref: torch.Tensor, k: int = 3) -> np.ndarray:
    """metrics/prdc.py of layer6ai-labs/dgm-eval at 74c79f7."""
    radii = np.sqrt(own_distances(ref)[:, k - 1])
    small = radii < np.median(radii)
    return (radii[small, None] / np.sqrt(all_distances(ref, gen))[small]).max(axis=0)


def authpct_of_dgm_eval(gen: torch.Tensor, train: torch.Tensor) -> float:
    """metrics/authpct.py of the same."""
    own = np.sqrt(all_distances(train, train))
    np.fill_diagonal(own, np.inf)
    cross = np.sqrt(all_distances(train, gen))
    authentic = own.min(axis=0)[cross.argmin(axis=0)] < cross.min(axis=0)
    return 100 * authentic.sum() / len(authentic)


class TestRealism:
    @pytest.mark.parametrize("num_ref", [80, 81])
    @pytest.mark.parametrize("shift", [0.0, 0.5, 50.0])
    def test_equals_dgm_eval(self, num_ref, shift):
        gen, ref = sample(0, 90, 6, shift), sample(1, num_ref, 6)
        expected = realism_of_dgm_eval(gen, ref)
        found = evaluate("realism", gen, ref)
        np.testing.assert_allclose(found.per_image["realism"], expected, rtol=1e-12)
        assert found.value == pytest.approx(expected.mean(), rel=1e-12)
        assert found.extra["median"] == pytest.approx(np.median(expected), rel=1e-12)
        assert found.extra["share_above_1"] == (expected > 1).mean()
        assert list(found.per_image["nearest_ref"]) == all_distances(gen, ref).argmin(axis=1).tolist()

    @pytest.mark.parametrize("k", [2, 4])
    def test_another_k_is_told_apart(self, k):
        gen, ref = sample(0, 90, 6), sample(1, 80, 6)
        assert abs(evaluate("realism", gen, ref).value - realism_of_dgm_eval(gen, ref, k).mean()) > 1e-2

    def test_squared_is_kynkaats_code(self):
        """Kynkäänniemi's and ADM's code have squared distances and radii: the square of this score."""
        gen, ref = sample(0, 40, 6), sample(1, 80, 6)
        radii = own_distances(ref)[:, 2]
        small = radii <= np.percentile(radii, 50)
        squared = (radii[small, None] / all_distances(ref, gen)[small]).max(axis=0)
        np.testing.assert_allclose(np.square(evaluate("realism", gen, ref).per_image["realism"]), squared, rtol=1e-12)

    def test_copies_are_infinite_and_said(self):
        ref = sample(1, 80, 6)
        gen = torch.cat((ref[:30], sample(0, 60, 6)))
        found = evaluate("realism", gen, ref)
        scores = np.array(found.per_image["realism"])
        small = np.sqrt(own_distances(ref)[:30, 2]) < np.median(np.sqrt(own_distances(ref)[:, 2]))
        assert np.isinf(scores).sum() == found.extra["num_infinite"] == small.sum()
        assert found.value == pytest.approx(scores[np.isfinite(scores)].mean(), rel=1e-12)
        assert f"{small.sum()} of 90 generated images have exactly the features" in found.warnings[0]

    def test_only_copies_have_no_score(self):
        ref = sample(1, 80, 6)
        kept = np.sqrt(own_distances(ref)[:, 2]) < np.median(np.sqrt(own_distances(ref)[:, 2]))
        with pytest.raises(StatisticsError, match="every generated image has exactly the features"):
            evaluate("realism", ref[torch.from_numpy(kept)], ref)

    def test_a_reference_of_copies_has_no_balls(self):
        with pytest.raises(StatisticsError, match="no reference ball is smaller than the median"):
            evaluate("realism", sample(0, 20, 6), sample(1, 1, 6).repeat(30, 1))


class TestAuthenticity:
    @pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.3, 1.0), (0.0, 0.5)])
    def test_equals_dgm_eval(self, shift, scale):
        gen, train = sample(0, 90, 6, shift, scale), sample(1, 120, 6)
        expected = authpct_of_dgm_eval(gen, train)
        found = evaluate("authpct", gen, train)
        assert 0 < expected < 100
        assert found.value == pytest.approx(expected, rel=1e-14)
        assert found.extra["num_authentic"] == sum(found.per_image["authentic"])

    def test_swapped_sides_are_told_apart(self):
        gen, train = sample(0, 90, 6, 0.0, 0.5), sample(1, 120, 6)
        assert abs(evaluate("authpct", gen, train).value - authpct_of_dgm_eval(train, gen)) > 1

    def test_an_equal_distance_is_no_authentic_one(self):
        """Training 0 and 2, generated 4: its nearest, 2, is as near to it as to 0."""
        train = torch.tensor([[0.0], [2.0], [-90.0]])
        assert evaluate("authpct", torch.tensor([[4.0]]), train).value == 0
        assert evaluate("authpct", torch.tensor([[4.001]]), train).value == 100

    def test_copies_are_not_authentic(self):
        train = sample(1, 60, 6)
        gen = train + 1e-3 * sample(0, 60, 6)
        assert evaluate("authpct", gen, train).value == 0


class TestNearestReference:
    def test_equals_a_search(self):
        gen, ref = sample(0, 70, 6, 1.0), sample(1, 80, 6, 1.0)
        x, y = (side.numpy().astype(np.float64) for side in (gen, ref))
        cosines = x @ y.T / np.linalg.norm(x, axis=1)[:, None] / np.linalg.norm(y, axis=1)
        found = evaluate("nearest", gen, ref)
        least = 1 - cosines.max(axis=1)
        np.testing.assert_allclose(found.per_image["distance"], least, atol=1e-14)
        assert list(found.per_image["nearest_ref"]) == cosines.argmax(axis=1).tolist()
        assert found.value == pytest.approx(least.mean(), rel=1e-12)
        assert found.extra["min"] == pytest.approx(least.min(), abs=1e-14)
        assert found.extra["p01"] == pytest.approx(np.percentile(least, 1), abs=1e-14)
        assert found.extra["median"] == pytest.approx(np.median(least), abs=1e-14)
        assert found.extra["num_pairs_below"] == 0

    def test_distances_are_of_angles(self):
        """Not of lengths: Euclidean neighbours are others."""
        gen, ref = sample(0, 70, 6), sample(1, 80, 6)
        assert (
            list(evaluate("nearest", gen, ref).per_image["nearest_ref"]) != all_distances(gen, ref).argmin(1).tolist()
        )

    def test_copies_are_counted(self):
        ref = sample(1, 80, 64, 5.0)
        gen = torch.cat((ref[10:13], 2 * ref[20:22], sample(0, 45, 64, 5.0)))
        found = evaluate("nearest", gen, ref)
        assert found.extra["num_pairs_below"] == 5
        assert found.extra["share_of_copies"] == 0.1
        assert list(found.per_image["nearest_ref"])[:5] == [10, 11, 12, 20, 21]
        assert found.extra["min"] == 0

    def test_indices_are_those_of_the_images(self):
        metric = build("nearest")
        gen, ref = sample(0, 20, 6), sample(1, 30, 6)
        numbers = [torch.arange(len(side)) * 3 + start for side, start in ((gen, 7), (ref, 100))]
        found = metric.compute(stats_of(metric, gen, numbers[0]), stats_of(metric, ref, numbers[1]))
        plain = evaluate("nearest", gen, ref)
        assert list(found.per_image["index"]) == numbers[0].tolist()
        assert list(found.per_image["nearest_ref"]) == [100 + 3 * row for row in plain.per_image["nearest_ref"]]


class TestMifid:
    def test_copies_make_it_large(self):
        ref = sample(1, 200, 8, 1.0)
        copies, fresh = ref[:100] + 1e-4, sample(0, 100, 8, 1.0)
        assert evaluate("mifid", copies, ref).value > 100 * evaluate("mifid", fresh, ref).value

    def test_copies_are_warned_of(self):
        ref = sample(1, 200, 8, 1.0)
        for copies in (ref.clone(), ref[:100]):
            assert any("copies of one another" in text for text in evaluate("mifid", copies, ref).warnings)
        assert evaluate("mifid", sample(0, 100, 8, 1.0), ref).warnings == ()
        assert "no more images" in evaluate("mifid", sample(0, 8, 8, 1.0), ref).warnings[0]

    def test_the_directions_differ(self):
        """A generator of few images, all copies: every generated image has a twin, few training images have."""
        ref = sample(1, 200, 24)
        gen = ref[:20].repeat(5, 1) + 1e-4
        there, back = evaluate("mifid", gen, ref), evaluate("mifid_torchmetrics", gen, ref)
        assert there.extra["cosine_distance"] < 1e-6
        assert back.extra["cosine_distance"] > 0.1
        assert back.extra["divisor"] == 1.0
        assert back.value == pytest.approx(there.extra["fid"], rel=1e-12)

    def test_features_of_zeros_have_no_angle(self):
        with pytest.raises(StatisticsError, match="all features of the generated set are zero"):
            evaluate("mifid", torch.zeros(30, 4), sample(0, 30, 4))
