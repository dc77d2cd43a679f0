"""The built-in metrics' descriptions, by family. Each file has a tuple ``ENTRIES`` and imports nothing heavy."""

from __future__ import annotations

from genmetrics.metrics.entries import diversity, frechet, kernel, neighbours, perceptual

__all__ = ["ENTRIES"]

ENTRIES = (*frechet.ENTRIES, *kernel.ENTRIES, *neighbours.ENTRIES, *diversity.ENTRIES, *perceptual.ENTRIES)
