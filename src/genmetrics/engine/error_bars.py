"""Which error bars a run has: what they take of each side, and whether there is time for them."""

from __future__ import annotations

import time
from collections.abc import Mapping

from genmetrics import distributed
from genmetrics.engine.options import Options
from genmetrics.engine.plan import Plan, width_of
from genmetrics.engine.sides import Side
from genmetrics.metrics.frechet import IMAGES_PER_DIMENSION
from genmetrics.metrics.mean_error import without_error
from genmetrics.stats.stats import Stats
from genmetrics.types import MetricResult, Need

__all__ = ["error_needs_of", "with_error_bars"]

#: The part of a run that error bars may add to it unasked, and the seconds that they may take in any case.
_SHARE, _LEAST = 0.2, 1.0


def error_needs_of(plan: Plan, side: Side, options: Options, num: int | None = None) -> tuple[Need, ...]:
    """What the error bars of a run take of a side.

    Of given statistics that is what they hold. Of images it is left out unasked where there are too few for the error
    bars to hold.

    Args:
        plan: the metrics.
        side: what was given.
        options: whether error bars are wanted.
        num: how many of the images are used; None for all.
    """
    if options.error_bars == "off":
        return ()
    if side.stats is not None:  # images beside it need not be those that the statistics are of
        held = side.stats
        return tuple(need for need in plan.error_needs if held.meets(need))
    if options.error_bars == "on" or side.source is None:
        return plan.error_needs
    try:
        count = len(side.source)
    except TypeError:
        return plan.error_needs
    count = count if num is None else min(num, count)
    return tuple(need for need in plan.error_needs if count >= IMAGES_PER_DIMENSION * width_of(need))


def with_error_bars(
    plan: Plan,
    results: Mapping[str, MetricResult],
    gen: Stats,
    ref: Stats | None,
    options: Options,
    took: Mapping[str, float],
    started: float,
) -> tuple[dict[str, MetricResult], tuple[str, ...]]:
    """The results with their error bars, and notes on those for which there was no time.

    Args:
        plan: the metrics.
        results: by metric id.
        gen: the generated set.
        ref: the reference set.
        options: whether error bars are wanted.
        took: how long each metric took, in seconds.
        started: when the run began, as ``time.perf_counter`` tells it.
    """
    found, notes = dict(results), tuple[str, ...]()
    if options.error_bars == "off":
        return {name: without_error(result) for name, result in found.items()}, notes
    budget = max(_LEAST, _SHARE * (time.perf_counter() - started))
    for metric in plan.metrics:
        if not all(gen.meets(need) for need in metric.error_needs):
            continue
        # How long it took differs from process to process, and all of them must do the same.
        cost, budget = distributed.from_first_rank((metric.error_cost(gen, ref) * took[metric.id], budget))
        if options.error_bars == "auto" and cost > max(budget, 0.0):
            notes += (
                f"the error bars of {metric.id} were left out: they would take about {cost:.0f} s, more than a fifth "
                "of the run; --error-bars on (error_bars='on') computes them",
            )
            continue
        began = time.perf_counter()
        result = metric.with_error(found[metric.id], gen, ref)
        if options.error_bars == "on" or "se" in result.extra:
            found[metric.id] = result
        budget -= time.perf_counter() - began
    return found, notes
