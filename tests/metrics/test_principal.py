"""Spectra, axes and maps against NumPy's eigenvalues, singular vectors and covariances of the rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from genmetrics.accumulators.moments import Moments
from genmetrics.accumulators.rows import Rows
from genmetrics.metrics.principal import eigenvalues, log_spaced_ranks, principal, projected

#: More rows than dimensions; one less than dimensions; fewer.
SHAPES = [(200, 8), (11, 12), (7, 40)]


def sample(count: int, width: int, seed: int = 1) -> Tensor:
    rows = np.random.default_rng(seed).standard_normal((count, width)) * np.arange(1, width + 1) ** -0.7 + 3
    return torch.from_numpy(rows.astype(np.float32))


def moments_of(rows: Tensor) -> Moments:
    moments = Moments(rows.shape[1])
    moments.update(rows, torch.arange(len(rows)))
    return moments


@pytest.mark.parametrize(("count", "width"), SHAPES)
def test_eigenvalues_are_numpys(count, width):
    rows = sample(count, width)
    expected = np.linalg.eigvalsh(np.cov(rows.double().numpy().T))[::-1][: min(count - 1, width)]
    for found in (eigenvalues(moments_of(rows)), principal(moments_of(rows)).variances):
        assert len(found) == min(count - 1, width)
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-10 * expected[0])


def test_of_a_covariance_alone_rounding_is_no_rank():
    rows = sample(5, 40).double()
    sigma = torch.from_numpy(np.cov(rows.numpy().T))
    found = eigenvalues(Moments.from_covariance(rows.mean(dim=0), sigma, None))
    assert len(found) == 4
    np.testing.assert_allclose(found.numpy(), np.linalg.eigvalsh(sigma.numpy())[::-1][:4], rtol=1e-10)


@pytest.mark.parametrize(("count", "width"), SHAPES)
def test_axes_are_the_singular_vectors(count, width):
    rows = sample(count, width)
    centred = rows.double().numpy() - rows.double().numpy().mean(axis=0)
    expected = np.linalg.svd(centred, full_matrices=False)[2][:2]
    found = principal(moments_of(rows)).axes.numpy()
    np.testing.assert_allclose(np.abs(np.sum(found * expected, axis=1)), 1, rtol=1e-9)
    np.testing.assert_allclose(found @ found.T, np.eye(2), atol=1e-10)
    assert all(axis[np.abs(axis).argmax()] > 0 for axis in found)


def test_sign_is_the_same_for_mirrored_images():
    rows = sample(200, 8)
    np.testing.assert_allclose(principal(moments_of(-rows)).axes, principal(moments_of(rows)).axes, atol=1e-9)


@pytest.mark.parametrize("width", [3, 30])
def test_of_equal_variances_there_are_two_axes(width):
    """As many along the one axis as along the other: any two at right angles in their plane are right."""
    plane = torch.cat((torch.eye(width)[:2], -torch.eye(width)[:2])).repeat(5, 1)
    axes = principal(moments_of(plane)).axes
    np.testing.assert_allclose(axes @ axes.T, np.eye(2), atol=1e-10)
    np.testing.assert_allclose(axes[:, 2:], 0, atol=1e-10)


@pytest.mark.parametrize("rows", [torch.ones(9, 4), torch.eye(4)[:2].repeat(4, 1)], ids=["a point", "a line"])
def test_what_has_no_two_axes_has_none(rows):
    assert principal(moments_of(rows)).axes is None


@pytest.mark.parametrize(("count", "width"), SHAPES)
def test_map_is_of_the_rows(count, width):
    ref, gen = sample(90, width, 2), sample(count, width)
    axes, origin = principal(moments_of(ref)).axes, moments_of(ref).mean()
    found = projected(moments_of(gen), Rows.of(gen), axes, origin, 1000, 0)
    expected = (gen.double().numpy() - ref.double().numpy().mean(axis=0)) @ axes.numpy().T
    np.testing.assert_allclose(found.points, expected, atol=1e-9)
    np.testing.assert_allclose(found.centre, expected.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(found.covariance, np.cov(expected.T), atol=1e-9)


def test_of_many_rows_some_are_drawn_with_the_seed():
    gen = sample(500, 8)
    arguments = (moments_of(gen), Rows.of(gen), torch.eye(8, dtype=torch.float64)[:2], gen.double().mean(dim=0), 40)
    first, again, other = (projected(*arguments, seed) for seed in (1, 1, 2))
    assert first.points.shape == (40, 2)
    assert torch.equal(first.points, again.points) and not torch.equal(first.points, other.points)
    whole = projected(*arguments[:-1], 500, 0)
    assert set(map(tuple, first.points.tolist())) <= set(map(tuple, whole.points.tolist()))
    assert torch.equal(first.covariance, whole.covariance)


def test_without_rows_the_ellipse_is_left():
    gen = sample(500, 8)
    found = projected(moments_of(gen), None, torch.eye(8, dtype=torch.float64)[:2], torch.zeros(8).double(), 40, 0)
    assert found.points.shape == (0, 2)
    np.testing.assert_allclose(found.covariance, np.cov(gen.double().numpy().T)[:2, :2], rtol=1e-9)
    np.testing.assert_allclose(found.centre, gen.double().mean(dim=0)[:2], rtol=1e-9)


@pytest.mark.parametrize("count", [1, 2, 200, 201, 2048])
def test_ranks(count):
    ranks = log_spaced_ranks(count)
    assert (ranks[0], ranks[-1]) == (1, count)
    assert list(ranks) == sorted(set(ranks)) and len(ranks) <= 200
    if count > 1000:
        steps = np.diff(np.log(ranks[100:]))
        assert steps.max() < 2 * steps.min()
