"""What is to be computed, and what that needs from each image set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from genmetrics.errors import UsageError
from genmetrics.extractors import EXTRACTORS
from genmetrics.metrics.base import Metric
from genmetrics.metrics.resolve import build_metrics
from genmetrics.types import Need

__all__ = ["Plan", "make_plan"]

_WITH_REFERENCE = ("fid", "kid", "isc")
_ALONE = ("isc",)


@dataclass(frozen=True)
class Plan:
    """The metrics of a run, in the order of the report."""

    metrics: tuple[Metric, ...]

    @property
    def gen_needs(self) -> tuple[Need, ...]:
        """What all the metrics read from the generated set, each need once."""
        return tuple(dict.fromkeys(need for metric in self.metrics for need in metric.needs))

    @property
    def ref_needs(self) -> tuple[Need, ...]:
        """What the metrics that compare read from the reference set, each need once."""
        comparing = (metric for metric in self.metrics if not metric.unary)
        return tuple(dict.fromkeys(need for metric in comparing for need in metric.needs))


def make_plan(metrics: Sequence[str] | str | None, extractor: str | None, seed: int, has_reference: bool) -> Plan:
    """Resolve metric names.

    Args:
        metrics: ids, or one string of them with commas; None takes ``fid,kid,isc`` with a reference and
            ``isc`` without one.
        extractor: the network on which to compute them; None takes each metric's own.
        seed: of every random choice.
        has_reference: whether there is a set to compare with.

    Raises:
        UnknownNameError: if a name stands for nothing.
        UsageError: if nothing is asked for, or a metric needs a reference and there is none.
    """
    if metrics is None:
        names: Sequence[str] = _WITH_REFERENCE if has_reference else _ALONE
    else:
        names = metrics.split(",") if isinstance(metrics, str) else list(metrics)
        names = [name.strip() for name in names if name.strip()]
    if not names:
        raise UsageError("no metric was asked for; for example: -m fid,kid (`genmetrics list metrics` has them all)")
    plan = Plan(tuple(build_metrics(names, extractor, EXTRACTORS.get, seed)))
    comparing = [metric.id for metric in plan.metrics if not metric.unary]
    if comparing and not has_reference:
        raise UsageError(
            f"metric {comparing[0]!r} compares with a reference, and none was given; add '--ref REF' "
            "(Python: ref=...), or ask for metrics of one set: -m isc"
        )
    return plan
