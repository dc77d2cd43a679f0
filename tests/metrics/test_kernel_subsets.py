"""Kernel distances under any kernel: torch-fidelity's own on the same features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.errors import StatisticsError
from genmetrics.metrics import METRICS
from genmetrics.metrics.kernel import KernelDistance, kernel_distances
from genmetrics.metrics.kernel_subsets import (
    SubsetKernelDistance,
    gaussian_kernel,
    kernel_distances_under,
    polynomial_kernel,
)
from genmetrics.stats.stats import Stats
from genmetrics.types import MetricInfo, SideRecord
from support.peers import import_peer

SETTINGS = (("num_subsets", 7), ("subset_size", 20))


def sample(count: int, width: int = 16, seed: int = 0, shift: float = 0.0) -> torch.Tensor:
    values = np.random.default_rng(seed).standard_normal((count, width)) + shift
    return torch.from_numpy(values.astype(np.float32))


def info(*settings: tuple[str, int | float]) -> MetricInfo:
    target = "genmetrics.metrics.kernel_subsets:SubsetKernelDistance"
    return replace(METRICS.get("kid"), id="kid_other", target=target, settings=(*SETTINGS, *settings))


def stats_of(features: torch.Tensor) -> Stats:
    bank = FeatureBank(features.shape[1])
    bank.update(features, torch.arange(len(features)))
    side = SideRecord("synthetic", "array", len(features), "0" * 64)
    return Stats({SubsetKernelDistance(info(("sigma", 1)), 0).needs[0]: bank}, side, {}, 0)


@pytest.mark.parametrize(
    ("settings", "theirs"),
    [
        ((("sigma", 3.0),), {"kid_kernel": "rbf", "kid_kernel_rbf_sigma": 3.0}),
        ((("degree", 2), ("coef0", 0.5)), {"kid_kernel_poly_degree": 2, "kid_kernel_poly_coef0": 0.5}),
        ((("degree", 3), ("coef0", 1), ("gamma", 0.2)), {"kid_kernel_poly_gamma": 0.2}),
    ],
)
def test_equals_torch_fidelity(settings, theirs) -> None:
    peer = import_peer("torch_fidelity.metric_kid")
    gen, ref = sample(30, seed=1, shift=0.3), sample(25, seed=2)
    expected = peer.kid_features_to_metric(
        gen, ref, kid_subsets=7, kid_subset_size=20, rng_seed=2020, verbose=False, **theirs
    )
    result = SubsetKernelDistance(info(*settings), 2020).compute(stats_of(gen), stats_of(ref))
    print(result, expected)
    assert result.value == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-4, abs=1e-6)
    assert result.extra["std"] == pytest.approx(expected["kernel_inception_distance_std"], rel=1e-3, abs=1e-6)
    default = SubsetKernelDistance(info(("degree", 3), ("coef0", 1)), 2020).compute(stats_of(gen), stats_of(ref))
    assert result.value != pytest.approx(default.value, rel=1e-2)


def test_kids_own_kernel_is_the_fast_ones() -> None:
    gen, ref = sample(30, seed=1), sample(25, seed=2)
    ours = kernel_distances_under(polynomial_kernel(), gen, ref, 7, 20, seed=3)
    torch.testing.assert_close(ours, kernel_distances(gen, ref, 7, 20, seed=3), rtol=1e-10, atol=1e-12)


def test_gaussian_kernel_by_hand() -> None:
    x, y = torch.tensor([[0.0, 0.0]], dtype=torch.float64), torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    assert float(gaussian_kernel(5.0)(x, y)) == pytest.approx(np.exp(-0.5), rel=1e-15)
    assert float(gaussian_kernel(5.0)(x, x)) == 1.0


def test_subsets_that_cannot_be_drawn_are_refused() -> None:
    with pytest.raises(StatisticsError, match="subsets of 20 samples cannot be drawn from 12 reference images; ask"):
        SubsetKernelDistance(info(("sigma", 1)), 0).compute(stats_of(sample(30)), stats_of(sample(12)))
    strict = KernelDistance(replace(METRICS.get("kid"), settings=(*SETTINGS, ("lowers", 0))), 0)
    with pytest.raises(StatisticsError, match="subsets of 20 samples cannot be drawn from 19 generated images; ask"):
        strict.check_sizes(19, None)
    KernelDistance(METRICS.get("kid"), 0).check_sizes(19, 19)


def test_inputs_are_not_changed() -> None:
    gen, ref = sample(20, seed=1), sample(20, seed=2)
    before = gen.clone(), ref.clone()
    for kernel in (polynomial_kernel(2, 0.1, 0.5), gaussian_kernel(2.0)):
        kernel_distances_under(kernel, gen, ref, 3, 10, seed=0)
    assert torch.equal(gen, before[0]) and torch.equal(ref, before[1])
