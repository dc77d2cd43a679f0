"""KID's kernel taken apart, so that most of it needs no pairs and float32 is exact enough for what does.

About a centre m near all features, x = m + u and y = m + v, and with h(x) = ½ + m·m/2d + m·u/d for either set

    k(x, y) = (x·y/d + 1)³ = (A + w)³,    A = h(x) + h(y),    w = u·v/d.

A³ + 3A²w is a polynomial in h(x), h(y) and u·v: its sums over pairs are products of sums over each set, Σ hᵏ and
Σ hᵏu, which are computed in float64 and cost nothing. Only the rest, E = w²(3A + w), is of pairs. It is small, and
it takes the rounding of w as 2w times as much: with float32 products the mean of E over a million pairs of network
features is right to far below the distance's own error. Where w is large or samples are copies that is not so; see
``kernel_rounding``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32, Float64, Int64
from torch import Tensor

from genmetrics.metrics import kernel_sums

__all__ = [
    "CentredRows",
    "Moments",
    "Rest",
    "centred_rows",
    "few_rows",
    "rest_unit",
    "smooth_between",
    "smooth_diagonal",
    "smooth_row_sums",
    "smooth_within",
    "subset_moments",
]

#: Numbers at a time, so that all that is done to them is done in a processor's own cache; rows likewise.
_AT_ONCE = 2**18
_FEW_ROWS = 128


@dataclass(frozen=True)
class CentredRows:
    """A feature set about a centre.

    Attributes:
        rows: (n, d) float32, as in the bank.
        near: (n, d) float32, u.
        centre: (d,) float64.
        height: (n,) float64, h above.
        length: (n,) float64, |u|²/d.
    """

    rows: Tensor
    near: Tensor
    centre: Tensor
    height: Tensor
    length: Tensor

    @property
    def device(self) -> torch.device:
        """Where pairs are computed."""
        return self.centre.device

    def about(self, which: slice | Tensor, dtype: torch.dtype) -> Float[Tensor, "r d"]:
        """U of some of the rows, in float32 or float64."""
        if dtype == torch.float32:
            return self.near[which]
        return self.rows[which].to(self.device, dtype, copy=True).sub_(self.centre)

    @property
    def diagonal(self) -> Float64[Tensor, " n"]:
        """The smooth part of the kernel of each sample with itself."""
        return smooth_diagonal(self.height, self.length)

    @property
    def width(self) -> int:
        """Of a row."""
        return self.rows.shape[1]

    def take(self, places: Int64[Tensor, " m"]) -> CentredRows:
        """Some of the rows."""
        at = places.to(self.device)
        return CentredRows(self.rows[places.cpu()], self.near[at], self.centre, self.height[at], self.length[at])

    def exactly(self) -> Iterator[tuple[slice, Float64[Tensor, "r d"]]]:
        """U in float64, few rows at a time, each with their place."""
        for here in few_rows(len(self.rows)):
            yield here, self.about(here, torch.float64)

    def blocks(self, start: int = 0) -> Iterator[slice]:
        """The rows from one on, a tile at a time."""
        for begin in range(start, len(self.rows), kernel_sums.tile_size()):
            yield slice(begin, min(begin + kernel_sums.tile_size(), len(self.rows)))


@dataclass(frozen=True)
class Moments:
    """Sums over subsets of a set.

    Attributes:
        heights: (subsets, 4) float64, Σ hᵏ for k = 0 … 3.
        rows: (subsets, 3, d) float64, Σ hᵏu for k = 0 … 2.
        diagonal: (subsets,) float64, the smooth part of the kernel of each sample with itself.
    """

    heights: Tensor
    rows: Tensor
    diagonal: Tensor


def centred_rows(
    rows: Float32[Tensor, "n d"],
    centre: Float64[Tensor, " d"],
    height: Float64[Tensor, " n"] | None = None,
    length: Float64[Tensor, " n"] | None = None,
) -> CentredRows:
    """Rows about a centre.

    Args:
        rows: (n, d) float32.
        centre: (d,) float64, on the device on which to compute, which has float64.
        height: h of each, if it is known.
        length: |u|²/d of each, if it is known.
    """
    width, device = rows.shape[1], centre.device
    start = (1.0 + float(centre @ centre) / width) / 2
    near = torch.empty(rows.shape, dtype=torch.float32, device=device)
    if height is not None and length is not None:
        for here in few_rows(len(rows)):
            near[here] = rows[here].to(device, torch.float64).sub_(centre)
        return CentredRows(rows, near, centre, height, length)
    height, length = (torch.empty(len(rows), dtype=torch.float64, device=device) for _ in range(2))
    for here in few_rows(len(rows)):
        about = rows[here].to(device, torch.float64).sub_(centre)
        near[here] = about
        height[here] = (about @ centre).div_(width).add_(start)
        length[here] = about.square_().sum(dim=1).div_(width)
    return CentredRows(rows, near, centre, height, length)


def smooth_diagonal(height: Float64[Tensor, " n"], length: Float64[Tensor, " n"]) -> Float64[Tensor, " n"]:
    """The smooth part of the kernel of each sample with itself."""
    double = 2 * height
    return double.square() * (double + 3 * length)


class Rest:
    """d³E of tiles of pairs; what it returns is overwritten by the next tile.

    Args:
        a: the samples of a tile's rows.
        b: those of its columns; the same object for pairs within a set.
        dtype: in which pairs are computed, float32 or float64.
    """

    def __init__(self, a: CentredRows, b: CentredRows, dtype: torch.dtype) -> None:
        self._sides, self._dtype = (a, b), dtype
        scale = 3.0 * a.rows.shape[1]
        #: 3dh of either side.
        self.heights = [(scale * side.height).to(dtype) for side in (a, b)]
        self._products = torch.empty(0, dtype=dtype, device=a.device)
        self._slopes = torch.empty(0, dtype=dtype, device=a.device)
        #: To which a sum of what it returns belongs.
        self.unit = rest_unit(a.rows.shape[1])

    def tile(self, here: slice | Tensor, there: slice | Tensor, *, itself: bool = False) -> Float[Tensor, "r c"]:
        """d³E of all pairs of some samples of either side.

        Args:
            here: of the first side.
            there: of the second.
            itself: whether the first of the columns are the rows' samples: their pairs with themselves are then 0.
        """
        x, y = self._sides[0].about(here, self._dtype), self._sides[1].about(there, self._dtype)
        return self.of_rows(x, y, self.heights[0][here], self.heights[1][there], itself=itself)

    def of_rows(self, x: Tensor, y: Tensor, of_x: Tensor, of_y: Tensor, *, itself: bool = False) -> Tensor:
        """The same, of rows about the centre and what ``heights`` has of them."""
        self._products = _with_room(self._products, len(x) * len(y))
        products = torch.mm(x, y.T, out=self._products[: len(x) * len(y)].view(len(x), len(y)))
        if itself:
            products.fill_diagonal_(0.0)
        step = max(1, _AT_ONCE // max(1, len(y)))
        self._slopes = _with_room(self._slopes, min(step, len(x)) * len(y))
        for start in range(0, len(x), step):
            part = products[start : start + step]
            slopes = self._slopes[: part.numel()].view(part.shape)
            torch.add(of_x[start : start + step, None], of_y, out=slopes).add_(part)
            part.mul_(part).mul_(slopes)
        return products


def rest_unit(width: int) -> float:
    """To which a sum of what ``Rest`` returns belongs: d⁻³."""
    return float(width) ** -3


def _with_room(buffer: Tensor, size: int) -> Tensor:
    return buffer if len(buffer) >= size else buffer.new_empty(size)


def subset_moments(side: CentredRows, subsets: Int64[Tensor, "subsets size"] | None = None, start: int = 0) -> Moments:
    """What the smooth part of the kernel takes of each subset.

    Args:
        side: the set, or a panel of it.
        subsets: the members of each; None for one subset of all.
        start: where the panel starts in the set; members that are not in it are left to others.
    """
    count, width = side.rows.shape
    chosen = torch.ones((1, count), dtype=torch.float64, device=side.device)
    if subsets is not None:
        chosen = torch.zeros((len(subsets), count), dtype=torch.float64, device=side.device)
        subsets = subsets.to(side.device)
        number, member = ((subsets >= start) & (subsets < start + count)).nonzero(as_tuple=True)
        chosen[number, subsets[number, member] - start] = 1.0
    powers = torch.stack([side.height**power for power in range(4)])
    rows = torch.zeros((len(chosen) * 3, width), dtype=torch.float64, device=side.device)
    for here, centred in side.exactly():
        rows.addmm_((chosen[:, None, here] * powers[:3, here]).flatten(0, 1), centred)
    return Moments(chosen @ powers.T, rows.reshape(len(chosen), 3, width), chosen @ side.diagonal)


def smooth_between(a: Moments, b: Moments) -> Float64[Tensor, " subsets"]:
    """Σ A³ + 3A²w over the pairs of a subset of one set and the same-numbered one of the other."""
    binomials = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64, device=a.heights.device)
    cubes = (a.heights * b.heights.flip(1)) @ binomials
    products = (a.rows * b.rows.flip(1)).sum(dim=2) @ binomials.new_tensor([1.0, 2.0, 1.0])
    return cubes + 3 * products / a.rows.shape[2]


def smooth_within(a: Moments) -> Float64[Tensor, " subsets"]:
    """The same over the ordered pairs of different samples of each subset."""
    return smooth_between(a, a) - a.diagonal


def smooth_row_sums(side: CentredRows, others: Sequence[Moments]) -> list[Float64[Tensor, " n"]]:
    """For each sample the sum of A³ + 3A²w over all samples of other sets, or of its own, itself included.

    Args:
        side: the set.
        others: of each set to sum over, the moments of one subset of all.
    """
    along = torch.empty((len(side.rows), 3 * len(others)), dtype=torch.float64, device=side.device)
    vectors = torch.cat([other.rows[0] for other in others]).T
    for here, centred in side.exactly():
        along[here] = centred @ vectors
    h, sums = side.height, []
    for other, (zero, one, two) in zip(others, torch.split(along.T, 3), strict=True):
        heights = other.heights[0]
        cubes = ((heights[0] * h + 3 * heights[1]) * h + 3 * heights[2]) * h + heights[3]
        sums.append(cubes + 3 * ((zero * h + 2 * one) * h + two) / side.rows.shape[1])
    return sums


def few_rows(count: int) -> Iterator[slice]:
    """Slices of so few rows that what is done to them is done in a processor's cache."""
    step = min(_FEW_ROWS, kernel_sums.tile_size())
    return (slice(start, min(start + step, count)) for start in range(0, count, step))
