"""CMMD against clip-mmd 0.0.2 and against google-research's code, transcribed.

Tolerance: 1e-9 absolute against both in float64, 1e-3 against clip-mmd as it is, in float32, whose kernel values lie
between 0.98 and 1 and lose the digits that count. Reached with torch 2.13.0: 5e-13 and 3e-4.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

from genmetrics.metrics.cmmd import clip_distance
from support.peers import import_peer

TOLERANCE, SINGLE = 1e-9, 1e-3
SIZES = [(300, 300), (300, 450), (451, 200)]


@pytest.fixture(scope="module")
def peer() -> ModuleType:
    """Its arithmetic; the package's own ``__init__`` loads transformers, which that does not need."""
    return import_peer("clip_mmd.calculation")


def embeddings(seed: int, count: int, shift: float = 0.0) -> Tensor:
    """(count, 768) float32 of unit norm, in a cone as CLIP's."""
    centre = np.random.RandomState(7).standard_normal(768)
    rows = centre + shift + np.random.RandomState(seed).standard_normal((count, 768))
    return torch.from_numpy((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))


def transcribed(gen: Tensor, ref: Tensor, sigma: float = 10.0) -> float:
    """google-research's cmmd/distance.py (4c42994), in float64 on rows whose norm is 1 to float32."""
    x, y = gen.double().numpy(), ref.double().numpy()
    x, y = x / np.linalg.norm(x, axis=1, keepdims=True), y / np.linalg.norm(y, axis=1, keepdims=True)
    gamma = 1 / (2 * sigma**2)

    def mean_kernel(a: np.ndarray, b: np.ndarray) -> float:
        squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :]
        return float(np.exp(-gamma * (-2 * a @ b.T + squares)).mean())

    return 1000 * (mean_kernel(x, x) + mean_kernel(y, y) - 2 * mean_kernel(x, y))


def apart(name: str, one: float, other: float) -> float:
    print(f"{name}: ours {one:.12g}, theirs {other:.12g}, {abs(one - other):.1e}")
    return abs(one - other)


@pytest.mark.parametrize(("n", "m"), SIZES)
@pytest.mark.parametrize("shift", [0.1, 0.0], ids=["unlike", "alike"])
class TestPublished:
    def test_google_research(self, n, m, shift):
        gen, ref = embeddings(1, n, shift), embeddings(2, m)
        assert apart("google-research", clip_distance(gen, ref).biased, transcribed(gen, ref)) <= TOLERANCE

    @pytest.mark.parametrize("low_mem", [False, True])
    def test_clip_mmd_in_float64(self, n, m, shift, low_mem, peer):
        gen, ref = embeddings(1, n, shift), embeddings(2, m)
        rows = [side.double() / side.double().norm(dim=1, keepdim=True) for side in (gen, ref)]
        theirs = peer.mmd_efficient(*rows, precision=torch.float64, low_mem=low_mem)
        assert apart("clip-mmd float64", clip_distance(gen, ref).biased, theirs) <= TOLERANCE

    @pytest.mark.parametrize("low_mem", [False, True])
    def test_clip_mmd_as_it_is(self, n, m, shift, low_mem, peer):
        gen, ref = embeddings(1, n, shift), embeddings(2, m)
        theirs = peer.mmd_efficient(gen, ref, low_mem=low_mem)
        assert apart("clip-mmd float32", clip_distance(gen, ref).biased, theirs) <= SINGLE


class TestToldApart:
    def test_the_unbiased_estimate(self):
        gen, ref = embeddings(1, 300, 0.1), embeddings(2, 450)
        assert apart("unbiased", clip_distance(gen, ref).unbiased, transcribed(gen, ref)) > 10 * SINGLE

    def test_another_width(self):
        gen, ref = embeddings(1, 300, 0.1), embeddings(2, 450)
        assert apart("sigma 9", clip_distance(gen, ref).biased, transcribed(gen, ref, 9.0)) > 10 * SINGLE

    def test_embeddings_that_were_not_normalised(self, peer):
        """The peers take the rows as they are."""
        gen, ref = 1.5 * embeddings(1, 300, 0.1), embeddings(2, 450)
        theirs = peer.mmd_efficient(gen.double(), ref.double(), precision=torch.float64)
        assert apart("norm 1.5", clip_distance(gen, ref).biased, theirs) > 10 * SINGLE
