"""Distances between two feature sets, tile by tile in float32, with bounds that say where float64 must decide.

Euclidean distances do not change when the same vector is taken from both sets, so the sets' common mean is: products
of float32 rows then cancel little. For every pair the true squared distance s, in units of the scaled features, obeys

    lower <= s <= lower + slack,        slack = 2C (|x|² + |y|²),        C = 1.02 (d + 16) 2⁻²⁴

where x and y are the centred rows: d·2⁻²⁴ bounds the rounding of a product of d terms in whatever order it is summed
(Higham 2002, section 3.1), and the rest that of the norms, of the centring and of the two additions. A decision that
the bounds leave open is made in float64, from the difference of the two rows as they are in the bank.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

from genmetrics.accumulators.rows import Rows
from genmetrics.linalg import unit_rows

__all__ = ["Cosines", "Distances", "Frame", "Points", "Space", "Weighted", "common_frame", "squared_distances"]

_ROUNDOFF = 2.0**-24
_SLACK = 1.02
#: Stands for the norm of a point at the very centre, so that underflow is inside the bounds too.
_TINY = 2.0**-60
#: Weights beyond it are cut in the bounds, which float32 could not hold; such pairs are left to float64.
_HEAVY = 1e30
_CHUNK_BYTES = 2**21


def squared_distances(
    a: Float32[Tensor, "n d"], b: Float32[Tensor, "m d"], i: Int64[Tensor, " pairs"], j: Int64[Tensor, " pairs"]
) -> Float64[Tensor, " pairs"]:
    """|a[i] − b[j]|² of each pair of rows, in float64 from the difference.

    The same two rows give the same number, whichever comes first and whatever other pairs there are.
    """
    found = torch.empty(len(i), dtype=torch.float64, device=a.device)
    step = max(1, _CHUNK_BYTES // (8 * a.shape[1]))
    for start in range(0, len(i), step):
        these = slice(start, start + step)
        apart = a[i[these]].to(torch.float64).sub_(b[j[these]])
        found[these] = apart.square_().sum(dim=1)
    return found


@dataclass(frozen=True)
class Points:
    """A feature set, and what tiles are made of.

    Attributes:
        rows: (n, d) float32, as in the bank.
        centred: (n, d) float32, less the common mean and scaled by a power of two to norms of at most 1.
        lower_norms: (n,) float32, |x|² less its share of the error.
        slack: (n,) float64, its share of ``slack`` above.
    """

    rows: Tensor
    centred: Tensor
    lower_norms: Tensor
    slack: Tensor


@dataclass(frozen=True)
class Frame:
    """What the points of two sets are made of, the same for all panels of both.

    Attributes:
        centre: (d,) float64, the mean of all samples.
        factor: the power of two by which differences from it are multiplied, so that no norm is above 1.
        coefficient: C above.
        device: where to compute.
    """

    centre: Tensor
    factor: float
    coefficient: float
    device: torch.device

    @property
    def scale(self) -> float:
        """By what squared distances are multiplied."""
        return self.factor * self.factor

    def points(self, rows: Float32[Tensor, "n d"]) -> Points:
        """What tiles are made of, of some of the samples of either set."""
        step = _step(rows.shape[1])
        centred = torch.empty(rows.shape, dtype=torch.float32, device=self.device)
        norms = torch.empty(len(rows), dtype=torch.float64)
        for start in range(0, len(rows), step):
            block = ((rows[start : start + step].to(torch.float64) - self.centre) * self.factor).to(torch.float32)
            norms[start : start + step] = block.to(torch.float64).square_().sum(dim=1)
            centred[start : start + step] = block
        slack = self.coefficient * (norms + _TINY)
        lower_norms = (norms - slack).to(self.device, torch.float32)
        return Points(rows.to(self.device), centred, lower_norms, (2 * slack).to(self.device))


def common_frame(gen: Rows, ref: Rows, device: torch.device) -> Frame:
    """The frame of two sets that are held by the same processes."""
    width = gen.width
    total = torch.zeros(width, dtype=torch.float64)
    for side in (gen, ref):
        for panel in side.own:
            for block in torch.split(side.read(panel), _step(width)):
                total += block.to(torch.float64).sum(dim=0)
    centre = gen.peers.total(total) / (len(gen) + len(ref))
    furthest = torch.zeros(1, dtype=torch.float64)
    for side in (gen, ref):
        for panel in side.own:
            for block in torch.split(side.read(panel), _step(width)):
                furthest = furthest.maximum((block.to(torch.float64) - centre).square_().sum(dim=1).max())
    length = math.sqrt(float(torch.cat(gen.peers.gather(furthest)).max()))
    exponent = math.frexp(length)[1] if length > 0 else 0
    coefficient = _SLACK * ((width + 16) * _ROUNDOFF + 2.2 * _rounding_of_inputs(device))
    return Frame(centre, 2.0**-exponent, coefficient, device)


def _step(width: int) -> int:
    return max(1, _CHUNK_BYTES // (8 * width))


def _rounding_of_inputs(device: torch.device) -> float:
    """The relative rounding of a factor before it is multiplied: none in float32, but in TF32 and bfloat16.

    The pass asks for float32 (``computing_at``), whatever the process has chosen. Should a device not obey, this
    product tells, and the bounds are wide enough for it.
    """
    ones = torch.eye(64, dtype=torch.float32, device=device)
    kept = {bits: bool(((ones * (1 + 2.0**-bits)) @ ones == ones * (1 + 2.0**-bits)).all()) for bits in (9, 22)}
    if kept[22]:
        return 0.0
    return 2.0**-10 if kept[9] else 2.0**-7


class Space(ABC):
    """A dissimilarity of every row of one set to every row of another, by bounds and exactly."""

    num_rows: int
    num_columns: int
    #: Whether both sets are one, where a row is no neighbour of its own.
    same: bool
    device: torch.device

    @abstractmethod
    def tile(self, rows: Tensor | slice, columns: slice) -> Float32[Tensor, "r c"]:
        """Lower bounds, float32."""

    @abstractmethod
    def slack(self, i: Tensor, j: Tensor) -> Float64[Tensor, "*pairs"]:
        """How far above its lower bound the exact figure of each pair may be."""

    @abstractmethod
    def exact(self, i: Int64[Tensor, " pairs"], j: Int64[Tensor, " pairs"]) -> Float64[Tensor, " pairs"]:
        """The figure of each pair in float64."""


class Distances(Space):
    """Squared Euclidean distances in scaled units."""

    def __init__(self, a: Points, b: Points, scale: float) -> None:
        self.a, self.b, self.scale = a, b, scale
        self.num_rows, self.num_columns = len(a.rows), len(b.rows)
        self.same = a is b
        self.device = a.centred.device

    def swapped(self) -> Distances:
        """From the second set to the first."""
        return Distances(self.b, self.a, self.scale)

    def tile(self, rows: Tensor | slice, columns: slice) -> Float32[Tensor, "r c"]:
        """|x|² + |y|² − 2 x·y, less the error."""
        a, b = self.a, self.b
        products = torch.addmm(b.lower_norms[columns], a.centred[rows], b.centred[columns].T, alpha=-2)
        return products.add_(a.lower_norms[rows, None])

    def slack(self, i: Tensor, j: Tensor) -> Float64[Tensor, "*pairs"]:
        """Both points' shares."""
        return self.a.slack[i] + self.b.slack[j]

    def exact(self, i: Int64[Tensor, " pairs"], j: Int64[Tensor, " pairs"]) -> Float64[Tensor, " pairs"]:
        """From the differences of the rows."""
        return squared_distances(self.a.rows, self.b.rows, i, j).mul_(self.scale)


class Weighted(Space):
    """Squared distances divided by a squared radius of each column; columns without a radius are infinitely far."""

    def __init__(self, distances: Distances, squared_radii: Float64[Tensor, " m"], kept: Tensor) -> None:
        self.distances = distances
        self.num_rows, self.num_columns, self.same = distances.num_rows, distances.num_columns, False
        self.device = distances.device
        self._squared_radii = squared_radii.to(self.device)
        weights = torch.where(kept.to(self.device), 1 / self._squared_radii, 1.0)
        self._weights = weights
        # Rounded down by more than the two roundings that follow can raise.
        self._lower_weights = (weights * (1 - 8 * _ROUNDOFF)).clamp(max=_HEAVY).to(torch.float32)
        self._left_out = ~kept.to(self.device)

    def of_distances(self, lower: Tensor, columns: slice) -> Tensor:
        """The tile that belongs to a tile of distances."""
        tile = lower.clamp(min=0).mul_(self._lower_weights[columns])
        return tile.masked_fill_(self._left_out[columns], torch.inf)

    def tile(self, rows: Tensor | slice, columns: slice) -> Float32[Tensor, "r c"]:
        """Lower bounds of the quotients."""
        return self.of_distances(self.distances.tile(rows, columns), columns)

    def slack(self, i: Tensor, j: Tensor) -> Float64[Tensor, "*pairs"]:
        """That of the distance and that of the quotient."""
        weights = self._weights[j]
        # A lower bound that was raised to 0 lies below its slack's start; the quotient's own rounding is relative.
        slack = weights * (self.distances.slack(i, j) + 32 * _ROUNDOFF * 4)
        return slack.masked_fill_(weights > _HEAVY, torch.inf)

    def exact(self, i: Int64[Tensor, " pairs"], j: Int64[Tensor, " pairs"]) -> Float64[Tensor, " pairs"]:
        """The quotients."""
        return self.distances.exact(i, j) / self._squared_radii[j]


class Cosines(Space):
    """1 − cos of the angle between two rows, or 1 − |cos|; a row of zeros is at 1 from every other."""

    def __init__(self, a: Tensor, b: Tensor, absolute: bool, device: torch.device) -> None:
        self.num_rows, self.num_columns, self.same, self.device = len(a), len(b), False, device
        self._absolute = absolute
        self._rows = (a.to(device), b.to(device))
        self._units = tuple(_unit_bank(side).to(device) for side in (a, b))
        self._error = _SLACK * ((a.shape[1] + 16) * _ROUNDOFF + 2.2 * _rounding_of_inputs(device))

    def tile(self, rows: Tensor | slice, columns: slice) -> Float32[Tensor, "r c"]:
        """1 − cos, less the error."""
        cosines = self._units[0][rows] @ self._units[1][columns].T
        if self._absolute:
            cosines.abs_()
        return cosines.neg_().add_(1 - self._error)

    def slack(self, i: Tensor, j: Tensor) -> Float64[Tensor, "*pairs"]:
        """The same for every pair."""
        return torch.zeros_like(i + j, dtype=torch.float64).add_(2 * self._error)

    def exact(self, i: Int64[Tensor, " pairs"], j: Int64[Tensor, " pairs"]) -> Float64[Tensor, " pairs"]:
        """½|x̂ − ŷ|² of the unit rows, which is 1 − cos and does not cancel for copies."""
        found = torch.empty(len(i), dtype=torch.float64, device=self.device)
        step = max(1, _CHUNK_BYTES // (16 * self._rows[0].shape[1]))
        for start in range(0, len(i), step):
            these = slice(start, start + step)
            x, y = _unit(self._rows[0][i[these]]), _unit(self._rows[1][j[these]])
            if self._absolute:
                y = torch.where((x * y).sum(dim=1, keepdim=True) < 0, -y, y)
            nothing = ~(x.any(dim=1) & y.any(dim=1))
            found[these] = (x - y).square_().sum(dim=1).mul_(0.5).masked_fill_(nothing, 1.0)
        return found


def _unit(rows: Tensor) -> Tensor:
    return unit_rows(rows.to(torch.float64), zeros="keep")


def _unit_bank(rows: Tensor) -> Tensor:
    units = torch.empty_like(rows)
    step = max(1, _CHUNK_BYTES // (16 * rows.shape[1]))
    for start in range(0, len(rows), step):
        units[start : start + step] = _unit(rows[start : start + step]).to(torch.float32)
    return units
