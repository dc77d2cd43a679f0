"""KID's kernel taken apart, against the kernel of all pairs in float64: both types, hard features, and the way out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genmetrics.accumulators.rows import Rows
from genmetrics.metrics import kernel, kernel_full, kernel_rounding
from genmetrics.metrics.kernel import kernel_distances
from genmetrics.metrics.kernel_centred import CentredRows, Rest
from genmetrics.metrics.kernel_full import full_kernel_distance
from genmetrics.metrics.kernel_rounding import rounding_error
from genmetrics.metrics.kernel_sets import centred_sets

CPU = torch.device("cpu")
WIDTH, COUNT = 128, 400


def centred_pair(gen: torch.Tensor, ref: torch.Tensor, device: torch.device) -> tuple[CentredRows, CentredRows]:
    """Both sets about their common mean."""
    one, other = centred_sets(Rows.of(gen), Rows.of(ref), device)
    assert one.whole is not None and other.whole is not None
    return one.whole, other.whole


def features(seed: int, count: int = COUNT, shift: float = 0.0) -> np.ndarray:
    """None negative, as a network's pooled layer."""
    centre = np.random.RandomState(7).gamma(1.0, 0.4, WIDTH)
    noise = np.random.RandomState(seed).standard_normal((count, WIDTH))
    return np.maximum(centre + shift + 0.3 * noise, 0)


def clusters(seed: int, apart: float = 3.0) -> np.ndarray:
    """Two, far apart: about their common mean no product is small."""
    rows = features(seed)
    rows[: COUNT // 2, : WIDTH // 2] += apart
    rows[COUNT // 2 :, WIDTH // 2 :] += apart
    return rows


# Where float32 is exact enough, and where it is not: large products, all of one sign or rounded alike.
PAIRS = {
    "alike": (features(1), features(2)),
    "unlike": (features(1, shift=0.05), features(2)),
    "unlike sizes": (features(1, 300), features(2, shift=0.05)),
    "at an offset of 1,000": (features(1, shift=0.05) + 1e3, features(2) + 1e3),
    "tiny": (features(1, shift=0.05) * 1e-6, features(2) * 1e-6),
    "equal": (features(1), features(1)),
    "clusters": (clusters(1), clusters(2)),
    "copies of one": (np.repeat(features(1, 1), COUNT, axis=0), features(2)),
    "huge": (features(1) * 1e13, features(2) * 1e13),
}


def tensors(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    gen, ref = (torch.from_numpy(side.astype(np.float32)) for side in PAIRS[name])
    return gen, ref


def kernels(gen: torch.Tensor, ref: torch.Tensor, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    """(x·y/d + 1)³ of all pairs: within either set and between them, 0 for a sample with itself."""
    x, y = gen.to(dtype), ref.to(dtype)
    found = [(a @ b.T / gen.shape[1] + 1) ** 3 for a, b in ((x, x), (y, y), (x, y))]
    for within in found[:2]:
        within.fill_diagonal_(0)
    return found


def literal(gen: torch.Tensor, ref: torch.Tensor, dtype: torch.dtype = torch.float64) -> float:
    within_gen, within_ref, between = (float(values.double().sum()) for values in kernels(gen, ref, dtype))
    n, m = len(gen), len(ref)
    return within_gen / (n * (n - 1)) + within_ref / (m * (m - 1)) - 2 * between / (n * m)


class Types:
    """In which types pairs were computed."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.seen: list[torch.dtype] = []

        def made(*sides: object) -> Rest:
            self.seen.append(sides[2])
            return Rest(*sides)

        for module in (kernel, kernel_full):
            patch.setattr(module, "Rest", made)
        patch.setattr(kernel, "_MANY_PAIRS", 0)
        patch.setattr(kernel_full, "_MANY", 0)

    @property
    def last(self) -> torch.dtype:
        return self.seen[-1]


@pytest.mark.parametrize("name", PAIRS)
def test_full_distance_of_hard_features(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reached in float32: 2e-12 of the kernel with these few; more samples average more out."""
    gen, ref = tensors(name)
    expected, size = literal(gen, ref), float(kernels(gen, ref)[2].abs().mean())
    types = Types(monkeypatch)
    found = full_kernel_distance(gen, ref)
    error = abs(found.value - expected)
    print(
        f"{name}: {expected:.6g} ± {found.se:.2g}, off by {error:.1e}, {error / size:.1e} of the kernel, {types.last}"
    )
    # What float64 itself leaves of sums of kernels that are alike.
    assert error <= 1e-13 * size + max(1e-12 * size, min(1e-6 * found.se, 1e-10 * size))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel_full, "_MANY", 10**9)
        exact = full_kernel_distance(gen, ref)
    assert types.last == torch.float64
    assert exact.value == pytest.approx(expected, rel=1e-9, abs=1e-13 * size)
    assert found.se == pytest.approx(exact.se, rel=1e-8)


@pytest.mark.parametrize("name", PAIRS)
def test_subsets_of_hard_features(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gen, ref = tensors(name)
    exact = kernel_distances(gen, ref, 12, 200, 3)
    types = Types(monkeypatch)
    for count in (2, 12):
        found = kernel_distances(gen, ref, count, 200, 3)
        error = float((found - exact[:count]).abs().max())
        print(f"{name}: off by {error:.1e} of {float(exact.mean()):.4g} ± {float(exact.std()):.2g}, {types.last}")
        assert error <= 1e-13 * float(kernels(gen, ref)[2].abs().mean()) + max(1e-12, 1e-5 * float(exact.std()))


def test_float32_is_taken_where_it_is_exact_enough_and_not_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    types = Types(monkeypatch)
    taken = {}
    for name in PAIRS:
        full_kernel_distance(*tensors(name))
        taken[name] = types.last == torch.float32
    print(taken)
    assert taken["alike"] and taken["unlike"] and taken["tiny"]
    assert not taken["copies of one"] and not taken["huge"]


def test_plain_float32_would_be_noticed() -> None:
    """Negative control: the same sums of kernels from float32 products."""
    gen, ref = tensors("alike")
    assert abs(literal(gen, ref, torch.float32) - literal(gen, ref)) > 1e-9


@pytest.mark.parametrize("name", ["alike", "clusters", "copies of one"])
def test_rounding_error_is_no_smaller_than_what_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gen, ref = tensors(name)
    a, b = centred_pair(gen, ref, CPU)
    Types(monkeypatch)
    monkeypatch.setattr(kernel_full, "exactly_enough", lambda *_: True)
    seen = abs(full_kernel_distance(gen, ref).value - literal(gen, ref))
    told = rounding_error(a, b)
    print(f"{name}: seen {seen:.1e}, told {told:.1e}")
    assert seen <= 2 * told + 2e-14


def with_outliers(count: int, factor: float, where: slice, width: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.RandomState(5)
    gen, ref = (rng.rand(count, width).astype(np.float32) for _ in range(2))
    gen[where] *= factor
    ref[where] *= factor
    return torch.from_numpy(gen), torch.from_numpy(ref)


@pytest.mark.parametrize("factor", [10, 100, 1000])
def test_one_sample_far_out_where_none_is_taken_evenly(factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The products of that one sample alone are too rough in float32, be it sampled or not."""
    gen, ref = with_outliers(2000, factor, slice(1, 2))
    evenly = kernel_rounding._evenly(2000, kernel_rounding._SAMPLED_OF_NARROW)
    assert len(evenly) < 2000 and 1 not in evenly
    size = float(kernels(gen, ref)[2].abs().mean())
    types = Types(monkeypatch)
    found, subsets = full_kernel_distance(gen, ref), kernel_distances(gen, ref, 8, 1000, 3)
    assert types.last == torch.float64
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((kernel, "_MANY_PAIRS"), (kernel_full, "_MANY")):
            patch.setattr(module, name, 10**9)
        exact = full_kernel_distance(gen, ref)
        exact_subsets = kernel_distances(gen, ref, 8, 1000, 3)
    assert abs(found.value - exact.value) <= 1e-12 * size
    assert float((subsets - exact_subsets).abs().max()) <= 1e-12 * size
    assert exact.value == pytest.approx(literal(gen, ref), rel=1e-9)
    # The negative control: what float32 would have made of it, and whether that was told.
    monkeypatch.setattr(kernel_full, "exactly_enough", lambda *_: True)
    seen = abs(full_kernel_distance(gen, ref).value - exact.value)
    told = rounding_error(*centred_pair(gen, ref, CPU))
    print(f"times {factor}: float32 is off by {seen / size:.1e} of the kernel, told {told / size:.1e}")
    assert types.last == torch.float32
    assert 1e-10 * size < seen <= 2 * told


def test_more_samples_far_out_than_are_measured_give_no_bound() -> None:
    """All of them between two of the samples that are taken evenly."""
    hidden = slice(3, 3 + 3 * kernel_rounding._EXTREME)
    count = 2 * kernel_rounding._EXTREME * kernel_rounding._SAMPLED_OF_NARROW
    gen, ref = with_outliers(count, 100, hidden, width=4)
    assert rounding_error(*centred_pair(gen, ref, CPU)) == float("inf")
    assert rounding_error(*centred_pair(*with_outliers(count, 1, hidden, width=4), CPU)) < 1e-9


def test_a_sample_counts_for_more_in_few() -> None:
    a, b = centred_pair(*with_outliers(2000, 10, slice(1, 2)), CPU)
    assert rounding_error(a, b, 200) > 5 * rounding_error(a, b)


@pytest.mark.parametrize("width", [256, 512])
def test_features_of_a_steep_spectrum_are_still_of_float32(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest of them are several times as long as most, as a network's are."""
    scene = np.random.RandomState(7)
    mixing = scene.standard_normal((width, width)) * np.arange(1, width + 1)[:, None] ** -0.7
    centre = scene.gamma(2.0, 0.15, width)
    gen, ref = (
        torch.from_numpy(np.maximum(centre + 0.3 * noise @ mixing, 0).astype(np.float32))
        for noise in (np.random.RandomState(seed).standard_normal((1200, width)) for seed in (1, 2))
    )
    a, _ = centred_pair(gen, ref, CPU)
    assert float(a.length.max()) > 3 * float(a.length.mean())
    types = Types(monkeypatch)
    full_kernel_distance(gen, ref)
    assert types.last == torch.float32
    kernel_distances(gen, ref, 8, 1000, 3)
    assert types.last == torch.float32


def test_within_a_set_no_sample_meets_itself() -> None:
    gen, ref = (side[:5] for side in tensors("unlike"))
    a, b = centred_pair(gen, ref, CPU)
    assert Rest(a, a, torch.float64).tile(slice(0, 5), slice(0, 5), itself=True).diagonal().tolist() == [0.0] * 5
    assert (Rest(a, b, torch.float64).tile(slice(0, 5), slice(0, 5)).diagonal() != 0).all()


@pytest.mark.gpu
@pytest.mark.parametrize("name", PAIRS)
def test_cuda_equals_the_cpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gen, ref = tensors(name)
    size = float(kernels(gen, ref)[2].abs().mean())
    exact, subsets = full_kernel_distance(gen, ref), kernel_distances(gen, ref, 12, 200, 3)
    cuda = torch.device("cuda")
    for many in (0, 10**9):
        monkeypatch.setattr(kernel, "_MANY_PAIRS", many)
        monkeypatch.setattr(kernel_full, "_MANY", many)
        found = full_kernel_distance(gen, ref, cuda)
        assert found.value == pytest.approx(exact.value, rel=1e-9, abs=1e-13 * size + 1e-12 + 1e-6 * exact.se)
        assert found.se == pytest.approx(exact.se, rel=1e-8)
        spread = float(subsets.std())
        torch.testing.assert_close(
            kernel_distances(gen, ref, 12, 200, 3, cuda), subsets, rtol=1e-9, atol=1e-13 * size + 1e-12 + 1e-5 * spread
        )
