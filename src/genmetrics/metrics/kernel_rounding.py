"""How far float32 products move a kernel distance: measured on a part of the pairs, and where it matters on none.

Rounding is of either sign, so that a mean over a million pairs is far better than one of them, and a bound by the sizes
of the samples would allow float32 nowhere. What the sizes do say is which samples matter: see ``rounding_error``.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float64
from torch import Tensor

from genmetrics.metrics.kernel_centred import Rest
from genmetrics.metrics.kernel_sets import Heights

__all__ = ["rounding_error"]

#: How many samples are taken evenly: of wide features, and of those that cost less.
_SAMPLED, _SAMPLED_OF_NARROW, _NARROW = 512, 1024, 512
#: How many of the samples of greatest length, and of greatest height, are always measured.
_EXTREME = 16
#: How much larger the squares of what is left out may be, on average, than those of what is measured.
_ALIKE = 2.0


def rounding_error(gen: Heights, ref: Heights, subset: int | None = None) -> float:
    """How far float32 products are likely to move the distance: measured on some hundreds of samples of each side.

    The mean error of the pairs of samples taken evenly, and twice its own standard error, to which samples contribute
    as a whole: what rounding has in common over the pairs of one, as of a copied sample, does not average out. The
    samples farthest from the centre and those of the largest heights are always measured as well, and count for
    themselves. Where those that are left out may be off by more than those taken evenly, infinity is returned.

    Args:
        gen: one set.
        ref: the other.
        subset: how many samples each distance is of, None for all: of one sample's error, a distance of few samples
            has the more.
    """
    samples = [_Sample(side, subset) for side in (gen, ref)]
    bias = variance = 0.0
    for one, other, factor in ((0, 0, 1.0), (1, 1, 1.0), (0, 1, -2.0)):
        of_a, of_b = samples[one], samples[other]
        if not (of_a.stands_for_all(of_b) and of_b.stands_for_all(of_a)):
            return math.inf
        everything = slice(None)
        in_float32, exactly = (
            Rest(of_a.taken, of_b.taken, dtype).tile(everything, everything, itself=one == other).to(torch.float64)
            for dtype in (torch.float32, torch.float64)
        )
        errors = (in_float32 - exactly) * (factor / float(gen.width) ** 3)
        bias += float(of_a.shares @ errors @ of_b.shares)
        variance += max(of_a.variance(errors @ of_b.shares), of_b.variance(of_a.shares @ errors))
        pairs = of_a.shares[: of_a.num_extreme, None] * errors[: of_a.num_extreme, : of_b.num_extreme]
        variance += float((pairs * of_b.shares[: of_b.num_extreme]).square().sum())
    return abs(bias) + 2 * math.sqrt(variance) if math.isfinite(bias) and math.isfinite(variance) else math.inf


class _Sample:
    """Samples of a set on which rounding is measured: first those that may be off the most, then evenly spaced ones.

    Attributes:
        places: of both.
        taken: their rows.
        num_extreme: how many are of the first kind.
        shares: for how much of a distance each stands.
    """

    def __init__(self, side: Heights, subset: int | None) -> None:
        count, device = len(side.height), side.height.device
        self._side = side
        extreme = torch.zeros(count, dtype=torch.bool, device=device)
        for size in (side.length, side.height.abs()):
            extreme[size.topk(min(_EXTREME, count // 4)).indices] = True
        self._rest = (~extreme).nonzero().flatten()
        most = _SAMPLED_OF_NARROW if side.width <= _NARROW else _SAMPLED
        evenly = self._rest[_evenly(len(self._rest), most).to(device)]
        self._num_evenly = len(evenly)
        self.places = torch.cat((extreme.nonzero().flatten(), evenly))
        self.taken = side.take(self.places)
        self.num_extreme = count - len(self._rest)
        self.shares = torch.full((len(self.places),), 1.0 / min(count, subset or count), dtype=torch.float64)
        self.shares[self.num_extreme :] = len(self._rest) / count / len(evenly)
        self.shares = self.shares.to(device)

    def variance(self, errors: Float64[Tensor, " n"]) -> float:
        """Of the mean error, by the errors of its samples: drawn, if they are taken evenly, else each as it is."""
        extreme, even = errors[: self.num_extreme], errors[self.num_extreme :]
        own = (self.shares[: self.num_extreme] * extreme).square().sum()
        return float(own + even.var() * self.shares[self.num_extreme :].square().sum())

    def stands_for_all(self, other: _Sample) -> bool:
        """Whether samples that are not measured can be off by about as much as those that are."""
        if len(self._rest) == self._num_evenly:
            return True
        size = self._most_off(other).square()
        left_out, evenly = size[self._rest].mean(), size[self.places[self.num_extreme :]].mean()
        return bool(left_out <= _ALIKE * evenly)

    def _most_off(self, other: _Sample) -> Float64[Tensor, " n"]:
        """What the rounding of each sample's pairs is at most in proportion to: |u||v| (|A| + |u||v|/d)|u||v|/d²."""
        (one, height), (length, heights) = ((side.length, side.height.abs()) for side in (self._side, other._side))
        return one * (height * length.mean() + (length * heights).mean() + one.sqrt() * (length**1.5).mean())


def _evenly(count: int, most: int) -> Tensor:
    return torch.linspace(0, count - 1, min(count, most)).round().to(torch.int64)
