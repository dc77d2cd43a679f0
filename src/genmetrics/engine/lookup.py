"""What is known of the metrics that results name. Nothing here imports torch."""

from __future__ import annotations

from genmetrics.metrics import METRICS
from genmetrics.types import MetricInfo

__all__ = ["info_of"]


def info_of(metric: str) -> MetricInfo | None:
    """What is known of a metric as results name it: with another network, or a crop, behind its id."""
    for name in (metric, metric.partition(".")[0]):
        if name in METRICS:
            return METRICS.get(name)
    generic = {info.generic: info for info in METRICS.entries() if info.generic}
    return generic.get(metric.partition(".")[0])
