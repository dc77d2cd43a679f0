"""Matrix functions behind the metrics: pure functions of float64 tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from genmetrics.errors import StatisticsError

__all__ = [
    "EstimatedNorm",
    "centred_row_factor",
    "covariance_factor",
    "nuclear_norm_by_squares",
    "nuclear_norm_of_product",
    "transport_factor",
    "unit_rows",
]

#: Up to this size the singular values themselves cost next to nothing.
_SMALL = 1024
_BLOCK = 256
_EPSILON = 2.0**-52


class EstimatedNorm(NamedTuple):
    """A nuclear norm, and what its error does not exceed; infinite where that cannot be told."""

    value: float
    error: float


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


def nuclear_norm_of_product(
    a: Float64[Tensor, "p d"], b: Float64[Tensor, "q d"], allowed: Callable[[float], float] | None = None
) -> float:
    """The sum of the singular values of a·bᵀ.

    With FᵀF = A and GᵀG = B this is tr((AB)^½) of the Fréchet distance: the eigenvalues of AB are the squared
    singular values of F·Gᵀ. It needs no matrix square root, is never complex and never negative, and for few
    rows is as small as the number of rows.

    Where the caller allows an error, the squared singular values are tried first, which takes less time;
    they are used only if the bound on their error is allowed.

    Args:
        a: (p, d) float64.
        b: (q, d) float64, on the same device.
        allowed: from the norm to the error that it may have; None for what float64 gives.
    """
    product = a @ b.T
    if allowed is not None and min(product.shape) > _SMALL:
        found = nuclear_norm_by_squares(product)
        if found.error <= allowed(found.value):
            return found.value
    # On the CPU in any case: of the two it is the faster at singular values.
    return float(torch.linalg.svdvals(product.cpu()).sum())


def nuclear_norm_by_squares(matrix: Float64[Tensor, "p q"]) -> EstimatedNorm:
    """The sum of the singular values by way of their squares, the eigenvalues of M·Mᵀ, and a bound on its error.

    The computed eigenvalues are those of M·Mᵀ + E. With η the Frobenius norm of E, none of them is off by more than η
    (Weyl), and the norm of all their errors is η too (Hoffman and Wielandt). As |√x − √y| = |x − y|/(√x + √y), by
    Cauchy's inequality the sum of their roots is off by at most η (Σ 1/(3.4 λ))^½ where no λ is below 4η; where one
    is, little is known of its root, and the bound is infinite. The backward error of a product and of the reduction to
    tridiagonal form is taken as η = √n ε ‖M·Mᵀ‖: the largest that was seen, on spectra of all kinds up to n = 2,048,
    is 0.7 of it, and the error of the sum at most a tenth of the bound (tests/test_linalg.py).

    Where the rows' or the columns' mean is zero, as of centred samples, the singular value of zero that belongs to it
    is known and taken out first.

    Args:
        matrix: (p, q) float64.
    """
    short = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    short, dropped = _without_centre(short)
    square = _gram(short)
    values = torch.linalg.eigvalsh(square)
    size = square.shape[0]
    eta = size**0.5 * _EPSILON * float(values.norm())
    # Also where a value is not a number.
    if not float(values[0]) > 4 * eta:
        return EstimatedNorm(float(values.clamp(min=0).sqrt().sum()), torch.inf)
    error = eta * float((1 / (3.4 * values)).sum()) ** 0.5
    return EstimatedNorm(float(values.sqrt().sum()), error + dropped)


def transport_factor(a: Float64[Tensor, "p d"], b: Float64[Tensor, "q d"]) -> Float64[Tensor, "r d"]:
    """A factor F of the map that takes a Gaussian of covariance aᵀa to one of covariance bᵀb at least cost, FᵀF = T.

    With A = aᵀa and B = bᵀb it is T = A^-½ (A^½ B A^½)^½ A^-½ at full rank. Below it T is of the range of A: xᵀTy with
    x and y there is that of A and B seen within that range. As A changes within its range, the change of
    tr (A^½ B A^½)^½ = tr TA is ½ tr T dA.

    A has no inverse here. With σₖ the singular values of b·aᵀ and yₖ its left singular vectors, T = Σ bᵀyₖ yₖᵀb / σₖ,
    where yₖᵀb x is as small as σₖ itself for every x in the range of A: what belongs to singular values that are zero
    up to rounding is left out, and those next to them count for next to nothing. The vectors are orthogonal up to
    rounding, also those of small singular values, into which errors of the larger ones would otherwise get.

    Args:
        a: (p, d) float64.
        b: (q, d) float64, on the same device.

    Returns:
        (r, d) float64, r the rank of b·aᵀ.

    Source: Bhatia, Jain and Lim 2019 (arXiv:1712.01504).
    Matches: POT 0.9.7's ``bures_wasserstein_mapping`` at full rank; tests/conformance/test_peers_transport.py.
    """
    product = b @ a.T
    tall = product.shape[0] > product.shape[1]
    basis, core = torch.linalg.qr(product) if tall else (product, product)
    vectors = torch.linalg.eigh(core @ core.T).eigenvectors
    sizes = (core.T @ vectors).norm(dim=0)
    kept = sizes > max(product.shape) * _EPSILON * sizes.max()
    scaled: Tensor = vectors[:, kept] / sizes[kept].sqrt()
    return (basis @ scaled if tall else scaled).T @ b


def _without_centre(matrix: Tensor) -> tuple[Tensor, float]:
    """The matrix without the direction 1 on its left if nothing lies there, and what that takes from its norm.

    A reflection that takes the direction to the first axis leaves all singular values as they are.
    """
    size = matrix.shape[0]
    along = matrix.sum(dim=0) / size**0.5
    dropped = float(along.norm())
    if dropped > 1e-13 * float(matrix.norm()):
        return matrix, 0.0
    mirror = torch.full((size,), size**-0.5, dtype=matrix.dtype, device=matrix.device)
    mirror[0] += 1.0
    mirror /= mirror.norm()
    return torch.addr(matrix, mirror, mirror @ matrix, alpha=-2.0)[1:], dropped


def _gram(matrix: Tensor) -> Tensor:
    """The lower triangle of M·Mᵀ, in blocks; what is above it is of no meaning."""
    size = matrix.shape[0]
    square = torch.zeros((size, size), dtype=matrix.dtype, device=matrix.device)
    for start in range(0, size, _BLOCK):
        stop = min(start + _BLOCK, size)
        torch.mm(matrix[start:stop], matrix[:stop].T, out=square[start:stop, :stop])
    return square


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
