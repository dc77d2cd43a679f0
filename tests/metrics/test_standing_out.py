"""What is said of how near images are to each other, against all distances from ``torch.cdist``."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from genmetrics.accumulators.rows import Rows
from genmetrics.metrics.standing_out import first_distinct, nearness, row_keys

WIDTH = 5


def sample(count: int, seed: int, shift: float = 0.0) -> Tensor:
    return torch.from_numpy((np.random.default_rng(seed).standard_normal((count, WIDTH)) + shift).astype(np.float32))


@pytest.fixture
def sides() -> tuple[Tensor, Tensor]:
    """Two sets with a copy between them, a near copy, and copies within the reference."""
    gen, ref = sample(60, 1, 0.3), sample(80, 2)
    ref[30:33] = ref[29]  # four alike: none of their three nearest is another image
    ref[41] = ref[40]
    gen[7], gen[9] = ref[3], ref[40] + 1e-3
    gen[11] = ref[29] + 1e-3
    return gen, ref


def test_all_figures_are_those_of_all_distances(sides):
    gen, ref = sides
    found = nearness(Rows.of(gen), Rows.of(ref))
    across = torch.cdist(gen.double(), ref.double(), compute_mode="donot_use_mm_for_euclid_dist")
    within = torch.cdist(ref.double(), ref.double(), compute_mode="donot_use_mm_for_euclid_dist")
    within.fill_diagonal_(math.inf)
    radius = within.sort(dim=1).values[:, 2]
    np.testing.assert_allclose(found.to_ref, across.amin(dim=1), rtol=1e-9)
    np.testing.assert_allclose(found.to_gen, across.amin(dim=0), rtol=1e-9)
    np.testing.assert_allclose(found.radius, radius, rtol=1e-9)
    assert torch.equal(across[torch.arange(60), found.nearest_ref], across.amin(dim=1))
    assert torch.equal(across[found.nearest_gen, torch.arange(80)], across.amin(dim=0))
    small = (radius < radius.quantile(0.5)) & (radius > 0)
    quotients = (radius / across)[:, small]
    np.testing.assert_allclose(found.realism, quotients.amax(dim=1), rtol=1e-9)
    expected = torch.where(radius > 0, across.amin(dim=0) / radius, 0.0)
    np.testing.assert_allclose(found.uncovered, expected, rtol=1e-9)
    assert found.k == 3
    for place in range(60):
        others = within[found.nearest_ref[place]].sort().values[:3]
        scale = others[others > 0].min() if bool((others > 0).any()) else math.inf
        if scale == math.inf:  # beside four that are alike there is nothing to compare with
            assert found.copying[place] == math.inf
        else:
            assert found.copying[place] == pytest.approx(float(across[place].min() / scale), rel=1e-9, abs=0)
    assert found.copying[11] == math.inf


def test_copies_have_none(sides):
    found = nearness(*map(Rows.of, sides))
    assert found.copying[7] == 0 and found.nearest_ref[7] == 3
    # A near copy of an image that is twice in the reference: its copy there is no measure of anything.
    assert 0 < found.copying[9] < 0.01
    gen, ref = sides
    gen[11] = ref[29]
    assert nearness(Rows.of(gen), Rows.of(ref)).copying[11] == 0


@pytest.mark.parametrize(("num_ref", "k"), [(2, 1), (3, 2), (4, 3), (9, 3)])
def test_of_few_images_nearer_neighbours_are_taken(num_ref, k):
    ref = sample(num_ref, 2)
    found = nearness(Rows.of(sample(5, 1)), Rows.of(ref))
    assert found.k == k
    within = torch.cdist(ref.double(), ref.double()).fill_diagonal_(math.inf).sort(dim=1).values
    np.testing.assert_allclose(found.radius, within[:, k - 1], rtol=1e-6)
    if num_ref == 2:  # both are as far from each other
        assert not bool((found.realism > 0).any())


def test_first_distinct():
    keys = torch.tensor([1, 2, 2, 3, 4, 1])
    order = torch.tensor([5.0, 9.0, 9.0, math.inf, 1.0, 7.0], dtype=torch.float64)
    assert first_distinct(order, keys, 9, descending=True) == [1, 5, 4]
    assert first_distinct(order, keys, 9, descending=False) == [4, 0, 1]
    assert first_distinct(order, keys, 2, descending=True) == [1, 5]
    equal = torch.zeros(6, dtype=torch.float64)
    assert first_distinct(equal, torch.arange(6), 3, descending=True) == [0, 1, 2]
    assert first_distinct(equal, torch.arange(6), 3, descending=False) == [0, 1, 2]


def test_keys_are_of_whole_rows():
    rows = sample(500, 1)
    rows[7] = rows[3]
    rows[8] = rows[3].flip(0)
    rows[9], rows[10] = 0.0, -0.0
    rows[11] = rows[3]
    rows[11, 2] = torch.nextafter(rows[11, 2], torch.tensor(9.0))
    keys = row_keys(Rows.of(rows)).tolist()
    assert keys[7] == keys[3] and keys[9] == keys[10]
    assert len(set(keys)) == 498
    assert row_keys(Rows.of(rows, most=37)).tolist() == keys
