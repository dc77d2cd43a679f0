"""What can be computed. This file holds descriptions only and imports neither torch nor a metric.

To add a metric: a class in a file of this folder, and a ``MetricInfo`` under ``entries/``; from outside the package,
``register_metric``.
"""

from __future__ import annotations

from genmetrics.metrics.entries import ENTRIES
from genmetrics.registry import Registry
from genmetrics.types import MetricInfo

__all__ = ["METRICS", "register_metric"]

METRICS: Registry[MetricInfo] = Registry("metric", "genmetrics.metrics")


def register_metric(info: MetricInfo) -> None:
    """Add a metric under ``info.id``.

    Raises:
        UsageError: if the id is taken.
    """
    METRICS.register(info.id, info)


for _info in ENTRIES:
    register_metric(_info)
