"""How sure and how diverse a set is, without a reference."""

from __future__ import annotations

from genmetrics.types import MetricInfo

__all__ = ["ENTRIES"]

ENTRIES: tuple[MetricInfo, ...] = (
    MetricInfo(
        "isc",
        "genmetrics.metrics.inception_score:InceptionScore",
        "Inception Score, mean over 10 splits",
        "inception-v3.tf2015",
        "logits_unbiased",
        "tf1-bilinear-299",
        higher_is_better=True,
        unary=True,
        generic="isc",
        role="logits",
        estimator="splits10",
        equals="torch-fidelity, improved-gan",
    ),
)
