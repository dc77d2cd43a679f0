"""Our kernel distance against torch-fidelity 0.4.0, with its random draws.

Tolerance: 1e-6 absolute on the mean over subsets and on their spread. torch-fidelity computes its kernels in
float32 and we in float64; reached with torch 2.13.0 and NumPy 2.4.6: 3e-7 at 2,048 dimensions, where the noise of
float32 is greatest, and 5e-16 against torch-fidelity's code fed with float64 features.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from genmetrics.metrics.kernel import kernel_distances
from support.peers import import_peer

fidelity = import_peer("torch_fidelity.metric_kid")

TOLERANCE = 1e-6
SEED = 2020

# name: (samples on each side, width, subsets, subset size). In the first group every kernel value is needed by
# several subsets and is computed once for all; in the second each subset computes its own.
ONCE_FOR_ALL = {
    "equal-sides": ((400, 400), 256, 100, 100),
    "unequal-sides": ((310, 470), 256, 100, 120),
    "whole-smaller-side": ((60, 90), 64, 100, 60),
    "pool3": ((1300, 1100), 2048, 10, 1000),
}
SUBSET_BY_SUBSET = {
    "equal-sides": ((1500, 1500), 256, 100, 50),
    "unequal-sides": ((1500, 2000), 256, 30, 100),
    "pool3": ((3000, 2500), 2048, 5, 1000),
}
CASES = {
    **{f"once-for-all-{name}": case for name, case in ONCE_FOR_ALL.items()},
    **{f"subset-by-subset-{name}": case for name, case in SUBSET_BY_SUBSET.items()},
}


def draw_features(seed: int, count: int, width: int, shift: float) -> Tensor:
    """(count, width) float32, none negative, as a network's pooled layer; ``shift`` moves the set's mean."""
    centre = np.random.RandomState(7).gamma(1.0, 0.4, width)
    noise = np.random.RandomState(seed).standard_normal((count, width))
    return torch.from_numpy(np.maximum(centre + shift + 0.3 * noise, 0).astype(np.float32))


def both_sides(case: str, shift: float = 0.02) -> tuple[Tensor, Tensor]:
    (of_gen, of_ref), width, _, _ = CASES[case]
    return draw_features(1, of_gen, width, shift), draw_features(2, of_ref, width, 0.0)


def ours(case: str, gen: Tensor, ref: Tensor, seed: int = SEED) -> tuple[float, float]:
    _, _, num_subsets, subset_size = CASES[case]
    distances = kernel_distances(gen, ref, num_subsets, subset_size, seed)
    assert distances.shape == (num_subsets,)
    return float(distances.mean()), float(distances.std(correction=0))


def theirs(case: str, gen: Tensor, ref: Tensor) -> tuple[float, float]:
    """With torch-fidelity's default seed, which is 2020."""
    _, _, num_subsets, subset_size = CASES[case]
    found = fidelity.kid_features_to_metric(
        gen, ref, kid_subsets=num_subsets, kid_subset_size=subset_size, verbose=False
    )
    return found["kernel_inception_distance_mean"], found["kernel_inception_distance_std"]


def differences(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    found = abs(one[0] - other[0]), abs(one[1] - other[1])
    print(f"ours {one}, theirs {other}: {found[0]:.1e}, {found[1]:.1e}")
    return found


@pytest.mark.parametrize("case", CASES)
class TestTorchFidelity:
    def test_takes_the_path_that_it_is_named_for(self, case, monkeypatch):
        from genmetrics.metrics import kernel

        calls = []
        real = kernel._shared_rest_sums
        monkeypatch.setattr(kernel, "_shared_rest_sums", lambda *arguments: calls.append(1) or real(*arguments))
        gen, ref = both_sides(case)
        ours(case, gen, ref)
        assert bool(calls) == case.startswith("once-for-all")

    @pytest.mark.parametrize("shift", [0.02, 0.0], ids=["unlike", "alike"])
    def test_mean_and_spread(self, case, shift):
        gen, ref = both_sides(case, shift)
        assert max(differences(ours(case, gen, ref), theirs(case, gen, ref))) <= TOLERANCE

    def test_in_float64(self, case):
        """What is left of the difference when the peer computes in float64: nothing."""
        gen, ref = both_sides(case)
        found = differences(ours(case, gen, ref), theirs(case, gen.double(), ref.double()))
        assert max(found) <= 1e-12


@pytest.mark.parametrize("case", ["once-for-all-unequal-sides", "subset-by-subset-unequal-sides"])
class TestToldApart:
    def test_another_seed(self, case):
        gen, ref = both_sides(case)
        assert differences(ours(case, gen, ref, SEED + 1), theirs(case, gen, ref))[0] > 10 * TOLERANCE

    def test_swapped_sides(self, case):
        """The distance is symmetric; the draws are not."""
        gen, ref = both_sides(case)
        assert differences(ours(case, ref, gen), theirs(case, gen, ref))[0] > 10 * TOLERANCE

    def test_another_order_of_the_images(self, case):
        gen, ref = both_sides(case)
        assert differences(ours(case, gen.flip(0), ref), theirs(case, gen, ref))[0] > 10 * TOLERANCE
