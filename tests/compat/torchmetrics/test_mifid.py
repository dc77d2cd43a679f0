"""Our MemorizationInformedFrechetInceptionDistance beside torchmetrics 1.9.0's.

Tolerance: 1e-6 relative at full rank (features are kept in float32 on our side), 1e-4 for Inception's few images, where
torchmetrics' eigenvalues carry noise.
"""

from __future__ import annotations

import pytest
import torch

from genmetrics.errors import GenmetricsWarning, StatisticsError, UsageError
from support.colours import Colours

pytestmark = pytest.mark.filterwarnings("ignore::genmetrics.GenmetricsWarning")


def fed(metric, real, fake, batch=9):
    for part in real.split(batch):
        metric.update(part, real=True)
    for part in fake.split(batch):
        metric.update(part, real=False)
    return metric


def both(original, ours, name="MemorizationInformedFrechetInceptionDistance"):
    return getattr(ours, name), getattr(original, name)


def test_inception(original, ours, inception_weights, images):
    real, fake = images(7, 1), images(6, 2, warmth=1.0)
    found, expected = both(original, ours)
    value = fed(found(64, feature_extractor_weights_path=inception_weights), real, fake).compute()
    assert value.dtype == torch.float32
    assert float(value) == pytest.approx(float(fed(expected(64), real, fake).compute()), rel=1e-4)


@pytest.mark.parametrize("limit", [0.1, 1e-4, 1.0])
def test_modules_and_the_limit(original, ours, images, limit):
    real, fake = images(40, 1), images(45, 2, warmth=1.0)
    values = [
        fed(metric(Colours(), cosine_distance_eps=limit), real, fake).compute() for metric in both(original, ours)
    ]
    assert values[0].dtype == values[1].dtype == torch.float64
    assert float(values[0]) == pytest.approx(float(values[1]), rel=1e-6)
    swapped = fed(both(original, ours)[0](Colours(), cosine_distance_eps=limit), fake, real[:30]).compute()
    assert float(swapped) != pytest.approx(float(values[0]), rel=1e-3)


@pytest.mark.parametrize("keeps", [True, False])
def test_reset_and_floats(original, ours, images, keeps):
    real, fake, later = (side / 255 for side in (images(40, 1), images(45, 2), images(41, 3)))
    values = []
    for metric in both(original, ours):
        fed_ = fed(metric(Colours(), not keeps, normalize=True), real, fake)
        fed_.reset()
        assert sum(map(len, fed_.real_features)) == (40 if keeps else 0)
        if not keeps:
            fed_.update(real, real=True)
        fed_.update(later, real=False)
        values.append(float(fed_.compute()))
    assert values[0] == pytest.approx(values[1], rel=1e-6)


def test_errors(ours, images):
    make = ours.MemorizationInformedFrechetInceptionDistance
    for limit in (0.0, 1.5):
        with pytest.raises(
            UsageError, match=rf"^cosine_distance_eps is {limit}, expected a float above 0 and at most 1$"
        ):
            make(Colours(), cosine_distance_eps=limit)
    with pytest.raises(StatisticsError, match=r"given are 3 real and 1 generated \(real=False\) images$"):
        fed(make(Colours()), images(3, 1), images(1, 2)).compute()


def test_the_default_is_of_no_protocol(ours, inception_weights):
    with pytest.warns(
        GenmetricsWarning, match=r"^MemorizationInformedFrechetInceptionDistance resizes images with anti"
    ):
        ours.MemorizationInformedFrechetInceptionDistance(64, feature_extractor_weights_path=inception_weights)
