"""Fidelity, diversity, coverage and memorisation, from nearest neighbours."""

from __future__ import annotations

from genmetrics.types import MetricInfo

__all__ = ["ENTRIES"]

ENTRIES: tuple[MetricInfo, ...] = ()
