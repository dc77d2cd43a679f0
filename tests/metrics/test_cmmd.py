"""CMMD and its streaming form: loops, bounds, what it cannot see, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from genmetrics.accumulators.build import build_accumulator
from genmetrics.accumulators.moments import Moments
from genmetrics.errors import StatisticsError
from genmetrics.metrics import METRICS, kernel_sums
from genmetrics.metrics.cmmd import clip_distance, streaming_clip_distance
from genmetrics.registry import load_target
from genmetrics.stats.stats import Stats
from genmetrics.types import MetricResult, SideRecord


def embeddings(count: int, width: int = 24, seed: int = 0, shift: float = 0.0, common: float = 1.0) -> torch.Tensor:
    """(count, width) float32 in a cone around one direction, as CLIP's are, of norms about 10."""
    rng = np.random.default_rng(seed)
    values = common * np.sqrt(width) * np.eye(width)[0] + rng.standard_normal((count, width))
    values[:, 1] += shift
    return torch.from_numpy((2 * values).astype(np.float32))


def moments_of(rows: torch.Tensor) -> Moments:
    moments = Moments(rows.shape[1], unit_norm=True)
    moments.update(rows, torch.arange(len(rows)))
    return moments


def compute(name: str, gen: torch.Tensor, ref: torch.Tensor) -> MetricResult:
    info = METRICS.get(name)
    metric = load_target(info.target)(info, 0)
    (need,) = metric.needs
    sides = []
    for rows in (gen, ref):
        held = build_accumulator(need, rows.shape[1], len(rows))
        held.update(rows, torch.arange(len(rows)))
        sides.append(Stats({need: held}, SideRecord("drawn", "array", len(rows), "0" * 64), {}, 0))
    return metric.compute(*sides)


def looped(gen: torch.Tensor, ref: torch.Tensor) -> tuple[float, float]:
    """The biased and the unbiased estimate, one pair at a time."""

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return math.exp(-float(np.sum((a - b) ** 2)) / 200)

    x, y = (side.double().numpy() / np.linalg.norm(side.double().numpy(), axis=1, keepdims=True) for side in (gen, ref))
    n, m = len(x), len(y)
    between = sum(kernel(a, b) for a in x for b in y) / (n * m)
    sums = [sum(kernel(a, b) for i, a in enumerate(s) for j, b in enumerate(s) if i != j) for s in (x, y)]
    biased = (sums[0] + n) / n**2 + (sums[1] + m) / m**2 - 2 * between
    unbiased = sums[0] / (n * (n - 1)) + sums[1] / (m * (m - 1)) - 2 * between
    return 1000 * biased, 1000 * unbiased


@pytest.mark.parametrize(("n", "m"), [(2, 2), (5, 9), (20, 13)])
def test_sums_are_the_papers(n: int, m: int) -> None:
    gen, ref = embeddings(n, seed=1, shift=0.5), embeddings(m, seed=2)
    assert tuple(clip_distance(gen, ref)) == pytest.approx(looped(gen, ref), abs=1e-10)
    assert looped(gen, ref)[0] > looped(gen, ref)[1] + 0.1, "the two estimates must be told apart"


@pytest.mark.parametrize("tile", [1, 4, 100])
def test_tiles_do_not_matter(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    gen, ref = embeddings(13, seed=1, shift=0.5), embeddings(9, seed=2)
    whole = clip_distance(gen, ref)
    monkeypatch.setattr(kernel_sums, "_TILE", tile)
    assert tuple(clip_distance(gen, ref)) == pytest.approx(tuple(whole), abs=1e-12)


def test_only_directions_count() -> None:
    gen, ref = embeddings(40, seed=1, shift=0.5), embeddings(30, seed=2)
    scales = torch.from_numpy(np.random.default_rng(3).uniform(0.1, 9, (40, 1)).astype(np.float32))
    for name in ("cmmd", "cmmd_fast"):
        assert compute(name, gen * scales, ref).value == pytest.approx(compute(name, gen, ref).value, abs=1e-4)


def test_equal_sets_have_none() -> None:
    rows = embeddings(50, seed=1)
    assert clip_distance(rows, rows).biased == pytest.approx(0, abs=1e-11)
    assert streaming_clip_distance(moments_of(rows), moments_of(rows)).value == 0


@pytest.mark.parametrize("common", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("shift", [0.0, 0.3, 4.0])
@pytest.mark.parametrize("count", [15, 60], ids=["rows", "folded"])
def test_streaming_is_a_lower_bound_within_its_error(common: float, shift: float, count: int) -> None:
    gen, ref = embeddings(count, seed=1, shift=shift, common=common), embeddings(40, seed=2, common=common)
    exact = clip_distance(gen, ref).biased
    fast = streaming_clip_distance(moments_of(gen), moments_of(ref))
    print(f"exact {exact:.9f}, streaming {fast.value:.9f}, short by {exact - fast.value:.1e} of {fast.max_error:.1e}")
    assert -1e-10 <= exact - fast.value <= fast.max_error < 7e-4


def test_bound_is_reached_by_opposite_sets() -> None:
    """All samples one way against all the other way: the odd orders are 4, the even ones 0. No set goes further."""
    gen = torch.zeros(5, 3)
    gen[:, 0] = 1
    fast = streaming_clip_distance(moments_of(gen), moments_of(-gen))
    missing = clip_distance(gen, -gen).biased - fast.value
    odd = 4000 * math.exp(-0.01) * (math.sinh(0.01) - 0.01)
    assert missing == pytest.approx(odd, rel=1e-6)
    assert missing < fast.max_error < 1.01 * missing
    # Negative control: one order fewer is no bound.
    assert clip_distance(gen, -gen).biased - fast.mean_term == pytest.approx(missing, rel=1e-6)
    apart = embeddings(50, seed=1, common=0.0)
    stretched = apart * torch.tensor([6.0] + [1.0] * 23)
    whole = streaming_clip_distance(moments_of(apart), moments_of(stretched))
    assert clip_distance(apart, stretched).biased - whole.mean_term > whole.max_error


def test_it_is_nearly_a_test_of_means() -> None:
    """A collapse of 63 directions to three with the same mean is hardly seen; a small turn of the mean is."""
    rng = np.random.default_rng(0)

    def around_one_mean(directions: int) -> np.ndarray:
        values = np.zeros((1000, 64))
        values[:, :directions] = rng.standard_normal((1000, directions))
        values *= 0.6 / np.linalg.norm(values, axis=1, keepdims=True)
        values = np.concatenate((values, -values))
        values[:, 63] = 0.8
        return values

    ref, collapsed = around_one_mean(63), around_one_mean(3)
    turned = ref.copy()
    turned[:, 0], turned[:, 63] = ref[:, 0] + 0.1 * ref[:, 63], ref[:, 63] - 0.1 * ref[:, 0]
    sides = [torch.from_numpy(values.astype(np.float32)) for values in (collapsed, turned, ref)]
    blind, seen = compute("cmmd_fast", sides[0], sides[2]), compute("cmmd_fast", sides[1], sides[2])
    print(f"collapse {blind.value:.4f} (means {blind.extra['mean_term']:.4f}), turn {seen.value:.4f}")
    assert blind.extra["mean_term"] < 1e-9
    assert blind.value < 0.05 * seen.value
    assert seen.extra["mean_term"] > 0.99 * seen.value


def test_results() -> None:
    gen, ref = embeddings(40, seed=1, shift=0.5), embeddings(30, seed=2)
    exact, fast = compute("cmmd", gen, ref), compute("cmmd_fast", gen, ref)
    found = clip_distance(gen, ref)
    assert exact.value == found.biased
    expected = {"unbiased": found.unbiased, "num_gen": 40, "num_ref": 30, "debiased": found.unbiased}
    assert {name: exact.extra[name] for name in expected} == expected
    assert set(exact.extra) == {*expected, "se", "ci95_low", "ci95_high"}
    assert set(fast.extra) == {"mean_term", "max_error"}
    assert fast.extra["max_error"] == pytest.approx(6.617e-4, rel=1e-3)
    assert 0 < fast.extra["mean_term"] < fast.value <= exact.value <= fast.value + fast.extra["max_error"]
    assert str(exact.protocol).endswith("/rbf10-biased-x1000")


@pytest.mark.parametrize("name", ["cmmd", "cmmd_fast"])
def test_a_zero_embedding_is_refused_by_index(name: str) -> None:
    gen = embeddings(10, seed=1)
    gen[[3, 7]] = 0
    with pytest.raises(
        StatisticsError, match=r"^the features of 2 image\(s\) are all zero \(indices 3, 7\): they have no direction"
    ):
        compute(name, gen, embeddings(5))


@pytest.mark.parametrize("name", ["cmmd", "cmmd_fast"])
def test_one_image_is_refused(name: str) -> None:
    with pytest.raises(
        StatisticsError,
        match=rf"^'{name}' needs at least 2 images on each side; given are 1 generated and 5 reference images\. Add",
    ):
        compute(name, embeddings(1), embeddings(5))
