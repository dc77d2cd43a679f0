"""The distance against the number of images, beside distances of the rows themselves and of many more of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from genmetrics.accumulators.block_moments import BlockMoments, block_of
from genmetrics.accumulators.moments import Moments
from genmetrics.metrics import distance_curve as module
from genmetrics.metrics.distance_curve import DistanceCurve, distance_curve
from genmetrics.metrics.frechet import frechet_distance
from genmetrics.metrics.jackknife import jackknife

WIDTH = 6


def sample(count: int, seed: int, shift: float = 0.0) -> Tensor:
    rows = np.random.default_rng(seed).standard_normal((count, WIDTH)) * np.arange(1, WIDTH + 1) ** -0.5
    return torch.from_numpy((rows + shift).astype(np.float32))


def moments_of(rows: Tensor) -> Moments:
    moments = Moments(rows.shape[1])
    moments.update(rows, torch.arange(len(rows)))
    return moments


def blocks_of(rows: Tensor, num_blocks: int = 10) -> BlockMoments:
    blocks = BlockMoments(rows.shape[1], num_blocks)
    blocks.update(rows, torch.arange(len(rows)))
    return blocks


def curve_of(gen: Tensor, ref: Tensor, **more: object) -> DistanceCurve:
    value = frechet_distance(moments_of(gen), moments_of(ref))
    return distance_curve(blocks_of(gen), moments_of(ref), value, **more)


@pytest.fixture(params=[400, 25, 6])
def gen(request: pytest.FixtureRequest) -> Tensor:
    """Many images, fewer than 5 a dimension, and as few as there are dimensions."""
    return sample(request.param, 1, 0.3)


def test_values_are_distances_of_the_rows(gen):
    """Each point again from the rows of its blocks, by the definition in NumPy."""
    ref = sample(300, 2)
    found = curve_of(gen, ref)
    block = block_of(torch.arange(len(gen)))
    assert found.sizes[-1] == len(gen) and found.values[-1] == found.low[-1] == found.high[-1]
    checked = 0
    for count in (1, 2, 3, 4, 5, 7):
        parts = []
        for first in (0, 5):
            names = [name for name in range(10) if bool((block == name).any())]
            num = count * len(names) // 10
            start = 0 if first == 0 else len(names) // 2
            wanted = [names[(start + place) % len(names)] for place in range(num)]
            rows = gen[torch.isin(block, torch.tensor(wanted, dtype=torch.int64))]
            if len(rows) >= 2:
                parts.append(by_definition(rows, ref))
        if parts:
            at = found.sizes.index(round(len(gen) * num / len(names)))
            assert found.values[at] == pytest.approx(sum(parts) / len(parts), rel=1e-7)
            assert (found.low[at], found.high[at]) == pytest.approx((min(parts), max(parts)), rel=1e-7)
            checked += 1
    assert checked >= (6 if len(gen) > 20 else 2)
    assert list(found.sizes) == sorted(set(found.sizes))


def by_definition(gen: Tensor, ref: Tensor) -> float:
    x, y = gen.double().numpy(), ref.double().numpy()
    factors = [(side - side.mean(axis=0)) / math.sqrt(len(side) - 1) for side in (x, y)]
    overlap = np.linalg.svd(factors[0] @ factors[1].T, compute_uv=False).sum()
    apart = np.square(x.mean(axis=0) - y.mean(axis=0)).sum()
    return float(apart + sum(np.square(factor).sum() for factor in factors) - 2 * overlap)


def test_limit_is_that_of_leaving_blocks_of_the_generated_set_out():
    gen, ref = sample(400, 1, 0.3), sample(300, 2)
    found = curve_of(gen, ref)
    block = block_of(torch.arange(400))
    replicates = [by_definition(gen[block != name], ref) for name in range(10)]
    expected = jackknife(by_definition(gen, ref), {"gen": replicates})
    for field in ("debiased", "low", "high"):
        assert getattr(found.limit, field) == pytest.approx(getattr(expected, field), rel=1e-7), field
    assert found.values[-1] == pytest.approx(found.limit.debiased + found.slope / 400, rel=1e-12)
    # The distances without a block are a point of the curve as well.
    assert found.sizes[-2] == 360
    assert found.values[-2] == pytest.approx(sum(replicates) / 10, rel=1e-7)


def test_curve_falls_to_what_many_images_give():
    """A hundred times as many images have the distance that the limits of a dozen sets foretell on average."""
    ref = sample(20_000, 2)
    many = frechet_distance(moments_of(sample(30_000, 5)), moments_of(ref))
    found = [curve_of(sample(300, seed), ref) for seed in range(100, 112)]
    means = np.mean([curve.values for curve in found], axis=0)
    assert all(means[:-1] > means[1:]) and means[-1] > 10 * many
    assert abs(np.mean([curve.limit.debiased for curve in found]) - many) < 0.1 * (means[-1] - many)
    assert sum(curve.limit.low < many < curve.limit.high for curve in found) >= 9


def test_below_five_images_a_dimension_there_is_no_limit():
    ref = sample(300, 2)
    assert curve_of(sample(29, 1), ref).limit is None
    assert curve_of(sample(29, 1), ref).slope is None
    assert curve_of(sample(30, 1), ref).limit is not None


def test_known_distances_are_not_computed_again(monkeypatch):
    gen, ref = sample(400, 1, 0.3), sample(300, 2)
    expected, calls = curve_of(gen, ref), []

    def counting(*arguments: object) -> float:
        calls.append(arguments)
        return frechet_distance(*arguments)

    monkeypatch.setattr(module, "frechet_distance", counting)
    assert curve_of(gen, ref) == expected
    assert len(calls) == 22
    calls.clear()
    replicates = [frechet_distance(rest, moments_of(ref)) for rest in blocks_of(gen).without_each()]
    assert curve_of(gen, ref, replicates=replicates) == expected
    assert len(calls) == 12


def test_two_images_are_no_curve():
    assert curve_of(sample(2, 1), sample(30, 2)).sizes == (2,)
