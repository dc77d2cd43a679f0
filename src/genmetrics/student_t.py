"""Quantiles of Student's t distribution, without SciPy."""

from __future__ import annotations

import math
from statistics import NormalDist

__all__ = ["NORMAL_95", "t_quantile"]

#: Half the width of a 95 % interval in standard errors, where these are known exactly.
NORMAL_95 = NormalDist().inv_cdf(0.975)

_TERMS = 120
_STEPS = 56
#: From here on the expansion about the normal distribution is as accurate.
_MANY = 1e3


def t_quantile(probability: float, degrees: float) -> float:
    """The value below which Student's t lies with a probability; accurate to a relative 1e-10.

    Args:
        probability: above 0 and below 1.
        degrees: the degrees of freedom, above 0; not only whole numbers.

    Raises:
        ValueError: outside of these.

    Source: Abramowitz and Stegun, 26.5.8 (the continued fraction), 26.7.1 and 26.7.5 (the expansion).
    Matches: scipy.stats.t.ppf, tests/test_student_t.py.
    """
    if not 0 < probability < 1 or not degrees > 0:
        raise ValueError(f"t_quantile({probability}, {degrees}): expected 0 < probability < 1 and degrees > 0")
    if probability == 0.5:
        return 0.0
    if probability < 0.5:
        return -t_quantile(1 - probability, degrees)
    if degrees >= _MANY:
        return _near_normal(NormalDist().inv_cdf(probability), degrees)
    low, high = 0.0, 1.0
    while _upper_tail(high, degrees) > 1 - probability:
        low, high = high, 2 * high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _upper_tail(middle, degrees) > 1 - probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _near_normal(z: float, degrees: float) -> float:
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / degrees**3


def _upper_tail(t: float, degrees: float) -> float:
    """The probability of more than t, for t >= 0."""
    square = t * t
    return _incomplete_beta(degrees / (degrees + square), square / (degrees + square), degrees / 2, 0.5) / 2


def _incomplete_beta(x: float, rest: float, a: float, b: float) -> float:
    """The regularised incomplete beta function at x; ``rest`` is 1 - x, which is given for its digits."""
    if x == 0 or rest == 0:
        return float(rest == 0)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(rest, x, b, a)
    scale = a * math.log(x) + b * math.log(rest) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    fraction = 1.0
    for m in range(_TERMS, 0, -1):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m - 1) * (a + b + m - 1) * x / ((a + 2 * m - 2) * (a + 2 * m - 1))
        fraction = 1 + odd / (1 + even / fraction)
    return math.exp(scale) / (a * fraction)
