"""Error bars of means of independent figures, and what all error bars are called."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from genmetrics.accumulators.block_moments import NUM_BLOCKS, block_of
from genmetrics.student_t import NORMAL_95, t_quantile
from genmetrics.types import MetricResult, Stage

__all__ = ["interval", "mean_error", "mean_replicates", "of_gen", "share_error", "without_block", "without_error"]

_FIGURES = ("debiased", "se", "ci95_low", "ci95_high")


def interval(value: float, se: float, degrees: float) -> dict[str, float]:
    """``se``, ``ci95_low`` and ``ci95_high`` of Student's t.

    Args:
        value: the figure that it is about.
        se: its standard error.
        degrees: the degrees of freedom of the error, above 0.
    """
    reach = t_quantile(0.975, degrees) * se
    return {"se": se, "ci95_low": value - reach, "ci95_high": value + reach}


def mean_error(values: Float64[Tensor, " n"]) -> dict[str, float]:
    """``se``, ``ci95_low`` and ``ci95_high`` of the mean of independent figures; empty of fewer than two.

    The standard error is s/√n, s with n − 1, and the interval Student's with n − 1 degrees of freedom.

    Args:
        values: (n,) float64.
    """
    count = len(values)
    if count < 2:
        return {}
    return interval(float(values.mean()), float(values.std(correction=1)) / math.sqrt(count), float(count - 1))


def share_error(inside: Tensor) -> dict[str, float]:
    """``se``, ``ci95_low`` and ``ci95_high`` of a share; empty of fewer than two samples.

    The interval is Wilson's: it stays between 0 and 1, and is no single point where all or none are inside.

    Args:
        inside: (n,) bool, one for each independent sample.

    Source: Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".
    """
    figures = inside.to(torch.float64)
    n = len(figures)
    if n < 2:
        return {}
    share, square = float(figures.mean()), NORMAL_95**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    reach = NORMAL_95 * math.sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    # Rounding must not put the share itself outside.
    low, high = min(share, max(0.0, middle - reach)), max(share, min(1.0, middle + reach))
    return {"se": math.sqrt(share * (1 - share) / (n - 1)), "ci95_low": low, "ci95_high": high}


def without_block(indices: Int64[Tensor, " n"]) -> list[Tensor]:
    """Which samples are left without each block that has any, (n,) bool each; empty where nothing would be left.

    Args:
        indices: of the samples.
    """
    block = block_of(indices.cpu())
    kept = [block != number for number in range(NUM_BLOCKS) if bool((block == number).any())]
    return kept if len(kept) > 1 else []


def mean_replicates(values: Tensor, indices: Int64[Tensor, " n"]) -> dict[Stage, tuple[float, ...]]:
    """The mean of figures of generated samples without each block of them; empty if there is but one block.

    Args:
        values: (n,) of the samples.
        indices: of the samples, in the same order.
    """
    figures = values.to(torch.float64)
    return of_gen([float(figures[kept].mean()) for kept in without_block(indices)])


def of_gen(values: Sequence[float]) -> dict[Stage, tuple[float, ...]]:
    """Values without each block of generated samples, as a result has them."""
    return {"gen": tuple(values)} if values else {}


def without_error(result: MetricResult) -> MetricResult:
    """The result less its error bars."""
    if result.replicates or any(name in result.extra for name in _FIGURES):
        extra = {name: figure for name, figure in result.extra.items() if name not in _FIGURES}
        return replace(result, extra=extra, replicates={})
    return result
