"""How far apart nested figures are."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["difference"]


def difference(one: Any, other: Any) -> float:
    """The largest difference of any figures, relative to them where they are above 1; infinite of all else unlike."""
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return max((difference(a, b) for a, b in zip(one, other, strict=True)), default=0.0)
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return max((difference(one[key], other[key]) for key in one), default=0.0)
    if all(isinstance(each, int | float) and not isinstance(each, bool) for each in (one, other)):
        return float(abs(one - other) / max(1.0, abs(other)))
    return 0.0 if one == other else math.inf
