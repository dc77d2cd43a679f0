"""Transport along random directions: by hand, by quadrature, and what the metrics say of themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.errors import StatisticsError
from genmetrics.metrics import METRICS, transport
from genmetrics.metrics.transport import random_directions, sliced_transport_costs, subsampled_pair
from genmetrics.registry import load_target
from genmetrics.stats.stats import Stats
from genmetrics.types import MetricResult, SideRecord

NAMES = ["mind", "mind_quantile", "sliced_wasserstein"]


def sample(count: int, width: int = 6, seed: int = 0, shift: float = 0.0) -> torch.Tensor:
    values = np.random.default_rng(seed).standard_normal((count, width)) + shift
    return torch.from_numpy(values.astype(np.float32))


def compute(name: str, gen: torch.Tensor, ref: torch.Tensor, seed: int = 0) -> MetricResult:
    info = METRICS.get(name)
    metric = load_target(info.target)(info, seed)
    sides = []
    for features in (gen, ref):
        bank = FeatureBank(features.shape[1])
        bank.update(features, torch.arange(len(features)))
        sides.append(Stats({metric.needs[0]: bank}, SideRecord("drawn", "array", len(features), "0" * 64), {}, seed))
    return metric.compute(*sides)


def test_two_against_three_by_hand() -> None:
    """Quantile steps 0,0,0|1,1,1 (sixths) and 0,0|1,1|4,4: differences 0 0 1 | 0 3 3."""
    gen, ref = torch.tensor([[1.0], [0.0]]), torch.tensor([[4.0], [0.0], [1.0]])
    costs = sliced_transport_costs(gen, ref, torch.tensor([[1.0], [-1.0]]))
    assert costs.tolist() == pytest.approx([(1 + 9 + 9) / 6] * 2, rel=1e-14)


@pytest.mark.parametrize(("n", "m"), [(4, 4), (6, 4), (7, 5), (1, 9), (30, 20)])
def test_cost_is_the_integral_of_the_quantile_functions(n: int, m: int) -> None:
    """By repeating each sample until both sets have n·m, which is exact as well and much dearer."""
    gen, ref = sample(n, seed=1, shift=0.3), sample(m, seed=2)
    directions = random_directions(9, 6, torch.Generator().manual_seed(3))
    for direction, cost in zip(directions.double(), sliced_transport_costs(gen, ref, directions).tolist(), strict=True):
        x = np.repeat(np.sort((gen.double() @ direction).numpy()), m)
        y = np.repeat(np.sort((ref.double() @ direction).numpy()), n)
        assert cost == pytest.approx(np.mean((x - y) ** 2), rel=1e-12)


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    gen, ref = sample(50, seed=1), sample(33, seed=2)
    directions = random_directions(20, 6, torch.Generator().manual_seed(3))
    whole = sliced_transport_costs(gen, ref, directions)
    monkeypatch.setattr(transport, "_ROWS", 7)
    monkeypatch.setattr(transport, "_DIRECTIONS", 3)
    torch.testing.assert_close(sliced_transport_costs(gen, ref, directions), whole, rtol=1e-12, atol=0)


def test_directions_are_uniform_on_the_sphere() -> None:
    directions = random_directions(4000, 3, torch.Generator().manual_seed(0)).double()
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(4000, dtype=torch.float64), rtol=0, atol=1e-6)
    assert float(directions.mean(dim=0).abs().max()) < 4 * (1 / 3 / 4000) ** 0.5
    second = directions.T @ directions / 4000
    assert float((second - torch.eye(3, dtype=torch.float64) / 3).abs().max()) < 0.03


def test_subset_is_of_the_larger_side() -> None:
    gen, ref = sample(5, seed=1), sample(9, seed=2)
    mine, other = subsampled_pair(gen, ref, torch.Generator().manual_seed(0))
    assert torch.equal(mine, gen)
    assert len(other) == 5 and len(torch.unique(other, dim=0)) == 5
    assert all(any(torch.equal(row, held) for held in ref) for row in other)


def test_equal_sizes_draw_no_subset() -> None:
    one, other = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)
    subsampled_pair(sample(5), sample(5, seed=1), one)
    assert torch.equal(torch.rand(3, generator=one), torch.rand(3, generator=other))


def test_quantile_is_mind_for_equal_sizes() -> None:
    gen, ref = sample(80, seed=1, shift=0.2), sample(80, seed=2)
    assert compute("mind_quantile", gen, ref).value == pytest.approx(compute("mind", gen, ref).value, rel=1e-5)
    # Negative control: of unlike sizes they differ.
    more = sample(120, seed=2)
    assert compute("mind_quantile", gen, more).value != pytest.approx(compute("mind", gen, more).value, rel=1e-3)


def test_sliced_wasserstein_is_the_root_of_minds_mean() -> None:
    gen, ref = sample(80, seed=1, shift=0.2), sample(60, seed=2)
    root = (compute("mind_quantile", gen, ref).value / (3 * 6)) ** 0.5
    assert compute("sliced_wasserstein", gen, ref).value == pytest.approx(root, rel=1e-12)


def test_shift_is_measured() -> None:
    """A set and its shifted copy: the cost of direction u is (u·s)², whose mean is |s|²/d."""
    gen = sample(50, width=8, seed=1).double()
    moved = gen + torch.full((8,), 2.0, dtype=torch.float64)
    found = compute("sliced_wasserstein", moved.float(), gen.float()).value
    assert found == pytest.approx(2.0, rel=0.05)
    assert compute("mind", moved.float(), gen.float()).value == pytest.approx(3 * 8 * 4.0, rel=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_figures_of_one_distribution_are_above_zero_and_fall(name: str) -> None:
    """The null bias that the pages tell of."""
    values = [compute(name, sample(count, seed=1), sample(count, seed=2)).value for count in (50, 200, 800)]
    assert values[0] > values[1] > values[2] > 0


@pytest.mark.parametrize("name", NAMES)
def test_symmetric_and_of_the_seed_alone(name: str) -> None:
    gen, ref = sample(40, seed=1), sample(30, seed=2)
    torch.manual_seed(1)
    first = compute(name, gen, ref, seed=5).value
    torch.manual_seed(2)
    assert compute(name, gen, ref, seed=5).value == first
    assert compute(name, ref, gen, seed=5).value == pytest.approx(first, rel=1e-6)
    assert compute(name, gen, ref, seed=6).value != pytest.approx(first, rel=1e-6)


def test_results_say_what_was_used() -> None:
    gen, ref = sample(40, seed=1), sample(30, seed=2)
    result = compute("mind", gen, ref)
    assert dict(result.extra) == {"num_projections": 1000, "num_gen": 30, "num_ref": 30}
    assert result.warnings == (
        "30 of the 40 generated images were used, as many as the other side has; 'mind_quantile' uses them all",
    )
    assert compute("mind", ref, gen).warnings[0].startswith("30 of the 40 reference images were used")
    assert compute("mind", gen, gen.flip(0)).warnings == ()
    for name in NAMES[1:]:
        assert dict(compute(name, gen, ref).extra) == {"num_projections": 1000, "num_gen": 40, "num_ref": 30}
        assert compute(name, gen, ref).warnings == ()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("n", "m"), [(1, 5), (5, 0)])
def test_fewer_than_two_samples_are_refused(name: str, n: int, m: int) -> None:
    with pytest.raises(
        StatisticsError,
        match=rf"^'{name}' needs at least 2 images on each side; given are {n} generated and {m} reference "
        r"images\. Add images$",
    ):
        compute(name, sample(n), sample(m))
