"""The classes of samples, for metrics of single classes."""

from __future__ import annotations

from genmetrics.accumulators.by_index import ByIndex

__all__ = ["Labels"]


class Labels(ByIndex):
    """One int64 class number a sample, by ascending index."""

    what = "labels"
