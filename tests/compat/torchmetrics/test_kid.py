"""Our KernelInceptionDistance beside torchmetrics 1.9.0's, with the same ``torch.manual_seed``.

Tolerances: 1e-12 absolute in float64 (the same features on both sides, kernels near 1); with Inception 1e-6 of the
kernel, since torchmetrics sums it in float32.
"""

from __future__ import annotations

import pytest
import torch

from genmetrics.errors import GenmetricsWarning, StatisticsError, UsageError
from support.colours import Colours

pytestmark = [
    pytest.mark.filterwarnings("ignore::genmetrics.GenmetricsWarning"),
    pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save all:UserWarning"),
]
SMALL = {"subsets": 6, "subset_size": 7}


def fed(metric, real, fake, batch=5):
    for part in real.split(batch):
        metric.update(part, real=True)
    for part in fake.split(batch):
        metric.update(part, real=False)
    return metric


def seeded(metric, seed=11):
    torch.manual_seed(seed)
    mean, spread = metric.compute()
    return [float(mean), float(spread)]


@pytest.fixture(scope="module")
def sets(images):
    return images(14, 1), images(11, 2, warmth=1.0)


class TestInception:
    @pytest.mark.parametrize("feature", [64, "logits_unbiased"])
    def test_the_number_is_torchmetrics(self, original, ours, inception_weights, images, feature):
        real, fake = images(3, 1), images(3, 2, warmth=1.0)
        arguments = {"feature": feature, "subsets": 5, "subset_size": 2}
        metric = ours.KernelInceptionDistance(**arguments, feature_extractor_weights_path=inception_weights)
        theirs = fed(original.KernelInceptionDistance(**arguments), real, fake)
        fed(metric, real, fake)
        features = theirs.inception(real)
        kernel = float(((features @ features.T / features.shape[1] + 1) ** 3).mean())
        assert seeded(metric.clone(), 12) != pytest.approx(seeded(theirs.clone(), 13), abs=1e-4 * kernel)
        assert seeded(metric) == pytest.approx(seeded(theirs), abs=1e-6 * kernel)
        assert [value.dtype for value in (*metric.compute(), *theirs.compute())] == [torch.float32] * 4

    def test_floats_and_the_published_resize(self, original, ours, inception_weights, images):
        real, fake = images(4, 1), images(4, 2, warmth=1.0)
        metric = ours.KernelInceptionDistance(
            64, normalize=True, subsets=2, subset_size=3, feature_extractor_weights_path=inception_weights
        )
        theirs = original.KernelInceptionDistance(64, normalize=True, subsets=2, subset_size=3)
        floats = [(side.float() / 255) for side in (real, fake)]
        expected = seeded(fed(theirs, *floats))
        assert seeded(fed(metric, *floats)) == pytest.approx(expected, rel=1e-3)
        plain = ours.KernelInceptionDistance(
            64, subsets=2, subset_size=3, feature_extractor_weights_path=inception_weights, antialias=False
        )
        found = seeded(fed(plain, real, fake))
        theirs.inception.use_antialias = False
        theirs.reset()
        assert found == pytest.approx(seeded(fed(theirs, *floats)), rel=1e-3)
        assert found != pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "kernel",
    [{}, {"degree": 2}, {"gamma": 0.3}, {"coef": 2.5}, {"degree": 1, "gamma": 0.1, "coef": 0.5}, {"subsets": 20}],
)
def test_modules_and_kernels(original, ours, sets, kernel, dtype):
    arguments = {**SMALL, **kernel}
    found, expected = (
        seeded(fed(side.KernelInceptionDistance(Colours(dtype=dtype), **arguments), *sets)) for side in (ours, original)
    )
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    assert found == pytest.approx(expected, abs=tolerance, rel=tolerance)
    other = seeded(fed(ours.KernelInceptionDistance(Colours(dtype=dtype), **{**arguments, "degree": 4}), *sets))
    assert found != pytest.approx(other, rel=1e-2)


@pytest.mark.parametrize("keeps", [True, False])
def test_reset(original, ours, sets, images, keeps):
    real, fake = sets
    values = []
    for side in (ours, original):
        metric = fed(side.KernelInceptionDistance(Colours(), **SMALL, reset_real_features=not keeps), real, fake)
        metric.reset()
        assert sum(map(len, metric.real_features)) == (14 if keeps else 0)
        assert metric.fake_features == []
        if not keeps:
            metric.update(real, real=True)
        metric.update(images(9, 3), real=False)
        values.append(seeded(metric))
    assert values[0] == pytest.approx(values[1], abs=1e-12)


def test_a_batch_against_the_real_images_that_are_kept(original, ours, sets):
    """torchmetrics lists the real images once more with each call."""
    real, fake = sets
    values, counts = [], []
    for side in (ours, original):
        metric = side.KernelInceptionDistance(Colours(), **SMALL, reset_real_features=False)
        metric.update(real, real=True)
        torch.manual_seed(4)
        values.append([float(value) for value in metric(fake, real=False)])
        counts.append(sum(map(len, metric.real_features)))
        assert sum(map(len, metric.fake_features)) == 11
    assert values[0] == pytest.approx(values[1], abs=1e-12)
    assert counts == [14, 28]


def test_set_dtype(original, ours, inception_weights, images):
    """torchmetrics' network then fails."""
    theirs = original.KernelInceptionDistance(64, subsets=2, subset_size=2).set_dtype(torch.float64)
    with pytest.raises(RuntimeError, match="same"):
        theirs.update(images(2, 1), real=True)
    metric = ours.KernelInceptionDistance(
        64, subsets=2, subset_size=2, feature_extractor_weights_path=inception_weights
    )
    real, fake = images(2, 1), images(2, 2)
    expected = seeded(fed(metric, real, fake))
    metric.reset()
    metric.set_dtype(torch.float64)
    found = seeded(fed(metric, real, fake))
    assert metric.compute()[0].dtype == torch.float64
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-9) and found != expected


def test_a_group_of_one_process_draws_as_one_without(ours, sets):
    options = {"distributed_available_fn": lambda: True, "dist_sync_fn": lambda values, group=None: [values]}
    expected = seeded(fed(ours.KernelInceptionDistance(Colours(), **SMALL), *sets))
    assert seeded(fed(ours.KernelInceptionDistance(Colours(), **SMALL, **options), *sets)) == expected
    options["dist_sync_fn"] = lambda values, group=None: [values, values[:0] if values.ndim == 2 else values]
    other = fed(ours.KernelInceptionDistance(Colours(), **SMALL, **options), *sets)
    assert seeded(other) != expected


def test_mixed_types_of_features_are_one(ours, sets):
    """Before and after ``set_dtype``."""
    real, fake = sets
    metric = fed(ours.KernelInceptionDistance(Colours(dtype=torch.float32), **SMALL), real[:7], fake)
    metric.inception = Colours()
    metric.update(real[7:], real=True)
    expected = seeded(fed(ours.KernelInceptionDistance(Colours(), **SMALL), real, fake))
    assert seeded(metric) == pytest.approx(expected, rel=1e-4)


class TestErrors:
    @pytest.mark.parametrize(("real", "fake"), [(6, 9), (9, 6), (0, 0)])
    def test_too_few_images(self, original, ours, images, real, fake):
        for side in (ours, original):
            metric = fed(
                side.KernelInceptionDistance(Colours(), **SMALL), images(real + 1, 1)[:real], images(fake + 1, 2)[:fake]
            )
            with pytest.raises(ValueError) as caught:
                metric.compute()
            if side is ours:
                assert str(caught.value) == (
                    f"KID draws subset_size=7 images of each side, and there are {real} real and {fake} generated "
                    "(real=False) images; add images, or give a smaller subset_size"
                )

    def test_nothing_to_compare_with(self, ours, sets):
        with pytest.raises(
            ValueError, match=r"^KernelInceptionDistance: a call computes the metric of this batch alone"
        ):
            ours.KernelInceptionDistance(Colours(), **SMALL)(sets[0], real=True)

    @pytest.mark.parametrize(
        ("argument", "text"),
        [
            ({"subsets": 0}, "subsets is 0, expected a whole number of at least 1"),
            ({"subset_size": 1}, "subset_size is 1, expected a whole number of at least 2"),
            ({"degree": 0}, "degree is 0, expected a whole number of at least 1"),
            ({"gamma": -0.5}, "gamma is -0.5, expected a float larger than 0"),
            ({"coef": 0.0}, "coef is 0.0, expected a float larger than 0"),
            (
                {"feature": 65},
                "feature is 65, expected one of 'logits_unbiased', 64, 192, 768, 2048 or a torch.nn.Module",
            ),
        ],
    )
    def test_arguments(self, original, ours, argument, text):
        arguments = {"feature": Colours(), **argument}
        with pytest.raises(UsageError) as caught:
            ours.KernelInceptionDistance(**arguments)
        assert str(caught.value) == text
        if argument != {"subset_size": 1}:  # of which theirs makes NaN
            with pytest.raises(ValueError):
                original.KernelInceptionDistance(**arguments)

    def test_features_that_are_no_numbers(self, ours, sets):
        metric = fed(ours.KernelInceptionDistance(Colours(), **SMALL), *sets)
        metric.fake_features[0][0, 0] = torch.nan
        with pytest.raises(StatisticsError, match=r"^KernelInceptionDistance: fake_features has values that are NaN"):
            metric.compute()


def test_the_default_is_of_no_protocol(ours, inception_weights):
    with pytest.warns(GenmetricsWarning, match=r"^KernelInceptionDistance resizes images with antialiasing"):
        ours.KernelInceptionDistance(64, feature_extractor_weights_path=inception_weights)
