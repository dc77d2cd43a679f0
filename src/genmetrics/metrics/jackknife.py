"""Error bars and bias of a figure, from its values without one block of the samples after the other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from genmetrics.student_t import t_quantile
from genmetrics.types import Stage

__all__ = ["Jackknife", "jackknife"]

#: Of a two-sided interval of 95 %.
_TAIL = 0.975


@dataclass(frozen=True)
class Jackknife:
    """What the values without each block tell of a figure.

    Attributes:
        debiased: the figure without the part of its bias that falls with the number of samples.
        se: its standard error.
        low: the lower end of the 95 % interval about it.
        high: the upper end.
    """

    debiased: float
    se: float
    low: float
    high: float


def jackknife(value: float, replicates: Mapping[Stage, Sequence[float]]) -> Jackknife:
    """Delete-a-block jackknife of a figure of one or two independent sets.

    With θ the figure, θ₋ᵦ the figure without block b of one of the sets and θ̄ the mean of these over its K blocks,
    that set's share of the bias is (K − 1)(θ̄ − θ), and its share of the variance (K − 1)/K Σ (θ₋ᵦ − θ̄)². The interval
    is of Student's t, with Satterthwaite's degrees of freedom where there are two sets.

    Args:
        value: θ.
        replicates: for each set the values without each of its blocks, two or more.

    Source: Quenouille 1956 for the bias, Tukey 1958 for the variance; Künsch 1989 for blocks of samples.
    """
    bias, variance, weight = 0.0, 0.0, 0.0
    for values in replicates.values():
        count = len(values)
        mean = math.fsum(values) / count
        bias += (count - 1) * (mean - value)
        share = (count - 1) / count * math.fsum((one - mean) ** 2 for one in values)
        variance += share
        weight += share**2 / (count - 1)
    freedom = variance**2 / weight if weight > 0 else math.inf
    se, debiased = math.sqrt(variance), value - bias
    reach = t_quantile(_TAIL, freedom) * se
    return Jackknife(debiased, se, debiased - reach, debiased + reach)
