"""The full kernel distance, and what torchmetrics 1.9.0 and piq 0.8.0 make of KID.

Tolerance: 1e-12 absolute against both where they are fed float64 and sets of one size; reached with torch 2.13.0:
9e-16. Their kernels are of the features' own type: with the float32 that networks give, and 1,000 images of 2,048
dimensions of one distribution, they are off by 3e-7, which is 2% of what comes out.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from genmetrics.metrics.kernel import kernel_distances
from genmetrics.metrics.kernel_full import full_kernel_distance
from support.peers import import_peer

torchmetrics = import_peer("torchmetrics.image.kid")
piq = import_peer("piq.kid")

TOLERANCE = 1e-12


def draw_features(seed: int, count: int, width: int = 256, shift: float = 0.0) -> Tensor:
    """(count, width) float32, none negative, as a network's pooled layer."""
    centre = np.random.RandomState(7).gamma(1.0, 0.4, width)
    noise = np.random.RandomState(seed).standard_normal((count, width))
    return torch.from_numpy(np.maximum(centre + shift + 0.3 * noise, 0).astype(np.float32))


def transcribed(gen: Tensor, ref: Tensor) -> float:
    """The paper's equation 4 with whole matrices."""
    x, y = gen.double().numpy(), ref.double().numpy()
    kxx, kyy, kxy = ((a @ b.T / x.shape[1] + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    n, m = kxy.shape
    within = (kxx.sum() - kxx.trace()) / (n * (n - 1)) + (kyy.sum() - kyy.trace()) / (m * (m - 1))
    return float(within - 2 * kxy.mean())


def by_torchmetrics(gen: Tensor, ref: Tensor) -> float:
    return float(torchmetrics.poly_mmd(ref, gen))


def by_piq(gen: Tensor, ref: Tensor) -> float:
    """Its default: all of both sets, once."""
    return float(piq.KID().compute_metric(gen, ref))


def apart(name: str, one: float, other: float) -> float:
    print(f"{name}: ours {one:.9g}, theirs {other:.9g}, {abs(one - other):.1e}")
    return abs(one - other)


@pytest.mark.parametrize("shift", [0.02, 0.0], ids=["unlike", "alike"])
class TestOneSize:
    def test_transcription(self, shift):
        gen, ref = draw_features(1, 700, shift=shift), draw_features(2, 700)
        assert apart("transcription", full_kernel_distance(gen, ref).value, transcribed(gen, ref)) <= TOLERANCE

    @pytest.mark.parametrize("peer", [by_torchmetrics, by_piq])
    def test_peers_in_float64(self, peer, shift):
        gen, ref = draw_features(1, 700, shift=shift), draw_features(2, 700)
        theirs = peer(gen.double(), ref.double())
        assert apart(peer.__name__, full_kernel_distance(gen, ref).value, theirs) <= TOLERANCE

    def test_one_subset_of_all(self, shift):
        gen, ref = draw_features(1, 700, shift=shift), draw_features(2, 700)
        theirs = float(kernel_distances(gen, ref, 1, 700, 0)[0])
        assert apart("kid", full_kernel_distance(gen, ref).value, theirs) <= TOLERANCE


class TestUnlikeSizes:
    def test_transcription(self):
        gen, ref = draw_features(1, 500, shift=0.02), draw_features(2, 900)
        assert apart("transcription", full_kernel_distance(gen, ref).value, transcribed(gen, ref)) <= TOLERANCE

    def test_peers_take_one_size_for_both(self):
        """Negative control: torchmetrics divides all sums by one side's size; piq drops what the second has more."""
        gen, ref = draw_features(1, 500, shift=0.02), draw_features(2, 900)
        ours = full_kernel_distance(gen, ref).value
        assert apart("torchmetrics", ours, by_torchmetrics(gen.double(), ref.double())) > 0.1
        assert apart("piq", ours, by_piq(gen.double(), ref.double())) > 1e6 * TOLERANCE
        with pytest.raises(AssertionError):
            by_piq(ref.double(), gen.double())


class TestToldApart:
    def test_the_biased_estimate(self):
        gen, ref = draw_features(1, 700, shift=0.02), draw_features(2, 700)
        x, y = gen.double().numpy(), ref.double().numpy()
        kxx, kyy, kxy = ((a @ b.T / 256 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
        biased = float(kxx.mean() + kyy.mean() - 2 * kxy.mean())
        assert apart("biased", full_kernel_distance(gen, ref).value, biased) > 1e6 * TOLERANCE

    @pytest.mark.parametrize("peer", [by_torchmetrics, by_piq])
    def test_kernels_in_float32(self, peer):
        """Of 2,048 dimensions and sets of one distribution, float32 leaves few right digits."""
        gen, ref = draw_features(1, 1000, 2048), draw_features(2, 1000, 2048)
        assert apart(peer.__name__, full_kernel_distance(gen, ref).value, peer(gen, ref)) > 1e4 * TOLERANCE

    @pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save:UserWarning")
    def test_torchmetrics_draws_without_a_seed(self):
        """Its number changes from call to call; ours is of the seed alone."""
        gen, ref = draw_features(1, 300, shift=0.02), draw_features(2, 300)
        metric = torchmetrics.KernelInceptionDistance(feature=torch.nn.Identity(), subsets=10, subset_size=50)
        metric.update(gen, real=False)
        metric.update(ref, real=True)
        found = []
        for seed in (0, 1):
            torch.manual_seed(seed)
            metric._computed = None
            found.append((float(metric.compute()[0]), float(kernel_distances(gen, ref, 10, 50, 2020).mean())))
        assert found[0][0] != found[1][0]
        assert found[0][1] == found[1][1]
