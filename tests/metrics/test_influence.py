"""Influences on the Fréchet distance against distances computed again: at other weights, and without single images."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from genmetrics.accumulators.block_moments import BlockMoments
from genmetrics.accumulators.build import build_accumulator
from genmetrics.accumulators.labels import Labels
from genmetrics.accumulators.moments import Moments
from genmetrics.errors import StatisticsError
from genmetrics.metrics import METRICS
from genmetrics.metrics.frechet import FrechetDistance, frechet_distance
from genmetrics.metrics.influence import FrechetInfluence
from genmetrics.metrics.jackknife import jackknife
from genmetrics.stats.stats import Stats
from genmetrics.types import MetricResult, SideRecord

INFO = METRICS.get("fid_influence")
WIDTH = 8


def sample(count: int, seed: int, shift: float = 0.0, width: int = WIDTH) -> Tensor:
    """(count, width) float32 that is not Gaussian: products of normal figures, with a spectrum that falls."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((count, width)) * (1 + 0.5 * rng.standard_normal((count, 1)))
    return torch.from_numpy((rows * np.arange(1, width + 1) ** -0.5 + shift).astype(np.float32))


def moments_of(rows: Tensor) -> Moments:
    moments = Moments(rows.shape[1])
    moments.update(rows, torch.arange(len(rows)))
    return moments


def stats_of(
    rows: Tensor,
    *,
    order: Tensor | None = None,
    batch: int = 64,
    labels: Tensor | None = None,
    names: tuple[str, ...] = (),
) -> Stats:
    order = torch.arange(len(rows)) if order is None else order
    accumulators = {}
    for need in FrechetInfluence(INFO, 0).needs:
        accumulators[need] = build_accumulator(need, rows.shape[1], len(rows))
        for part in order.split(batch):
            accumulators[need].update(rows[part], part)
    kept = None
    if labels is not None:
        kept = Labels()
        kept.update(labels, torch.arange(len(labels)))
    return Stats(accumulators, SideRecord("synthetic", "array", len(rows), "0" * 64), {}, 0, kept, names)


def compute(gen: Tensor, ref: Tensor, **how: object) -> MetricResult:
    return FrechetInfluence(INFO, 0).compute(stats_of(gen, **how), stats_of(ref))


def influences(gen: Tensor, ref: Tensor, **how: object) -> np.ndarray:
    return np.array(compute(gen, ref, **how).per_image["influence"])


def without(rows: Tensor, index: int) -> Tensor:
    return torch.cat((rows[:index], rows[index + 1 :]))


def weighted_distance(gen: np.ndarray, weights: np.ndarray, ref: np.ndarray) -> float:
    """The distance of a set whose images count unequally, with the ddof 1 of the unweighted one."""
    apart = gen - weights @ gen
    count = len(gen)
    ours = np.sqrt(weights * count / (count - 1))[:, None] * apart
    theirs = (ref - ref.mean(axis=0)) / math.sqrt(len(ref) - 1)
    shift = weights @ gen - ref.mean(axis=0)
    overlap = np.linalg.svd(ours @ theirs.T, compute_uv=False).sum()
    return float(shift @ shift + np.square(ours).sum() + np.square(theirs).sum() - 2 * overlap)


# More images than dimensions; as many; fewer; far fewer than the reference has dimensions; both sides few; of two
# images; and a reference of fewer images than there are generated ones.
SHAPES = [(60, 90, 8), (12, 90, 12), (10, 90, 12), (12, 90, 40), (11, 9, 40), (2, 30, 5), (60, 6, 12)]


class TestIsADerivative:
    @pytest.mark.parametrize(("num_gen", "num_ref", "width"), SHAPES)
    def test_in_the_weight_of_each_image(self, num_gen, num_ref, width):
        """Brute force: the distance at a little more and a little less weight of one image."""
        gen, ref = sample(num_gen, 1, 0.3, width), sample(num_ref, 2, width=width)
        x, y = gen.numpy().astype(np.float64), ref.numpy().astype(np.float64)
        even, step = np.full(num_gen, 1 / num_gen), 1e-5
        assert weighted_distance(x, even, y) == pytest.approx(compute(gen, ref).value, rel=1e-9)
        slopes = []
        for index in range(num_gen):
            towards = np.eye(num_gen)[index] - even
            up, down = (weighted_distance(x, even + sign * step * towards, y) for sign in (1, -1))
            slopes.append((up - down) / (2 * step))
        found = influences(gen, ref) * (num_gen - 1)
        print(np.abs(found - slopes).max() / np.abs(slopes).max())
        np.testing.assert_allclose(found, slopes, atol=1e-7 * np.abs(slopes).max())

    @pytest.mark.parametrize("kind", ["a dimension of zeros", "copied dimension", "copied images"])
    def test_of_features_that_do_not_fill_their_space(self, kind):
        """Many images, and a covariance that has no inverse: as if the space had fewer dimensions."""
        gen, ref = sample(60, 1, 0.3, 6), sample(90, 2, width=6)
        if kind == "copied images":
            gen = gen[:4].repeat(15, 1)
            x, y = gen.double().numpy(), ref.double().numpy()
            towards = np.eye(60)[5] - 1 / 60
            even = np.full(60, 1 / 60)
            up, down = (weighted_distance(x, even + sign * 1e-5 * towards, y) for sign in (1, -1))
            assert influences(gen, ref)[5] * 59 == pytest.approx((up - down) / 2e-5, rel=1e-6)
        elif kind == "copied dimension":
            wide = [torch.cat((side, side[:, :2]), dim=1) for side in (gen, ref)]
            scale = torch.tensor([2**0.5] * 2 + [1.0] * 4)
            np.testing.assert_allclose(
                influences(*wide), influences(gen * scale, ref * scale), atol=1e-6 * influences(*wide).max()
            )
        else:
            # The reference does fill it: what it has there is of no account for single generated images.
            wide = [torch.cat((gen, torch.zeros(60, 1)), dim=1), torch.cat((ref, sample(90, 3, width=1)), dim=1)]
            assert compute(*wide).value > compute(gen, ref).value + 0.1
            x, y = (side.double().numpy() for side in wide)
            even = np.full(60, 1 / 60)
            for index in (0, 7):
                towards = np.eye(60)[index] - even
                up, down = (weighted_distance(x, even + sign * 1e-5 * towards, y) for sign in (1, -1))
                assert influences(*wide)[index] * 59 == pytest.approx((up - down) / 2e-5, rel=1e-6, abs=1e-7)

    def test_all_images_alike_have_none(self):
        found = influences(torch.ones(20, 4), sample(30, 1, width=4))
        assert np.array_equal(found, np.zeros(20))


class TestLeavingOut:
    def test_error_falls_with_the_number_of_images(self):
        """The same twenty images among more and more others."""
        ref, many = sample(3000, 2), sample(6400, 4, 0.2)
        errors = []
        for count in (400, 1600, 6400):
            gen = many[:count]
            whole, against = moments_of(gen), moments_of(ref)
            value = frechet_distance(whole, against)
            change = [
                value - frechet_distance(whole.without(moments_of(gen[index : index + 1])), against)
                for index in range(20)
            ]
            found = influences(gen, ref)[:20]
            errors.append(float(np.linalg.norm(found - change) / np.linalg.norm(found)))
        print(errors)
        assert errors[2] < 0.02
        assert errors[2] < errors[0] / 8, "of sixteen times as many images a sixteenth"

    @pytest.mark.parametrize("flipped", [False, True])
    def test_the_sign(self, flipped):
        """Without an image of positive influence the distance is lower; negative control: the other sign is far off."""
        gen, ref = sample(400, 1, 0.3), sample(500, 2)
        found = influences(gen, ref) * (-1 if flipped else 1)
        value = frechet_distance(moments_of(gen), moments_of(ref))
        worst, best = int(found.argmax()), int(found.argmin())
        falls = [value - frechet_distance(moments_of(without(gen, index)), moments_of(ref)) for index in (worst, best)]
        assert (falls[0] > 0 > falls[1]) is not flipped

    def test_few_images_are_ranked_and_warned_of(self):
        gen, ref = sample(16, 1, 0.3, 24), sample(500, 2, width=24)
        result = compute(gen, ref)
        value = frechet_distance(moments_of(gen), moments_of(ref))
        change = [value - frechet_distance(moments_of(without(gen, index)), moments_of(ref)) for index in range(16)]
        found = np.array(result.per_image["influence"])
        assert np.corrcoef(found, change)[0, 1] > 0.6
        assert np.abs(found - change).max() > 0.2 * np.abs(found).max(), "if it were exact, no warning were due"
        assert "se" not in result.extra
        assert "16 generated images, fewer than 5 per dimension (120)" in result.warnings[-1]
        assert "no more images" in result.warnings[0]


class TestSums:
    @pytest.mark.parametrize(("num_gen", "width"), [(500, 8), (20, 8), (7, 12)])
    def test_over_all_images_it_is_zero(self, num_gen, width):
        found = influences(sample(num_gen, 1, 0.5, width), sample(300, 2, width=width))
        assert abs(found.sum()) < 1e-12 * np.abs(found).sum()
        assert np.abs(found).max() > 1e-4

    def test_over_classes(self):
        gen, ref = sample(300, 1, 0.2), sample(300, 2)
        gen[200:] += 1.0
        labels = torch.tensor([0] * 120 + [2] * 80 + [1] * 100)
        result = compute(gen, ref, labels=labels, names=("ant", "bee", "cat"))
        found, table = np.array(result.per_image["influence"]), result.per_class
        assert table["class"] == ["ant", "bee", "cat"]
        assert table["num_gen"] == [120, 100, 80]
        assert table["influence"] == pytest.approx([found[:120].sum(), found[200:].sum(), found[120:200].sum()])
        assert table["mean_influence"] == pytest.approx(np.divide(table["influence"], table["num_gen"]))
        assert sum(table["influence"]) == pytest.approx(found.sum(), abs=1e-12)
        assert np.argmax(table["influence"]) == 1, "the class that lies elsewhere raises the distance"

    def test_of_a_class_is_the_derivative_in_its_share(self):
        gen, ref = sample(300, 1, 0.2), sample(300, 2)
        labels = torch.arange(300) % 3
        x, y, of_class = gen.double().numpy(), ref.double().numpy(), (labels == 1).numpy()
        towards = of_class / of_class.sum() - 1 / 300
        up, down = (weighted_distance(x, 1 / 300 + sign * 1e-5 * towards, y) for sign in (1, -1))
        total = compute(gen, ref, labels=labels).per_class["influence"][1]
        assert total * 299 / 100 == pytest.approx((up - down) / 2e-5, rel=1e-6)

    def test_numbers_are_classes_without_names(self):
        assert compute(sample(60, 1), sample(60, 2), labels=torch.arange(60) % 2).per_class["class"] == [0, 1]
        assert compute(sample(60, 1), sample(60, 2)).per_class is None

    def test_classes_of_other_images_are_refused(self):
        with pytest.raises(StatisticsError, match="the generated set's classes are of other images"):
            compute(sample(60, 1), sample(60, 2), labels=torch.zeros(50, dtype=torch.int64))


def test_the_value_is_fid():
    gen, ref = stats_of(sample(100, 1, 0.3)), stats_of(sample(90, 2))
    result = FrechetInfluence(INFO, 0).compute(gen, ref)
    plain = FrechetDistance(METRICS.get("fid"), 0).compute(gen, ref)
    assert (result.value, str(result.protocol)) == (plain.value, f"{plain.protocol}/influence")
    assert not any("influences" in text for text in result.warnings)


@pytest.mark.parametrize("shift", [4.0, -4.0])
def test_an_outlier_ranks_first(shift):
    gen, ref = sample(400, 1), sample(400, 2)
    gen[123] = shift
    assert influences(gen, ref).argmax() == 123


def test_an_image_that_widens_a_narrow_set_lowers_the_distance():
    """Not every image far from the others is bad."""
    gen, ref = sample(400, 1) * 0.3, sample(400, 2)
    gen[123] = ref[5] * 2
    assert influences(gen, ref).argmin() == 123


@pytest.mark.parametrize("batch", [1, 37])
def test_the_order_of_arrival_does_not_matter(batch):
    gen, ref = sample(150, 1, 0.3), sample(150, 2)
    order = torch.from_numpy(np.random.default_rng(3).permutation(150))
    plain, mixed = compute(gen, ref), compute(gen, ref, order=order, batch=batch)
    assert mixed.per_image["index"] == list(range(150))
    np.testing.assert_allclose(mixed.per_image["influence"], plain.per_image["influence"], rtol=1e-9, atol=1e-12)


def test_a_mean_and_covariance_is_reference_enough():
    gen, ref = sample(150, 1, 0.3), sample(150, 2)
    metric = FrechetInfluence(INFO, 0)
    (need,) = metric.ref_needs
    held = Moments.from_covariance(ref.double().mean(0), torch.cov(ref.double().T), None)
    side = Stats({need: held}, SideRecord("a file", "stats", None, None), {}, None)
    found = metric.compute(stats_of(gen), side)
    np.testing.assert_allclose(found.per_image["influence"], influences(gen, ref), rtol=1e-7, atol=1e-10)


class TestStandardError:
    """Of the generated images against the reference as it is, as the jackknife has it where nothing can be left out."""

    def test_is_that_of_a_jackknife_of_many_blocks(self):
        gen, ref = sample(5000, 1, 0.2), moments_of(sample(4000, 2))
        whole = moments_of(gen)
        parts = [moments_of(gen[start::200]) for start in range(200)]
        values = [frechet_distance(whole.without(part), ref) for part in parts]
        expected = jackknife(frechet_distance(whole, ref), {"gen": values}).se
        found = compute(gen, sample(4000, 2)).extra["se"]
        print(found / expected)
        assert found == pytest.approx(expected, rel=0.15)  # that of 200 blocks is itself known to 5 %

    def test_is_that_of_fid(self):
        """Ten blocks know the variance to a half of it: the mean over some samples is compared."""
        fid = FrechetDistance(METRICS.get("fid"), 0)
        reference = sample(4000, 2)
        ref = Stats({fid.needs[0]: moments_of(reference)}, SideRecord("a", "array", 4000, "0" * 64), {}, 0)
        found, theirs = [], []
        for seed in range(10, 22):
            gen = sample(2000, seed, 0.2)
            blocks = BlockMoments(WIDTH)
            blocks.update(gen, torch.arange(len(gen)))
            held = {fid.needs[0]: moments_of(gen), fid.error_needs[0]: blocks}
            side = Stats(held, SideRecord("b", "array", len(gen), "0" * 64), {}, 0)
            theirs.append(fid.with_error(fid.compute(side, ref), side, ref).extra["se"])
            found.append(compute(gen, reference).extra["se"])
        ratio = math.sqrt(np.mean(np.square(found)) / np.mean(np.square(theirs)))
        print(ratio)
        assert ratio == pytest.approx(1, abs=0.25)

    def test_is_the_spread_over_samples(self):
        metric, ref = FrechetInfluence(INFO, 0), stats_of(sample(4000, 2))
        results = [metric.compute(stats_of(sample(200, seed, 0.2)), ref) for seed in range(10, 90)]
        spread = np.std([result.value for result in results], ddof=1)
        assert np.mean([result.extra["se"] for result in results]) == pytest.approx(spread, rel=0.25)


@pytest.mark.gpu
@pytest.mark.parametrize("num_gen", [150, 10])
def test_cuda_equals_the_cpu(num_gen):
    gen, ref = sample(num_gen, 1, 0.3, 24), sample(200, 2, width=24)
    metric = FrechetInfluence(INFO, 0)
    metric.device = torch.device("cuda")
    found = metric.compute(stats_of(gen), stats_of(ref))
    expected = influences(gen, ref)
    np.testing.assert_allclose(found.per_image["influence"], expected, atol=1e-8 * np.abs(expected).max())
