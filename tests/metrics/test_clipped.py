"""Clipped Density and Clipped Coverage against a transcription of their authors' code."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from genmetrics.metrics.clipped import expected_coverage
from support.features import all_distances, evaluate, own_distances, sample


def as_published(gen: torch.Tensor, ref: torch.Tensor, k: int = 5) -> tuple[float, float]:
    """ClippedDensityCoverage (github.com/nicolassalvy/ClippedDensityCoverage at 9920dae), step by step and slowly."""
    own = np.sqrt(all_distances(ref, ref))
    np.fill_diagonal(own, np.inf)
    order = np.argsort(own, axis=1, kind="stable")[:, :k]
    nearest = np.take_along_axis(own, order, axis=1)
    radii = nearest[:, -1]
    clipped = np.minimum(radii, np.median(radii))
    cross = np.sqrt(all_distances(ref, gen))
    appearances = (cross <= clipped[:, None]).sum(axis=0)
    of_ref = np.zeros(len(ref))
    for centre in range(len(ref)):
        for other, distance in zip(order[centre], nearest[centre], strict=True):
            of_ref[other] += distance <= clipped[centre]
    density = np.minimum(appearances / k, 1).mean() / np.minimum(of_ref / k, 1).mean()
    closest = np.sort(cross, axis=1)[:, :k]
    filled = (closest < radii[:, None]).mean(axis=1).mean()
    expected = [expected_by_gamma_functions(len(ref), m, k) for m in range(len(gen) + 1)]
    return min(density, 1.0), float(np.searchsorted(expected, filled)) / (len(gen) + 1)


def expected_by_gamma_functions(num_ref: int, m: int, k: int) -> float:
    """E[min(J, k)] / k of the beta-binomial distribution, the whole sum; 0 below k."""

    def log_beta(a: float, b: float) -> float:
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)

    if m < k:
        return 0.0
    total = 0.0
    for j in range(1, m + 1):
        log_choices = math.lgamma(m + 1) - math.lgamma(j + 1) - math.lgamma(m - j + 1)
        log_share = log_choices + log_beta(k + j, num_ref + m - k - j) - log_beta(k, num_ref - k)
        total += min(j, k) * math.exp(log_share)
    return total / k


CASES = {
    "alike": (120, 120, 0.0, 1.0),
    "shifted": (120, 120, 0.5, 1.0),
    "narrow": (120, 120, 0.0, 0.4),
    "wide": (120, 120, 0.0, 2.0),
    "few-generated": (40, 131, 0.0, 1.0),
    "few-reference": (130, 41, 0.2, 1.0),
}


@pytest.mark.parametrize("case", CASES)
def test_equals_the_published_code(case: str) -> None:
    num_gen, num_ref, shift, scale = CASES[case]
    gen, ref = sample(0, num_gen, 6, shift, scale), sample(1, num_ref, 6)
    expected = as_published(gen, ref)
    found = evaluate("clipped_dc", gen, ref)
    print(case, found.value, expected)
    assert found.value == found.extra["clipped_density"] == pytest.approx(expected[0], rel=1e-12)
    assert found.extra["clipped_coverage"] == expected[1]


@pytest.mark.parametrize("k", [4, 6])
def test_another_k_is_told_apart(k: int) -> None:
    gen, ref = sample(0, 120, 6, 0.5), sample(1, 120, 6)
    other = as_published(gen, ref, k)
    found = evaluate("clipped_dc", gen, ref)
    assert abs(found.value - other[0]) > 1e-3
    assert abs(found.extra["clipped_coverage"] - other[1]) > 1e-3


def test_swapped_sides_are_told_apart() -> None:
    gen, ref = sample(0, 120, 6, 0.0, 0.5), sample(1, 120, 6)
    assert abs(evaluate("clipped_dc", gen, ref).value - as_published(ref, gen)[0]) > 0.1


def test_an_outlier_does_not_widen_the_balls() -> None:
    """Density counts samples near an outlier of the reference; clipped to the median radius, its ball has none."""
    ref = sample(0, 100, 2)
    ref[0] = 50.0
    gen = sample(1, 100, 2, 25.0)
    assert own_distances(ref)[0, 4] > 60**2
    assert evaluate("prdc", gen, ref).value > 0
    assert evaluate("clipped_dc", gen, ref).value == 0


def test_good_samples_among_bad_are_a_share() -> None:
    """Both figures read as the share of good samples."""
    ref, good, bad = sample(0, 600, 8), sample(1, 600, 8), sample(2, 600, 8, 20.0)
    for share in (0.25, 0.5, 0.75):
        mixed = torch.cat((good[: int(600 * share)], bad[int(600 * share) :]))
        found = evaluate("clipped_dc", mixed, ref).extra
        assert found["clipped_density"] == pytest.approx(share, abs=0.06)
        assert found["clipped_coverage"] == pytest.approx(share, abs=0.06)


@pytest.mark.parametrize(("num_ref", "num_gen", "k"), [(6, 30, 5), (40, 90, 5), (300, 200, 3), (200, 150, 1)])
def test_expected_coverage(num_ref: int, num_gen: int, k: int) -> None:
    expected = [expected_by_gamma_functions(num_ref, m, k) for m in range(num_gen + 1)]
    np.testing.assert_allclose(expected_coverage(num_ref, num_gen, k).numpy(), expected, rtol=1e-9, atol=1e-12)


def test_expected_coverage_of_very_many() -> None:
    """Fifty thousand on each side: finite, ascending and near 1 at the end, without a logarithm."""
    found = expected_coverage(50_000, 50_000, 5)
    assert bool(found.isfinite().all())
    assert bool((found[5:].diff() > 0).all())
    assert float(found[-1]) == pytest.approx(expected_by_gamma_functions(50_000, 50_000, 5), rel=1e-7)
    assert 0.7 < float(found[-1]) < 1
