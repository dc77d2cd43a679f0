"""The difference of two models in one metric, and the verdict on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from genmetrics.report.saved import SavedMetric
from genmetrics.report.uncertainty import (
    Uncertain,
    difference_of_intervals,
    difference_of_means,
    jackknife_variance,
    spread,
    with_blocks,
)
from genmetrics.types import Stage

__all__ = ["Compared", "Figure", "Method", "MetricDifference", "Pairing", "Verdict", "compare_metric"]

Verdict = Literal["better", "worse", "inconclusive", "unknown"]
Compared = Literal["value", "debiased"]
Method = Literal["blocks", "errors", "runs"]

_FIXED = "the results have no blocks of the reference, so that its own noise is not in the interval"
_FIXED_IN_ONE = "only one of the results has blocks of the reference, so that some of its noise is not in the interval"
_OTHER_BLOCKS = "the results have different numbers of blocks, so that nothing is paired by them"
_RAW = "not all results have a value without the bias of few samples, so that the raw values are compared"
_UNLIKE = (
    "the bias of both sides was taken from one result and that of one side from another, so that the raw values are "
    "compared"
)
_INDEPENDENT = (
    "the results have no blocks to pair, so that their own errors are taken as independent, which makes the interval "
    "too wide where they share their reference"
)
_ONE_RUN = "one of the models has one run; its spread is taken to be that of the other's runs"


@dataclass(frozen=True)
class Pairing:
    """What the noise of two results has in common.

    Attributes:
        gen: sample i of both was made of the same noise.
        ref: both have the same reference images.
        same_images: both have the same generated images, so that neither is better.
    """

    gen: bool
    ref: bool
    same_images: bool = False


@dataclass(frozen=True)
class Figure:
    """One model's figure in a metric.

    Attributes:
        value: what is compared; the mean of several runs.
        se: its standard error within a run (the root mean square over runs); None if it is not known.
        runs: what is compared of each run.
        sd: the standard deviation between runs, with n - 1; None of one run.
        best: the best of several runs, which is no fair figure of the model; None of one run.
    """

    value: float
    se: float | None
    runs: tuple[float, ...]
    sd: float | None = None
    best: float | None = None


@dataclass(frozen=True)
class MetricDifference:
    """Model B less model A in one metric.

    Attributes:
        id: the metric's id.
        a: the figure of A.
        b: the figure of B.
        difference: b less a.
        se: its standard error; None if it is not known.
        ci95_low: the lower end of its 95 % interval; None if it is not known.
        ci95_high: the upper end.
        verdict: B against A. ``inconclusive`` if the interval has zero in it, ``unknown`` if there is no interval, or
            nobody knows which way is better.
        reason: why it is unknown; else empty.
        compared: which figure of the results was compared.
        paired: the sides whose noise was paired, so that what both share cancels.
        method: from ``blocks`` left out, from the ``errors`` that the results state, or from several ``runs``; None if
            the error is not known.
        higher_is_better: the metric's direction; None if it is not known.
        notes: what a reader must know.
    """

    id: str
    a: Figure
    b: Figure
    difference: float
    se: float | None
    ci95_low: float | None
    ci95_high: float | None
    verdict: Verdict
    reason: str
    compared: Compared
    paired: tuple[Stage, ...]
    method: Method | None
    higher_is_better: bool | None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The difference as plain values, in the layout of the JSON file."""
        return {
            "a": self.a.value,
            "b": self.b.value,
            "difference": self.difference,
            "se": self.se,
            "ci95_low": self.ci95_low,
            "ci95_high": self.ci95_high,
            "verdict": self.verdict,
            "reason": self.reason or None,
            "paired": list(self.paired),
            "compared": self.compared,
            "method": self.method,
            "higher_is_better": self.higher_is_better,
            "a_se": self.a.se,
            "b_se": self.b.se,
            "a_runs": _runs(self.a),
            "b_runs": _runs(self.b),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class _Found:
    """The error of a difference and how it was found; no error if there is none."""

    uncertain: Uncertain | None
    method: Method | None = None
    paired: tuple[Stage, ...] = ()
    notes: tuple[str, ...] = ()
    reason: str = ""


def compare_metric(
    a: Sequence[SavedMetric],
    b: Sequence[SavedMetric],
    pairing: Pairing,
    *,
    needs_ref: bool,
    higher_is_better: bool | None,
) -> MetricDifference:
    """The difference of two models in one metric.

    Args:
        a: the metric in the runs of A, at least one.
        b: likewise of B.
        pairing: what their noise has in common.
        needs_ref: whether it is a distance from the reference.
        higher_is_better: which way is better; None if nobody knows.
    """
    compared, notes = _compared((*a, *b))
    of_a, of_b = (_figure(runs, compared, higher_is_better) for runs in (a, b))
    difference = of_b.value - of_a.value
    if max(len(a), len(b)) > 1:
        found = _from_runs(of_a, of_b, higher_is_better)
    else:
        found = _from_errors(difference, a[0], b[0], pairing, needs_ref)
    verdict, reason = _verdict(found, higher_is_better, pairing.same_images)
    known = found.uncertain
    return MetricDifference(
        a[0].id,
        of_a,
        of_b,
        difference,
        None if known is None else known.se,
        None if known is None else known.low,
        None if known is None else known.high,
        verdict,
        reason,
        compared,
        found.paired,
        found.method,
        higher_is_better,
        (*notes, *found.notes),
    )


def _compared(runs: Sequence[SavedMetric]) -> tuple[Compared, tuple[str, ...]]:
    """The figure that all have, and what to say where it is not the better one."""
    if any(run.debiased is None for run in runs):
        return "value", (_RAW,) if any(run.debiased is not None for run in runs) else ()
    if any(run.replicates.keys() != runs[0].replicates.keys() for run in runs):
        return "value", (_UNLIKE,)
    return "debiased", ()


def _figure(runs: Sequence[SavedMetric], compared: Compared, higher_is_better: bool | None) -> Figure:
    values = tuple(run.value if compared == "value" or run.debiased is None else run.debiased for run in runs)
    errors = [error for error in map(_own_error, runs) if error is not None]
    within = math.sqrt(math.fsum(error**2 for error in errors) / len(errors)) if len(errors) == len(runs) else None
    if len(runs) == 1:
        return Figure(values[0], within, values)
    best = None if higher_is_better is None else max(values) if higher_is_better else min(values)
    return Figure(math.fsum(values) / len(values), within, values, spread(values), best)


def _own_error(metric: SavedMetric) -> float | None:
    """The standard error that a result states, or that its blocks give."""
    if metric.se is not None or not metric.replicates:
        return metric.se
    return math.sqrt(math.fsum(map(jackknife_variance, metric.replicates.values())))


def _reach(metric: SavedMetric) -> tuple[float, float] | None:
    """How far the stated interval reaches below and above the figure that it is of."""
    if metric.ci95 is None:
        return None
    middle = metric.value if metric.debiased is None else metric.debiased
    low, high = metric.ci95
    if not low <= middle <= high:
        return (high - low) / 2, (high - low) / 2
    return middle - low, high - middle


def _from_errors(difference: float, a: SavedMetric, b: SavedMetric, pairing: Pairing, needs_ref: bool) -> _Found:
    """From one result of each."""
    if "gen" in a.replicates and "gen" in b.replicates:
        return _from_blocks(difference, a, b, pairing, needs_ref)
    errors = _own_error(a), _own_error(b)
    if errors[0] is None or errors[1] is None:
        lacking = " and ".join(side for side, error in zip("AB", errors, strict=True) if error is None)
        return _Found(None, reason=f"no error bars in {lacking}")
    known = difference_of_intervals(difference, (errors[0], _reach(a)), (errors[1], _reach(b)))
    return _Found(known, "errors", notes=(_INDEPENDENT,) if needs_ref else ())


def _from_blocks(difference: float, a: SavedMetric, b: SavedMetric, pairing: Pairing, needs_ref: bool) -> _Found:
    parts: list[Sequence[float]] = []
    paired: list[Stage] = []
    notes: list[str] = []
    sides: tuple[tuple[Stage, bool], ...] = (("gen", pairing.gen), ("ref", pairing.ref))
    for side, shared in sides:
        of_a, of_b = a.replicates.get(side), b.replicates.get(side)
        if of_a is not None and of_b is not None and shared and len(of_a) == len(of_b):
            parts.append([theirs - ours for ours, theirs in zip(of_a, of_b, strict=True)])
            paired.append(side)
            continue
        parts += [values for values in (of_a, of_b) if values is not None]
        if of_a is not None and of_b is not None:
            notes += [_OTHER_BLOCKS] if shared else []
        elif needs_ref:
            notes.append(_FIXED if of_a is of_b else _FIXED_IN_ONE)
    return _Found(with_blocks(difference, parts), "blocks", tuple(paired), tuple(dict.fromkeys(notes)))


def _from_runs(a: Figure, b: Figure, higher_is_better: bool | None) -> _Found:
    notes = [_ONE_RUN] if min(len(a.runs), len(b.runs)) == 1 else []
    best = [
        f"{figure.best:.6g} for {name}, {abs(figure.best - figure.value):.3g} better than the mean of its "
        f"{len(figure.runs)} runs"
        for name, figure in (("A", a), ("B", b))
        if figure.best is not None
    ]
    if best:
        biased = "high" if higher_is_better else "low"
        notes.append(
            f"report the mean and the spread. The best of several runs is biased {biased}, the more so the more runs "
            f"there are; here it would be {' and '.join(best)}"
        )
    return _Found(difference_of_means(a.runs, b.runs), "runs", notes=tuple(notes))


def _verdict(found: _Found, higher_is_better: bool | None, same_images: bool) -> tuple[Verdict, str]:
    known = found.uncertain
    if known is None:
        return "unknown", found.reason
    if known.se == 0 and known.difference != 0:
        return "unknown", "no spread in its errors"
    if same_images or known.low <= 0 <= known.high:
        return "inconclusive", ""
    if higher_is_better is None:
        return "unknown", "not known which way is better"
    return ("better" if (known.difference > 0) == higher_is_better else "worse"), ""


def _runs(figure: Figure) -> dict[str, Any] | None:
    if figure.sd is None:
        return None
    return {"values": list(figure.runs), "sd": figure.sd, "best": figure.best}
