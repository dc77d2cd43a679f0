"""How sure a difference of two figures is: from blocks left out, from intervals, from several runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from genmetrics.student_t import NORMAL_95, t_quantile

__all__ = ["Uncertain", "difference_of_intervals", "difference_of_means", "jackknife_variance", "spread", "with_blocks"]

_P = 0.975


@dataclass(frozen=True)
class Uncertain:
    """A difference with its standard error and its 95 % interval."""

    difference: float
    se: float
    low: float
    high: float


def jackknife_variance(replicates: Sequence[float]) -> float:
    """The variance of a figure from its values without one of K blocks each: (K-1)/K Σ (v - v̄)².

    Source: Efron, The Jackknife, the Bootstrap and Other Resampling Plans (1982), eq. 3.2.
    """
    return (len(replicates) - 1) ** 2 / len(replicates) * spread(replicates) ** 2


def spread(values: Sequence[float]) -> float:
    """The standard deviation of at least two values, with n - 1."""
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def with_blocks(difference: float, parts: Sequence[Sequence[float]]) -> Uncertain:
    """A difference whose variance is the sum of those of independent parts, each known from its replicates.

    Args:
        difference: the figure of B less that of A.
        parts: the replicates of each part. The degrees of freedom are those of the part with the fewest blocks, which
            makes the interval a little wide where several parts weigh alike.
    """
    se = math.sqrt(math.fsum(jackknife_variance(part) for part in parts))
    half = t_quantile(_P, float(min(len(part) for part in parts) - 1)) * se
    return Uncertain(difference, se, difference - half, difference + half)


def difference_of_intervals(
    difference: float, a: tuple[float, tuple[float, float] | None], b: tuple[float, tuple[float, float] | None]
) -> Uncertain:
    """A difference of two independent figures, of which only errors and intervals are known.

    An interval that is longer on one side makes the difference's interval so: the lower end is as far below as A's
    upper end is above A and B's lower end is below B, in squares.

    Args:
        difference: the figure of B less that of A.
        a: the standard error, and how far the 95 % interval reaches below and above the figure; None for a normal one.
        b: likewise.

    Source: Zou and Donner (2008), "Construction of confidence limits about effect measures", eq. 2 (MOVER).
    """
    (below_a, above_a), (below_b, above_b) = (
        reach or (NORMAL_95 * error, NORMAL_95 * error) for error, reach in (a, b)
    )
    return Uncertain(
        difference,
        math.hypot(a[0], b[0]),
        difference - math.hypot(below_b, above_a),
        difference + math.hypot(above_b, below_a),
    )


def difference_of_means(a: Sequence[float], b: Sequence[float]) -> Uncertain:
    """The difference of the means of two groups of runs, by Welch's t.

    A group of one has no spread of its own; it is taken to be that of the other one, as in a t-test of equal variances.

    Args:
        a: the figure of each run, at least two here or in b.
        b: likewise.

    Source: Welch (1947), "The generalization of 'Student's' problem".
    """
    difference = math.fsum(b) / len(b) - math.fsum(a) / len(a)
    if min(len(a), len(b)) == 1:
        many = max(a, b, key=len)
        degrees, se = float(len(many) - 1), spread(many) * math.sqrt(1 + 1 / len(many))
    else:
        of_a, of_b = (spread(values) ** 2 / len(values) for values in (a, b))
        se = math.sqrt(of_a + of_b)
        smaller = of_a**2 / (len(a) - 1) + of_b**2 / (len(b) - 1)
        degrees = se**4 / smaller if smaller > 0 else float(min(len(a), len(b)) - 1)
    half = t_quantile(_P, degrees) * se
    return Uncertain(difference, se, difference - half, difference + half)
