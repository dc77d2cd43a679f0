"""Matrix functions behind the metrics: pure functions of float64 tensors."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from genmetrics.errors import StatisticsError

__all__ = [
    "centred_row_factor",
    "covariance_factor",
    "nuclear_norm_of_product",
    "polynomial_kernel",
    "unit_rows",
]


def centred_row_factor(rows: Float64[Tensor, "n d"]) -> Float64[Tensor, "n d"]:
    """A factor F of the rows' sample covariance, FᵀF = cov(rows) with ddof 1.

    Args:
        rows: (n, d) float64, n >= 2.
    """
    centred: Tensor = rows - rows.mean(dim=0)
    return centred.div_((rows.shape[0] - 1) ** 0.5)


def covariance_factor(sigma: Float64[Tensor, "d d"]) -> Float64[Tensor, "d d"]:
    """A factor F of a covariance, FᵀF = sigma.

    Cholesky's where the matrix is positive definite; else from its symmetric eigenvalues, of which the
    negative ones are rounding errors of a zero and are set to zero.

    Args:
        sigma: (d, d) float64, symmetric and positive semidefinite up to rounding.
    """
    factor: Tensor
    factor, info = torch.linalg.cholesky_ex(sigma, upper=True)
    if int(info) != 0:
        values, vectors = torch.linalg.eigh(sigma)
        factor = values.clamp(min=0).sqrt()[:, None] * vectors.T
    return factor


def nuclear_norm_of_product(a: Float64[Tensor, "p d"], b: Float64[Tensor, "q d"]) -> float:
    """The sum of the singular values of a·bᵀ.

    With FᵀF = A and GᵀG = B this is tr((AB)^½) of the Fréchet distance: the eigenvalues of AB are the squared
    singular values of F·Gᵀ. It needs no matrix square root, is never complex and never negative, and for few
    rows is as small as the number of rows.

    Args:
        a: (p, d) float64.
        b: (q, d) float64.
    """
    return float(torch.linalg.svdvals(a @ b.T).sum())


def polynomial_kernel(
    x: Float64[Tensor, "n d"], y: Float64[Tensor, "m d"], degree: int, gamma: float, coef0: float
) -> Float64[Tensor, "n m"]:
    """(gamma · x·yᵀ + coef0)^degree for all pairs of rows.

    Args:
        x: (n, d) float64.
        y: (m, d) float64.
        degree: the exponent, at least 1.
        gamma: the scale of the inner product.
        coef0: the constant term.
    """
    return (x @ y.T).mul_(gamma).add_(coef0).pow_(degree)


def unit_rows(rows: Float64[Tensor, "n d"], *, zeros: Literal["refuse", "keep"]) -> Float64[Tensor, "n d"]:
    """The rows divided by their Euclidean norms, however small or large these are.

    Args:
        rows: (n, d) float64.
        zeros: what to do with rows of zeros, which have no direction: ``refuse`` them, or ``keep`` them as they are.

    Raises:
        StatisticsError: at a row of zeros that is to be refused.
    """
    # Squares of values below 1e-154 are zero: the largest value of each row is brought to 1 first.
    largest = rows.abs().amax(dim=1, keepdim=True)
    nothing = largest == 0
    if zeros == "refuse" and bool(nothing.any()):
        raise StatisticsError(
            f"{int(nothing.sum())} of {len(rows)} rows are all zero: they have no direction and cannot be scaled to "
            "unit norm. Look at these images and the weights of the network"
        )
    scaled = rows / largest.masked_fill_(nothing, 1.0)
    return scaled.div_(scaled.norm(dim=1, keepdim=True).masked_fill_(nothing, 1.0))
