"""Vendi and RKE: sets whose score is known, both sides of the eigenproblem, their sense, and what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from genmetrics.accumulators.build import build_accumulator
from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.errors import StatisticsError
from genmetrics.metrics import METRICS
from genmetrics.registry import load_target
from genmetrics.stats.stats import Stats
from genmetrics.types import MetricResult, Need, SideRecord

NAMES = ["vendi", "rke"]


def stats_of(name: str, rows: torch.Tensor, bank: bool = False) -> tuple[object, Stats]:
    info = METRICS.get(name)
    metric = load_target(info.target)(info, 0)
    (need,) = metric.needs
    key = Need(need.extractor, need.preprocess, need.feature, "feature_bank") if bank else need
    held = FeatureBank(rows.shape[1]) if bank else build_accumulator(need, rows.shape[1], len(rows))
    held.update(rows, torch.arange(len(rows)))
    return metric, Stats({key: held}, SideRecord("drawn", "array", len(rows), "0" * 64), {}, 0)


def compute(name: str, rows: torch.Tensor, bank: bool = False) -> MetricResult:
    metric, stats = stats_of(name, rows, bank)
    return metric.compute(stats, None)


def sample(count: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32))


def looped(name: str, rows: torch.Tensor) -> float:
    """From the eigenvalues of the matrix of all similarities."""
    x = rows.double().numpy()
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(x @ x.T / len(x))
    values = values[values > 1e-14]
    if name == "rke":
        return float(1 / np.sum(values**2))
    return float(np.exp(-np.sum(values * np.log(values))))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [2, 9, 10, 11, 200])
def test_score_is_that_of_all_similarities(name: str, count: int) -> None:
    rows = sample(count, 10, seed=count) + 0.5
    assert compute(name, rows).value == pytest.approx(looped(name, rows), rel=1e-10)
    # Negative control: the centred features, or those that keep their lengths, give another.
    assert compute(name, rows - rows.mean(dim=0)).value != pytest.approx(looped(name, rows), rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [7, 50], ids=["rows", "folded"])
def test_kept_features_give_the_same(name: str, count: int) -> None:
    rows = sample(count, 10)
    assert compute(name, rows, bank=True).value == pytest.approx(compute(name, rows).value, rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("copies", [1, 3, 40])
@pytest.mark.parametrize("modes", [1, 2, 5])
def test_counts_orthogonal_modes(name: str, copies: int, modes: int) -> None:
    if modes * copies < 2:
        return
    rows = (torch.eye(8)[:modes] * torch.arange(1, modes + 1)[:, None]).repeat(copies, 1)
    assert compute(name, rows).value == pytest.approx(modes, rel=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_counts_unequal_modes_by_their_entropy(name: str) -> None:
    rows = torch.eye(8)[[0] * 30 + [1] * 10]
    expected = 1 / (0.75**2 + 0.25**2) if name == "rke" else math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    assert compute(name, rows).value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [20, 300])
def test_sees_a_loss_of_diversity_and_not_of_quality(name: str, count: int) -> None:
    whole = compute(name, sample(count, 16)).value
    narrow = compute(name, sample(count, 16) * torch.tensor([1.0] * 4 + [0.1] * 12)).value
    collapsed = compute(name, sample(2, 16).repeat(count // 2, 1)).value
    assert 16 >= whole > 1.5 * narrow > 1.5 * collapsed >= 1.5
    assert collapsed <= 2
    # Noise is more diverse than anything: alone, the number says nothing of quality.
    assert compute(name, sample(count, 16) + 3).value < whole


def test_rke_is_at_most_vendi() -> None:
    """Rényi entropies fall with their order."""
    rows = sample(100, 12) * torch.linspace(0.1, 2, 12)
    assert compute("rke", rows).value < compute("vendi", rows).value


@pytest.mark.parametrize("name", NAMES)
def test_result(name: str) -> None:
    result = compute(name, sample(30, 6))
    assert set(result.extra) == {"entropy", "num_samples"}
    assert result.value == pytest.approx(math.exp(result.extra["entropy"]), rel=1e-14)
    assert result.extra["num_samples"] == 30


def test_few_images_are_warned_of() -> None:
    assert compute("vendi", sample(300, 6)).warnings == (
        "the Vendi score of 300 images has not converged: it grows with the number of images up to at least 20,000. "
        "Compare it only with values of exactly as many images, or take 'rke'",
    )
    assert compute("vendi", sample(19_999, 3)).warnings
    assert compute("vendi", sample(20_000, 3)).warnings == ()
    assert compute("rke", sample(300, 6)).warnings == ()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_refused(name: str) -> None:
    with pytest.raises(StatisticsError, match=rf"^'{name}' needs at least 2 images; given are 1\. Add images$"):
        compute(name, sample(1, 6))
    rows = sample(9, 6)
    rows[4] = 0
    with pytest.raises(StatisticsError, match=r"are all zero \(indices 4\)"):
        compute(name, rows)
