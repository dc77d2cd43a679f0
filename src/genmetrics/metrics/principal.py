"""How the features of a set spread: the eigenvalues of their covariance and its leading axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from genmetrics.accumulators.moments import Moments
from genmetrics.accumulators.rows import Rows

__all__ = ["Principal", "Projected", "eigenvalues", "log_spaced_ranks", "principal", "projected"]

_CPU = torch.device("cpu")
_EPSILON = 2.0**-52
_NUM_AXES = 2
_ITERATIONS = 3
#: Axes beyond this many times the rounding of the largest variance are of the features, and not of rounding.
_SURE = 16


@dataclass(frozen=True)
class Principal:
    """The spread of a set.

    Attributes:
        variances: all eigenvalues of the covariance that are not zero, descending.
        axes: (2, d) float64, the unit vectors that belong to the first two; None of a set that has no two. The largest
            component of each is positive, so that they are the same on every machine.
    """

    variances: Float64[Tensor, " r"]
    axes: Float64[Tensor, "2 d"] | None


@dataclass(frozen=True)
class Projected:
    """A set along two axes.

    Attributes:
        points: (m, 2) float64 of some of the samples, from the origin.
        centre: (2,) float64, the mean of all of them.
        covariance: (2, 2) float64.
    """

    points: Float64[Tensor, "m 2"]
    centre: Float64[Tensor, 2]
    covariance: Float64[Tensor, "2 2"]


def eigenvalues(moments: Moments, device: torch.device = _CPU) -> Float64[Tensor, " r"]:
    """The eigenvalues of the sample covariance that are not zero up to rounding, descending, (r,) float64 on the CPU.

    Of fewer rows than dimensions they are those of the small Gram matrix.

    Args:
        moments: of at least two samples.
        device: where to compute, with float64.

    Matches: ``numpy.linalg.eigvalsh(numpy.cov(rows.T))`` to 1e-10 of the largest; tests/metrics/test_principal.py.
    """
    return _not_zero(torch.linalg.eigvalsh(_smaller_square(moments, device)).flip(0), moments.width).cpu()


def principal(moments: Moments, device: torch.device = _CPU) -> Principal:
    """The eigenvalues of the sample covariance and its two leading axes, on the CPU.

    Args:
        moments: of at least two samples.
        device: where to compute, with float64.

    Matches: the singular vectors of the centred rows; tests/metrics/test_principal.py.
    """
    square = _smaller_square(moments, device)
    found = _not_zero(torch.linalg.eigvalsh(square).flip(0), moments.width)
    if len(found) < _NUM_AXES:
        return Principal(found.cpu(), None)
    axes = _leading_vectors(square, found)
    if moments.keeps_rows:
        axes = axes @ moments.factor().to(device) / found[:_NUM_AXES, None].sqrt()
    largest = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True))
    return Principal(found.cpu(), (axes * largest.sign()).cpu())


def projected(
    moments: Moments,
    rows: Rows | None,
    axes: Float64[Tensor, "2 d"],
    origin: Float64[Tensor, " d"],
    most: int,
    seed: int,
) -> Projected:
    """A set's mean, covariance and some of its samples along two axes.

    Args:
        moments: of the set.
        rows: its features, perhaps spread over processes, all of which ask for the same then; None for no points.
        axes: (2, d) float64 unit vectors.
        origin: (d,) float64, what becomes (0, 0).
        most: points; of a larger set they are drawn.
        seed: of the draw.
    """
    points = torch.zeros((0, _NUM_AXES), dtype=torch.float64)
    if rows is not None:
        chosen = torch.arange(len(rows))
        if len(rows) > most:
            drawn = np.random.default_rng(seed).choice(len(rows), most, replace=False)
            chosen = torch.from_numpy(np.sort(drawn))
        points = (rows.take(chosen).to(torch.float64) - origin) @ axes.T
    if moments.keeps_rows:
        along = moments.factor().cpu() @ axes.T
        covariance = along.T @ along
    else:
        covariance = axes @ moments.covariance().cpu() @ axes.T
    return Projected(points, axes @ (moments.mean().cpu() - origin), covariance)


def log_spaced_ranks(count: int, most: int = 200) -> tuple[int, ...]:
    """Up to ``most`` of the numbers 1 to ``count``, both among them, evenly spaced in their logarithm."""
    if count <= most:
        return tuple(range(1, count + 1))
    spaced = np.unique(np.rint(np.geomspace(1, count, most)).astype(int))
    return tuple(int(rank) for rank in spaced)


def _leading_vectors(square: Tensor, values: Tensor) -> Tensor:
    """The unit vectors of the first two eigenvalues, by inverse iteration; all vectors would take much longer."""
    found: list[Tensor] = []
    identity = torch.eye(len(square), dtype=square.dtype, device=square.device)
    starts = torch.rand((_NUM_AXES, len(square)), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for start, value in zip(starts.to(square.device) - 0.5, values, strict=False):
        # A little above the value, where the matrix has an inverse.
        factored = torch.linalg.lu_factor(square - (value + 4 * _EPSILON * values[0]) * identity)
        vector = _apart(start, found)
        for _ in range(_ITERATIONS):
            vector = _apart(torch.linalg.lu_solve(*factored, vector[:, None])[:, 0], found)
        found.append(vector)
    return torch.stack(found)


def _apart(vector: Tensor, others: list[Tensor]) -> Tensor:
    """The unit vector of what is at right angles to others; of equal eigenvalues both would be one without it."""
    for other in others:
        vector = vector - (other @ vector) * other
    unit: Tensor = vector / vector.norm()
    return unit


def _smaller_square(moments: Moments, device: torch.device) -> Tensor:
    """A matrix with the eigenvalues of the covariance, but for zeros."""
    if moments.keeps_rows:
        factor = moments.factor().to(device)
        return factor @ factor.T
    return moments.covariance().to(device)


def _not_zero(values: Tensor, width: int) -> Tensor:
    """Those of descending eigenvalues that are more than rounding."""
    return values[values > _SURE * width * _EPSILON * values[:1].clamp(min=0)]
