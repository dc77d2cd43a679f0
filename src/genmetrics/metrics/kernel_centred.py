"""KID's kernel taken apart, so that most of it needs no pairs and float32 is exact enough for what does.

About a centre m near all features, x = m + u and y = m + v, and with h(x) = ½ + m·m/2d + m·u/d for either set

    k(x, y) = (x·y/d + 1)³ = (A + w)³,    A = h(x) + h(y),    w = u·v/d.

A³ + 3A²w is a polynomial in h(x), h(y) and u·v: its sums over pairs are products of sums over each set, Σ hᵏ and
Σ hᵏu, which are computed in float64 and cost nothing. Only the rest, E = w²(3A + w), is of pairs. It is small, and
it takes the rounding of w as 2w times as much: with float32 products the mean of E over a million pairs of network
features is right to 1e-14 or so. Where w is large or samples are copies that is not so; the error is therefore measured
on a part of the pairs, and where it matters the products are of float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32, Float64, Int64
from torch import Tensor

from genmetrics.metrics import kernel_sums

__all__ = [
    "CentredRows",
    "centred_pair",
    "rest",
    "rounding_error",
    "smooth_between",
    "smooth_row_sums",
    "smooth_within",
    "subset_moments",
]

_SAMPLED = 512


@dataclass(frozen=True)
class CentredRows:
    """A feature set about a centre.

    Attributes:
        rows: (n, d) float32, as in the bank.
        centre: (d,) float64, of values that float32 has, so that u is the same from either type up to its own rounding.
        height: (n,) float64, h above.
        length: (n,) float64, |u|²/d.
    """

    rows: Tensor
    centre: Tensor
    height: Tensor
    length: Tensor

    @property
    def device(self) -> torch.device:
        """Where pairs are computed."""
        return self.centre.device

    def about(self, which: slice | Tensor, dtype: torch.dtype) -> Float[Tensor, "r d"]:
        """Some of the rows less the centre."""
        return self.rows[which].to(self.device, dtype) - self.centre.to(dtype)

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


def centred_pair(
    gen: Float32[Tensor, "n d"], ref: Float32[Tensor, "m d"], device: torch.device
) -> tuple[CentredRows, CentredRows]:
    """Both sets about the mean of all their samples.

    Args:
        gen: (n, d) float32.
        ref: (m, d) float32.
        device: where to compute, with float64.
    """
    width = gen.shape[1]
    total = torch.zeros(width, dtype=torch.float64, device=device)
    for side in (gen, ref):
        for _, block in kernel_sums.float64_tiles(side, device=device):
            total += block.sum(dim=0)
    centre = (total / (len(gen) + len(ref))).to(torch.float32).to(torch.float64)
    start = (1.0 + float(centre @ centre) / width) / 2
    sides = []
    for side in (gen, ref):
        height, length = (torch.empty(len(side), dtype=torch.float64, device=device) for _ in range(2))
        for here, block in kernel_sums.float64_tiles(side, device=device):
            rows = block - centre
            height[here] = (rows @ centre).div_(width).add_(start)
            length[here] = rows.square_().sum(dim=1).div_(width)
        sides.append(CentredRows(side, centre, height, length))
    return sides[0], sides[1]


def rest(
    x: Float[Tensor, "r d"], y: Float[Tensor, "c d"], of_x: Float[Tensor, " r"], of_y: Float[Tensor, " c"]
) -> Float[Tensor, "r c"]:
    """E of all pairs, but 0 on the diagonal where x is y.

    Args:
        x: centred rows.
        y: centred rows; the same tensor for pairs within a set.
        of_x: their heights, of the same type.
        of_y: likewise.
    """
    slope = torch.add((3 * of_x)[:, None], 3 * of_y)
    products = (x / x.shape[1]) @ y.T
    if x is y:
        products.fill_diagonal_(0.0)
    slope += products
    return products.square_().mul_(slope)


def subset_moments(side: CentredRows, subsets: Int64[Tensor, "subsets size"] | None = None) -> Moments:
    """What the smooth part of the kernel takes of each subset.

    Args:
        side: the set.
        subsets: the members of each; None for one subset of all.
    """
    count, width = side.rows.shape
    chosen = torch.ones((1, count), dtype=torch.float64, device=side.device)
    if subsets is not None:
        chosen = torch.zeros((len(subsets), count), dtype=torch.float64, device=side.device)
        chosen.scatter_(1, subsets.to(side.device), 1.0)
    powers = torch.stack([side.height**power for power in range(4)])
    rows = torch.zeros((len(chosen) * 3, width), dtype=torch.float64, device=side.device)
    for here in side.blocks():
        weights = chosen[:, None, here] * powers[:3, here]
        rows.addmm_(weights.flatten(0, 1), side.about(here, torch.float64))
    double = 2 * side.height
    diagonal = double.square() * (double + 3 * side.length)
    return Moments(chosen @ powers.T, rows.reshape(len(chosen), 3, width), chosen @ diagonal)


def smooth_between(a: Moments, b: Moments) -> Float64[Tensor, " subsets"]:
    """Σ A³ + 3A²w over the pairs of a subset of one set and the same-numbered one of the other."""
    binomials = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64, device=a.heights.device)
    cubes = (a.heights * b.heights.flip(1)) @ binomials
    products = (a.rows * b.rows.flip(1)).sum(dim=2) @ binomials.new_tensor([1.0, 2.0, 1.0])
    return cubes + 3 * products / a.rows.shape[2]


def smooth_within(a: Moments) -> Float64[Tensor, " subsets"]:
    """The same over the ordered pairs of different samples of each subset."""
    return smooth_between(a, a) - a.diagonal


def smooth_row_sums(a: CentredRows, b: CentredRows) -> Float64[Tensor, " n"]:
    """For each sample of one set the sum of A³ + 3A²w over the other; over the others of its own, where it is one."""
    others = subset_moments(b)
    zero, one, two, three = others.heights[0].unbind()
    h = a.height
    sums = ((zero * h + 3 * one) * h + 3 * two) * h + three
    for here in a.blocks():
        along = a.about(here, torch.float64) @ others.rows[0].T
        height = h[here]
        sums[here] += 3 * ((along[:, 0] * height + 2 * along[:, 1]) * height + along[:, 2]) / a.rows.shape[1]
    if a is b:
        double = 2 * h
        sums -= double.square() * (double + 3 * a.length)
    return sums


def rounding_error(gen: CentredRows, ref: CentredRows) -> float:
    """How far float32 products are likely to move the distance: measured on some hundreds of samples of each side.

    The mean error of those pairs, and twice its own standard error, to which the rows contribute as a whole: what
    rounding has in common over a row, as of a copied sample, does not average out.
    """
    bias, variance = 0.0, 0.0
    for a, b, factor in ((gen, gen, 1.0), (ref, ref, 1.0), (gen, ref, -2.0)):
        i, j = (_evenly(len(side.rows)).to(side.device) for side in (a, b))
        found = []
        for dtype in (torch.float32, torch.float64):
            x = a.about(i, dtype)
            y = x if a is b else b.about(j, dtype)
            found.append(rest(x, y, a.height[i].to(dtype), b.height[j].to(dtype)).to(torch.float64))
        errors = (found[0] - found[1]).mean(dim=1)
        bias += factor * float(errors.mean())
        variance += factor**2 * float(errors.var()) / len(errors)
    return abs(bias) + 2 * math.sqrt(variance) if math.isfinite(bias) and math.isfinite(variance) else math.inf


def _evenly(count: int) -> Tensor:
    return torch.linspace(0, count - 1, min(count, _SAMPLED)).round().to(torch.int64)
