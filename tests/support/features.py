"""Feature sets for metrics, and every distance between them the slow way."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from genmetrics.accumulators.build import build_accumulator
from genmetrics.metrics import METRICS
from genmetrics.metrics.base import Metric
from genmetrics.registry import load_target
from genmetrics.stats.stats import Stats
from genmetrics.types import MetricResult, SideRecord

__all__ = ["all_distances", "build", "evaluate", "own_distances", "sample", "stats_of"]


def sample(seed: int, count: int, width: int, shift: float = 0.0, scale: float = 1.0) -> Tensor:
    """(count, width) float32 of a Gaussian."""
    values = scale * np.random.default_rng(seed).standard_normal((count, width)) + shift
    return torch.from_numpy(values.astype(np.float32))


def all_distances(a: Tensor, b: Tensor) -> np.ndarray:
    """Every squared distance in float64, from the differences."""
    x, y = a.numpy().astype(np.float64), b.numpy().astype(np.float64)
    return np.stack([((row - y) ** 2).sum(axis=1) for row in x])


def own_distances(a: Tensor) -> np.ndarray:
    """The same within one set, in ascending order, without that of each sample to itself."""
    found = all_distances(a, a)
    np.fill_diagonal(found, np.inf)
    return np.sort(found, axis=1)[:, :-1]


def build(name: str) -> Metric:
    info = METRICS.get(name)
    return load_target(info.target)(info, 2020)


def stats_of(metric: Metric, rows: Tensor, indices: Tensor | None = None) -> Stats:
    """What the metric needs of the rows."""
    accumulators = {}
    for need in metric.needs:
        accumulators[need] = build_accumulator(need, rows.shape[1], len(rows))
        accumulators[need].update(rows, torch.arange(len(rows)) if indices is None else indices)
    return Stats(accumulators, SideRecord("synthetic", "array", len(rows), "0" * 64), {}, 2020)


def evaluate(name: str, gen: Tensor, ref: Tensor) -> MetricResult:
    metric = build(name)
    return metric.compute(stats_of(metric, gen), stats_of(metric, ref))
