"""Our InceptionScore beside torchmetrics 1.9.0's, with the same ``torch.manual_seed``.

Tolerance: 1e-9 relative in float64; 1e-5 for Inception's logits, of which torchmetrics has the softmax in float32.
"""

from __future__ import annotations

import math

import pytest
import torch

from genmetrics.errors import GenmetricsWarning, StatisticsError, UsageError
from support.colours import Colours

pytestmark = [
    pytest.mark.filterwarnings("ignore::genmetrics.GenmetricsWarning"),
    pytest.mark.filterwarnings("ignore:Metric `InceptionScore` will save all:UserWarning"),
]


def fed(metric, images, batch=5):
    for part in images.split(batch):
        metric.update(part)
    return metric


def seeded(metric, seed=11):
    torch.manual_seed(seed)
    mean, spread = metric.compute()
    return [float(mean), float(spread)]


@pytest.mark.parametrize(("feature", "normalize"), [("logits_unbiased", False), (64, True)])
def test_inception(original, ours, inception_weights, images, feature, normalize):
    batch = images(3, 1)
    metric = ours.InceptionScore(feature, 2, normalize, feature_extractor_weights_path=inception_weights)
    theirs = original.InceptionScore(feature, 2, normalize)
    for side in (metric, theirs):
        fed(side, batch / 255 if normalize else batch)
    assert seeded(metric) == pytest.approx(seeded(theirs), rel=1e-5, abs=1e-6)
    assert [value.dtype for value in metric.compute()] == [torch.float32] * 2


def test_the_published_resize(original, ours, inception_weights, images):
    batch = images(3, 1)
    arguments = {"feature": 64, "splits": 1, "feature_extractor_weights_path": inception_weights}
    plain = fed(ours.InceptionScore(**arguments, antialias=False), batch)
    theirs = original.InceptionScore(64, splits=1)
    theirs.inception.use_antialias = False
    with pytest.warns(UserWarning, match="degrees of freedom"):
        expected = float(fed(theirs, batch).compute()[0])
    assert float(plain.compute()[0]) == pytest.approx(expected, rel=1e-5)
    assert float(fed(ours.InceptionScore(**arguments), batch).compute()[0]) != pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("splits", [2, 3, 4, 7, 10, 25])
def test_splits(original, ours, images, splits):
    """Of 25 images, also those numbers that do not divide it, and of which fewer come."""
    batch = images(25, 1)
    found, expected = (seeded(fed(side.InceptionScore(Colours(), splits), batch)) for side in (ours, original))
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)
    if splits < 25:
        other = seeded(fed(ours.InceptionScore(Colours(), splits), batch), 12)
        assert found != pytest.approx(other, rel=1e-9)


def test_of_one_split_there_is_no_deviation(original, ours, images):
    batch = images(6, 1)
    with pytest.warns(UserWarning, match="degrees of freedom"):
        expected = seeded(fed(original.InceptionScore(Colours(), 1), batch))
    found = seeded(fed(ours.InceptionScore(Colours(), 1), batch))
    assert found[0] == pytest.approx(expected[0], rel=1e-9)
    assert math.isnan(found[1]) and math.isnan(expected[1])


def test_normalize_is_for_modules_too(original, ours, images):
    """As in torchmetrics, unlike in its other metrics."""
    floats = images(12, 1) / 255
    found, expected = (
        seeded(fed(side.InceptionScore(Colours(), 3, normalize=True), floats)) for side in (ours, original)
    )
    assert found == pytest.approx(expected, rel=1e-9)


def test_forward_and_reset(original, ours, images):
    values = []
    for side in (ours, original):
        metric = side.InceptionScore(Colours(), 3)
        torch.manual_seed(1)
        values.append([float(value) for seed in (1, 2) for value in metric(images(12, seed))])
        values[-1] += seeded(metric)
        metric.reset()
        assert metric.features == []
        values[-1] += seeded(fed(metric, images(12, 3)))
    assert values[0] == pytest.approx(values[1], rel=1e-9)


class TestErrors:
    @pytest.mark.filterwarnings("ignore:The ``compute`` method of metric InceptionScore:UserWarning")
    def test_no_images(self, original, ours):
        for side in (ours, original):
            with pytest.raises(ValueError):
                side.InceptionScore(Colours()).compute()
        metric = ours.InceptionScore(Colours())
        metric.update(torch.zeros(0, 3, 4, 4, dtype=torch.uint8))
        with pytest.raises(
            StatisticsError, match=r"^the Inception Score of no images was asked for; call update\(\) first$"
        ):
            metric.compute()

    @pytest.mark.parametrize("splits", [0, -1])
    def test_splits(self, ours, splits):
        with pytest.raises(UsageError, match=rf"^splits is {splits}, expected a whole number of at least 1$"):
            ours.InceptionScore(Colours(), splits)

    def test_logits_that_are_no_numbers(self, ours, images):
        metric = fed(ours.InceptionScore(Colours()), images(12, 1))
        metric.features[1][0, 0] = torch.inf
        with pytest.raises(StatisticsError, match=r"^InceptionScore: features has values that are NaN or infinite"):
            metric.compute()


class TestWarnings:
    @pytest.mark.parametrize(
        ("count", "text"),
        [
            (8, "8 images were cut into 8 runs of up to 1 where splits=10"),
            (25, "25 .* 9 runs of up to 3"),
            (10, "10 .*"),
        ],
    )
    def test_splits_that_cannot_be_filled(self, ours, images, count, text):
        metric = fed(ours.InceptionScore(Colours()), images(count, 1))
        with pytest.warns(GenmetricsWarning, match=rf"^{text}"):
            metric.compute()

    def test_the_default_is_of_no_protocol(self, ours, inception_weights):
        with pytest.warns(GenmetricsWarning, match=r"^InceptionScore resizes images with antialiasing"):
            ours.InceptionScore(64, feature_extractor_weights_path=inception_weights)
