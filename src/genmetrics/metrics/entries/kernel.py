"""Kernel and transport distances."""

from __future__ import annotations

from genmetrics.types import MetricInfo

__all__ = ["ENTRIES"]

ENTRIES: tuple[MetricInfo, ...] = (
    MetricInfo(
        "kid",
        "genmetrics.metrics.kernel:KernelDistance",
        "Kernel Inception Distance, mean over 100 subsets of 1,000",
        "inception-v3.tf2015",
        "2048",
        "tf1-bilinear-299",
        higher_is_better=False,
        unary=False,
        generic="kid",
        estimator="poly3-100x1000",
        equals="torch-fidelity, with its seed and order of draws",
    ),
)
