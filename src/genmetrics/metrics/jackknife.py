"""Error bars and bias of a figure, from its values without one block of the samples after the other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from genmetrics.types import Stage

__all__ = ["Jackknife", "jackknife", "student_quantile"]

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
    reach = student_quantile(_TAIL, freedom) * se
    return Jackknife(debiased, se, debiased - reach, debiased + reach)


def student_quantile(probability: float, freedom: int | float) -> float:
    """The quantile of Student's t distribution.

    Args:
        probability: above 0.5 and below 1.
        freedom: degrees of freedom, above 0; infinite for the normal distribution.

    Matches: SciPy's ``t.ppf`` to 1e-9 relative; tests/metrics/test_jackknife.py.
    """
    low, high = 0.0, 1.0
    while _student_cdf(high, freedom) < probability:
        low, high = high, 2 * high
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_cdf(middle, freedom) < probability else (low, middle)
    return (low + high) / 2


def _student_cdf(t: float, freedom: int | float) -> float:
    """P(T <= t) for t >= 0."""
    if math.isinf(freedom) or freedom > 1e7:
        return 0.5 * math.erfc(-t / math.sqrt(2))
    return 1 - 0.5 * _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))


def _incomplete_beta(a: int | float, b: int | float, x: int | float) -> float:
    """The regularised incomplete beta function, by its continued fraction.

    Source: Abramowitz and Stegun, 26.5.8, evaluated by Lentz's method.
    """
    if x in (0.0, 1.0):
        return x
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    tiny = 1e-300
    c, d, fraction = 1.0, 0.0, 1.0
    for step in range(1, 500):
        m = step // 2
        if step % 2:
            numerator = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            numerator = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / (1 + numerator * d or tiny)
        c = 1 + numerator / c or tiny
        fraction *= c * d
        if abs(c * d - 1) < 1e-16:
            break
    return front / fraction
