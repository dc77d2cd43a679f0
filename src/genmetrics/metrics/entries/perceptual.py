"""Distances of image pairs, of generator paths, and of images from their captions."""

from __future__ import annotations

from genmetrics.types import MetricInfo

__all__ = ["ENTRIES"]

ENTRIES: tuple[MetricInfo, ...] = ()
