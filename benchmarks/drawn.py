"""What several benchmarks have in common: features to compute on, and how fast this machine multiplies matrices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from harness import Timing

__all__ = ["agreement", "matrix_product", "pooled_features", "product_share"]

_SIZE = 2048


def pooled_features(seed: int, count: int, width: int = 2048, tilt: float = 0.0) -> torch.Tensor:
    """(count, width) float32 as a network's pooled layer: correlated, of falling spectrum, none negative.

    Args:
        seed: of the samples; the distribution is the same for all seeds.
        count: how many samples.
        width: of the feature.
        tilt: moves every second feature's mean and widens all.
    """
    scene = np.random.RandomState(7)
    mixing = (scene.standard_normal((width, width)) * np.arange(1, width + 1)[:, None] ** -0.7).astype(np.float32)
    centre = scene.gamma(2.0, 0.15, width) * (1 + tilt * np.cos(np.pi * np.arange(width)))
    noise = np.random.RandomState(seed).standard_normal((count, width)).astype(np.float32) @ mixing
    return torch.from_numpy(np.maximum(centre + 0.3 * (1 + tilt) * noise, 0).astype(np.float32))


def matrix_product(dtype: torch.dtype) -> Callable[[], None]:
    """A product of two square matrices to time beside the competitors: the machine's limit."""
    a, b = (torch.randn(_SIZE, _SIZE, generator=torch.Generator().manual_seed(seed)).to(dtype) for seed in (0, 1))

    def multiply() -> None:
        torch.mm(a, b)

    return multiply


def product_share(product: Timing, ours: Timing, operations: float, of: str) -> dict[str, object]:
    """How near to the machine's rate of matrix products the products that a result needs were computed.

    Args:
        product: of ``matrix_product``.
        ours: of what is measured.
        operations: floating-point operations of the matrix products that it cannot do without.
        of: what these products are, in words.
    """
    limit, reached = 2 * _SIZE**3 / product.median, operations / ours.median
    return {
        "products": of,
        "product_gflops_per_s": round(reached / 1e9, 1),
        "machine_gflops_per_s": round(limit / 1e9, 1),
        "share_of_machine": round(reached / limit, 3),
    }


def agreement(ours: float, peer: float) -> dict[str, float]:
    """Both values and their relative difference."""
    return {"value_ours": ours, "value_peer": peer, "relative_difference": abs(ours - peer) / abs(peer)}
