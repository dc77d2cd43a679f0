"""The noise that generators are given, and the ways from one noise to another, as torch-fidelity has them."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

__all__ = [
    "batch_lerp",
    "batch_normalize_last_dim",
    "batch_slerp_any",
    "batch_slerp_unit",
    "random_normal",
    "random_uniform_0_1",
    "random_unit",
]

_EPSILON = 1e-7


def batch_normalize_last_dim(v: Float[Tensor, "*n d"], eps: float = _EPSILON) -> Float[Tensor, "*n d"]:
    """Vectors of length one, of the same directions; shorter ones than ``eps`` are divided by it."""
    return v / v.square().sum(dim=-1, keepdim=True).sqrt().clamp_min(eps)


def random_normal(rng: np.random.RandomState, shape: tuple[int, ...]) -> Float32[Tensor, ...]:
    """Independent standard normal values.

    Matches: torch-fidelity 0.4.0 bit for bit; tests/compat/torch_fidelity/test_noise_and_paths.py.
    """
    return torch.from_numpy(rng.randn(*shape)).float()


def random_unit(rng: np.random.RandomState, shape: tuple[int, ...]) -> Float32[Tensor, ...]:
    """Vectors uniform on the sphere of radius 1, as torch-fidelity's documentation has it.

    Its code draws values that are all positive, which covers one orthant of the sphere alone.
    """
    return batch_normalize_last_dim(random_normal(rng, shape))


def random_uniform_0_1(rng: np.random.RandomState, shape: tuple[int, ...]) -> Float32[Tensor, ...]:
    """Independent values, uniform in [0, 1).

    Matches: torch-fidelity 0.4.0 bit for bit; tests/compat/torch_fidelity/test_noise_and_paths.py.
    """
    return torch.from_numpy(rng.rand(*shape)).float()


def batch_lerp(a: Float[Tensor, "*n d"], b: Float[Tensor, "*n d"], t: float) -> Float[Tensor, "*n d"]:
    """The point at ``t`` of the way from ``a`` to ``b`` in a straight line."""
    return a + (b - a) * t


def batch_slerp_any(
    a: Float[Tensor, "*n d"], b: Float[Tensor, "*n d"], t: float, eps: float = _EPSILON
) -> Float[Tensor, "*n d"]:
    """The point at ``t`` of the way from ``a`` to ``b`` along the arc between them, in a straight line where none is.

    There is none where a vector is zero, or both are parallel.

    Args:
        a: vectors of any length.
        b: likewise, of the same shape.
        t: 0 is ``a``, 1 is ``b``.
        eps: how near to parallel, or to zero, is parallel or zero.

    Source: Shoemake 1985, spherical linear interpolation.
    Matches: torch-fidelity 0.4.0 within 1e-6; tests/compat/torch_fidelity/test_noise_and_paths.py.
    """
    directions = batch_normalize_last_dim(a, eps), batch_normalize_last_dim(b, eps)
    cosine = (directions[0] * directions[1]).sum(dim=-1, keepdim=True)
    zero = torch.stack([v.norm(dim=-1, keepdim=True) for v in directions]).amin(dim=0) < eps
    straight = zero | (cosine > 1 - eps) | (cosine < eps - 1)
    angle = cosine.acos()
    sine = angle.sin().clamp_min(eps)
    arc = ((1 - t) * angle).sin() / sine * a + (t * angle).sin() / sine * b
    return torch.where(straight, batch_lerp(a, b, t), arc)


def batch_slerp_unit(
    a: Float[Tensor, "*n d"], b: Float[Tensor, "*n d"], t: float, eps: float = _EPSILON
) -> Float[Tensor, "*n d"]:
    """The same, brought to length one."""
    return batch_normalize_last_dim(batch_slerp_any(a, b, t, eps), eps)
