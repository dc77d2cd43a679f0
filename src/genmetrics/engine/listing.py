"""What there is to choose from. Nothing here imports torch."""

from __future__ import annotations

from genmetrics.extractors import EXTRACTORS
from genmetrics.metrics import METRICS
from genmetrics.sources import SOURCES, SourceInfo
from genmetrics.types import ExtractorInfo, MetricInfo

__all__ = ["list_extractors", "list_metrics", "list_protocols", "list_sources"]


def list_metrics() -> tuple[MetricInfo, ...]:
    """All metrics, those of other packages included."""
    return METRICS.entries()


def list_extractors() -> tuple[ExtractorInfo, ...]:
    """All extractors, those of other packages included."""
    return EXTRACTORS.entries()


def list_sources() -> tuple[SourceInfo, ...]:
    """All kinds of image sources, those of other packages included."""
    return SOURCES.entries()


def list_protocols() -> dict[str, str]:
    """The protocol that each metric id stands for."""
    return {info.id: str(info.protocol) for info in METRICS.entries()}
