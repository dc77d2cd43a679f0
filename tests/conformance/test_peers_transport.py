"""Transport along random directions against POT 0.9.7 and against torch-fidelity's unreleased code, transcribed.

Tolerances: 1e-9 relative against POT in float64; 1e-5 relative against the transcription of MIND, which is float32
throughout. Reached with torch 2.13.0: 2e-14 and 1e-7.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.extractors import EXTRACTORS
from genmetrics.linalg import covariance_factor, transport_factor
from genmetrics.metrics.resolve import build_metrics
from genmetrics.metrics.transport import random_directions, sliced_transport_costs
from genmetrics.stats.stats import Stats
from genmetrics.types import SideRecord
from support.peers import import_peer

ot = import_peer("ot")

SEED = 2020
MIND_TOLERANCE, POT_TOLERANCE = 1e-5, 1e-9
SIZES = [(300, 300), (300, 470), (520, 200), (97, 96)]


def draw_features(seed: int, count: int, width: int = 192, shift: float = 0.0) -> Tensor:
    """(count, width) float32, none negative and with a heavy tail, as a network's pooled layer."""
    centre = np.random.RandomState(7).gamma(1.0, 0.4, width)
    noise = np.random.RandomState(seed).gamma(2.0, 0.2, (count, width))
    return torch.from_numpy((centre + shift + noise).astype(np.float32))


def pair(n: int, m: int, shift: float = 0.05) -> tuple[Tensor, Tensor]:
    return draw_features(1, n, shift=shift), draw_features(2, m)


def ours(name: str, gen: Tensor, ref: Tensor, seed: int = SEED) -> float:
    (metric,) = build_metrics([name], None, EXTRACTORS.get, seed)
    sides = []
    for features in (gen, ref):
        bank = FeatureBank(features.shape[1])
        bank.update(features, torch.arange(len(features)))
        sides.append(Stats({metric.needs[0]: bank}, SideRecord("drawn", "array", len(features), "0" * 64), {}, seed))
    return metric.compute(*sides).value


def mind_transcribed(features_1: Tensor, features_2: Tensor, seed: int = SEED, num: int = 1000) -> float:
    """torch-fidelity 0.5.0-dev (2026-05), the steps of its metric_mind.py one by one and in float32."""
    generator = torch.Generator(device="cpu").manual_seed(seed)
    n = min(len(features_1), len(features_2))
    if len(features_1) > n:
        features_1 = features_1[torch.randperm(len(features_1), generator=generator)[:n]]
    if len(features_2) > n:
        features_2 = features_2[torch.randperm(len(features_2), generator=generator)[:n]]
    d = features_1.shape[1]
    directions = torch.randn(num, d, generator=generator)
    directions = directions / directions.norm(dim=1, keepdim=True).clamp_min(1e-12)
    first = (features_1 @ directions.t()).sort(dim=0).values
    second = (features_2 @ directions.t()).sort(dim=0).values
    return float(3.0 * d * ((first - second) ** 2).mean(dim=0).mean().item())


def relative(name: str, one: float, other: float) -> float:
    found = abs(one - other) / abs(other)
    print(f"{name}: ours {one:.12g}, theirs {other:.12g}, relative {found:.1e}")
    return found


@pytest.mark.parametrize(("n", "m"), SIZES)
class TestMind:
    @pytest.mark.parametrize("shift", [0.05, 0.0], ids=["unlike", "alike"])
    def test_torch_fidelity(self, n, m, shift):
        gen, ref = pair(n, m, shift)
        assert relative("mind", ours("mind", gen, ref), mind_transcribed(gen, ref)) <= MIND_TOLERANCE

    def test_quantile_is_pots_cost(self, n, m):
        """The exact transport cost between sets of unlike sizes, with POT's solver."""
        gen, ref = pair(n, m)
        directions = random_directions(1000, gen.shape[1], torch.Generator().manual_seed(SEED)).double()
        costs = ot.wasserstein_1d(gen.double() @ directions.T, ref.double() @ directions.T, p=2)
        theirs = 3 * gen.shape[1] * float(costs.mean())
        assert relative("mind_quantile", ours("mind_quantile", gen, ref), theirs) <= POT_TOLERANCE

    def test_sliced_wasserstein_is_pots(self, n, m):
        gen, ref = pair(n, m)
        directions = random_directions(1000, gen.shape[1], torch.Generator().manual_seed(SEED)).double()
        theirs = float(ot.sliced_wasserstein_distance(gen.double(), ref.double(), p=2, projections=directions.T))
        assert relative("sliced_wasserstein", ours("sliced_wasserstein", gen, ref), theirs) <= POT_TOLERANCE


@pytest.mark.parametrize(("n", "m"), [(5, 5), (7, 4), (12, 8), (1, 6)])
def test_cost_of_each_direction_is_that_of_the_linear_program(n: int, m: int) -> None:
    """Against the general solver of transport problems, which knows nothing of sorting."""
    gen, ref = draw_features(1, n, 6, 0.3), draw_features(2, m, 6)
    directions = random_directions(5, 6, torch.Generator().manual_seed(0))
    found = sliced_transport_costs(gen, ref, directions)
    for direction, cost in zip(directions.double(), found.tolist(), strict=True):
        x, y = (side.double() @ direction for side in (gen, ref))
        plan = ot.emd2([], [], ((x[:, None] - y[None, :]) ** 2).numpy())
        assert cost == pytest.approx(float(plan), rel=1e-9)


class TestToldApart:
    @pytest.mark.parametrize(("n", "m"), SIZES)
    def test_another_seed(self, n, m):
        gen, ref = pair(n, m)
        assert relative("seed", ours("mind", gen, ref, SEED + 1), mind_transcribed(gen, ref)) > 10 * MIND_TOLERANCE

    def test_directions_drawn_before_the_subset(self):
        """Of unlike sizes the order of the two draws decides; without a subset the directions are the same."""
        gen, ref = pair(300, 470)
        generator = torch.Generator().manual_seed(SEED)
        directions = random_directions(1000, gen.shape[1], generator)
        kept = ref[torch.randperm(470, generator=generator)[:300]]
        wrong = 3 * gen.shape[1] * float(sliced_transport_costs(gen, kept, directions).mean())
        assert relative("order", wrong, mind_transcribed(gen, ref)) > 10 * MIND_TOLERANCE

    def test_first_images_for_a_subset(self):
        gen, ref = pair(300, 470)
        assert relative("first", ours("mind", gen, ref[:300]), mind_transcribed(gen, ref)) > 10 * MIND_TOLERANCE

    def test_cost_of_first_order(self):
        gen, ref = pair(300, 470)
        directions = random_directions(1000, gen.shape[1], torch.Generator().manual_seed(SEED)).double()
        theirs = float(ot.sliced_wasserstein_distance(gen.double(), ref.double(), p=1, projections=directions.T))
        assert relative("p = 1", ours("sliced_wasserstein", gen, ref), theirs) > 1e6 * POT_TOLERANCE


class TestMapBetweenGaussians:
    """The optimal map behind ``fid_influence`` against POT's, at full rank."""

    @pytest.mark.parametrize(("n", "m", "width"), [(300, 470, 24), (60, 500, 40), (900, 100, 64)])
    def test_is_pots(self, n, m, width):
        sides = [draw_features(seed, count, width).double() for seed, count in ((1, n), (2, m))]
        means, covariances = ([function(side) for side in sides] for function in (lambda x: x.mean(0), _covariance))
        theirs, _ = ot.gaussian.bures_wasserstein_mapping(*means, *covariances)
        factor = transport_factor(*(covariance_factor(sigma) for sigma in covariances))
        ours = factor.T @ factor
        print(float((ours - theirs).norm() / theirs.norm()))
        assert float((ours - theirs).norm() / theirs.norm()) < POT_TOLERANCE
        # Negative control: the map back is another.
        back = transport_factor(*(covariance_factor(sigma) for sigma in covariances[::-1]))
        assert float((back.T @ back - theirs).norm() / theirs.norm()) > 1e-2


def _covariance(rows: Tensor) -> Tensor:
    return torch.cov(rows.T)
