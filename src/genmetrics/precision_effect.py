"""How far the faster precisions moved the numbers where that was measured, as data.

The figures are those of ``benchmarks/results/precision.json``, rounded up to two digits, and a test holds the two
together. They say what was seen on these pictures with these weights, and are no bound for others.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from genmetrics.types import Precision

__all__ = ["EFFECTS", "FAMILIES", "Effect", "Family", "effect_class", "effect_of", "family_of"]

#: Fréchet distance, kernel distance, Inception Score, precision and recall; nothing else was measured.
Family = Literal["fd", "kid", "isc", "prc", "other"]
FAMILIES: tuple[Family, ...] = ("fd", "kid", "isc", "prc")
_FAMILIES: MappingProxyType[str, Family] = MappingProxyType(
    {"fid": "fd", "fd": "fd", "kid": "kid", "isc": "isc", "prc": "prc"}
)
_PICTURES = "crops of photographs"


@dataclass(frozen=True)
class Effect:
    """The largest changes that a precision made to a kind of metric on one network.

    Attributes:
        relative: where the sets clearly differ, as a share of the exact value; of precision and recall, which lie in
            0..1, the change itself.
        absolute_near: where they hardly differ, so that a share of the value would say little.
        relative_one_side: as ``relative``, with the other side exact.
        absolute_near_one_side: as ``absolute_near``, with the other side exact.
        weights: whether the network had its published weights or seeded random ones.
    """

    relative: float
    absolute_near: float
    relative_one_side: float
    absolute_near_one_side: float
    weights: Literal["published", "random"]


_LITE, _INCEPTION = "efficientnet-lite0.in1k", "inception-v3.tf2015"

#: By extractor, precision and family.
EFFECTS: MappingProxyType[tuple[str, Precision, Family], Effect] = MappingProxyType(
    {
        (_LITE, "bf16", "fd"): Effect(0.01, 2.1, 0.014, 0.51, "published"),
        (_LITE, "bf16", "kid"): Effect(0.052, 0.00082, 0.065, 0.00021, "published"),
        (_LITE, "bf16", "isc"): Effect(0.011, 0.081, 0.011, 0.081, "published"),
        (_LITE, "bf16", "prc"): Effect(0.023, 0.018, 0.02, 0.011, "published"),
        (_INCEPTION, "bf16", "fd"): Effect(0.0052, 0.0034, 0.017, 0.038, "random"),
        (_INCEPTION, "bf16", "kid"): Effect(0.0085, 4.1e-05, 0.023, 0.00017, "random"),
        (_INCEPTION, "bf16", "isc"): Effect(0.0042, 0.0035, 0.0042, 0.0035, "random"),
        (_INCEPTION, "bf16", "prc"): Effect(0.016, 0.0, 0.016, 0.0, "random"),
    }
)


def family_of(metric: str) -> Family:
    """The kind of a metric, by its id: ``fid`` and ``fd.<extractor>`` are of one kind.

    Variants of other features or estimators (``fid_64``, ``kid_full``) are ``other``, for they were not measured.
    """
    return _FAMILIES.get(metric.partition(".")[0], "other")


def effect_class(relative: float) -> str:
    """The order of magnitude of a relative change, in words."""
    for limit, name in ((1e-6, "none"), (1e-3, "below a per mille"), (5e-3, "per mille"), (0.1, "percent")):
        if relative <= limit:
            return name
    return "tens of percent" if relative <= 1 else "another number"


def effect_of(family: Family, extractor: str, precision: Precision, one_side: bool = False) -> str:
    """A sentence on how far a precision moved this kind of metric on this network, or that it was not measured.

    Args:
        family: see ``family_of``.
        extractor: id of the network.
        precision: ``bf16`` or ``tf32``.
        one_side: whether the other side was computed exactly.
    """
    effect = EFFECTS.get((extractor, precision, family))
    if effect is None:
        return f"how far {precision} moves this number on {extractor} was not measured"
    relative = effect.relative_one_side if one_side else effect.relative
    near = effect.absolute_near_one_side if one_side else effect.absolute_near
    run = f"{precision} on one side" if one_side else precision
    weights = " with random weights (with the published ones it was not measured)" if effect.weights == "random" else ""
    if family == "prc":
        relative = max(relative, near)
        moved = f"by up to {relative:.2g}, of 0 to 1,"
    else:
        moved = f"by up to {_percent(relative)} of its value, and by up to {near:.2g} where the sets hardly differ,"
    return (
        f"{run} moved {family} {moved} on {extractor}{weights} over {_PICTURES}"
        f" (effect class: {effect_class(relative)})"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
