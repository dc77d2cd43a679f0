"""What a merge knows statistics by of whose images nothing but the statistics is left."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from genmetrics.accumulators.base import Accumulator
from genmetrics.types import Part

__all__ = ["part_of_statistics"]


def part_of_statistics(source: str, kind: str, num_samples: int, accumulators: Iterable[Accumulator]) -> Part:
    """One complete part, known by the numbers themselves, so that the same statistics cannot be merged twice."""
    digest = hashlib.sha256()
    for held in accumulators:
        for name, value in sorted(held.state().items()):
            digest.update(f"{name}\0".encode())
            digest.update(value.contiguous().numpy().tobytes())
    return Part(source, kind, digest.hexdigest(), num_samples, ((0, num_samples),))
