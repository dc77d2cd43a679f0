"""Small bars for a number with its interval, as places in percent of a line's width."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from genmetrics.report.saved import SavedMetric

__all__ = ["Span", "scale_of", "span"]

_ROOM = 1.06


@dataclass(frozen=True)
class Span:
    """Places on a line, each from 0 to 100.

    Attributes:
        value: of the main figure.
        low: of the interval's lower end; None if there is none.
        width: the interval's width; None likewise.
        debiased: of the value without the bias of few images; None if there is none.
        zero: of zero.
    """

    value: float
    low: float | None
    width: float | None
    debiased: float | None
    zero: float


def scale_of(metrics: Iterable[SavedMetric]) -> tuple[float, float]:
    """The ends of a line on which the figures of all these lie, and zero."""
    values = [0.0]
    for metric in metrics:
        values += [metric.value, *(metric.ci95 or ()), *(() if metric.debiased is None else (metric.debiased,))]
    low, high = min(values), max(values)
    if low == high:
        return 0.0, 1.0
    return low * _ROOM, high * _ROOM


def span(metric: SavedMetric, scale: tuple[float, float]) -> Span:
    """A metric's places on a line with these ends."""
    low, high = scale
    # Divided before they are subtracted, which does not overflow.
    unit = max(abs(low), abs(high))
    length = high / unit - low / unit

    def place(value: float) -> float:
        return round(100 * min(1.0, max(0.0, (value / unit - low / unit) / length)), 2)

    ends: Sequence[float] = [] if metric.ci95 is None else [place(end) for end in metric.ci95]
    return Span(
        place(metric.value),
        ends[0] if ends else None,
        round(ends[1] - ends[0], 2) if ends else None,
        None if metric.debiased is None else place(metric.debiased),
        place(0.0),
    )
