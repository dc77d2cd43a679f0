"""Error bars of squared kernel distances from the kernel sums of each sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

__all__ = ["SampleSums", "blocks_of", "jackknife_error", "without_each"]


@dataclass(frozen=True)
class SampleSums:
    """What the kernel of each sample of a set sums to.

    Attributes:
        within: (n,) float64, over the other samples of its set.
        between: (n,) float64, over the samples of the other set.
        others: how many samples the other set has.
    """

    within: Tensor
    between: Tensor
    others: int


def jackknife_error(gen: SampleSums, ref: SampleSums) -> tuple[float, float]:
    """The standard error of the unbiased estimate, and its degrees of freedom by Satterthwaite.

    Each side's share of the variance is (n−1)/n Σ (U_{−i} − Ū)², with U without each of its samples.

    Args:
        gen: of 3 samples or more.
        ref: likewise.

    Source: Arvesen 1969, "Jackknifing U-statistics", Annals of Mathematical Statistics 40, section 3.
    """
    shares = [(_variance(side), len(side.within)) for side in (gen, ref)]
    variance = sum(share for share, _ in shares)
    weight = sum(share**2 / (count - 1) for share, count in shares)
    degrees = variance**2 / weight if weight > 0 else float(min(count for _, count in shares) - 1)
    return variance**0.5, degrees


def _variance(side: SampleSums) -> float:
    """One side's share of the variance; the other side's own term is the same in all and falls out."""
    within, between, n = side.within, side.between, len(side.within)
    without = (within.sum() - 2 * within) / ((n - 1) * (n - 2)) - 2 * (between.sum() - between) / (
        (n - 1) * side.others
    )
    return float((without - without.mean()).square().sum()) * (n - 1) / n


def blocks_of(block: Int64[Tensor, " n"]) -> list[Tensor]:
    """Where the samples of each block are; empty if fewer than two samples are left without one.

    Args:
        block: of each sample the number of its block.
    """
    chosen = [torch.nonzero(block.cpu() == number)[:, 0] for number in torch.unique(block).tolist()]
    return chosen if len(block) - max(map(len, chosen)) >= 2 else []


def without_each(
    side: SampleSums, chosen: Sequence[Tensor], inner: Float64[Tensor, " blocks"], rest: float
) -> tuple[float, ...]:
    """The unbiased estimate without each block of one set.

    Args:
        side: the set that the blocks are of.
        chosen: where the samples of each block are.
        inner: (blocks,) float64, the kernel over the ordered pairs of different samples within each block, which the
            sums of both samples have.
        rest: the other set's own term of the estimate.
    """
    found = []
    for places, own in zip(chosen, inner.tolist(), strict=True):
        left, at = len(side.within) - len(places), places.to(side.within.device)
        within = float(side.within.sum() - 2 * side.within[at].sum()) + own
        between = float(side.between.sum() - side.between[at].sum())
        found.append(within / (left * (left - 1)) - 2 * between / (left * side.others) + rest)
    return tuple(found)
