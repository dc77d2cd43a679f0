"""torch-fidelity's metrics as our engine is asked for them: ours, with the constants that were set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from genmetrics.accumulators.build import build_accumulator
from genmetrics.compat.torch_fidelity.settings import Settings
from genmetrics.errors import UsageError
from genmetrics.metrics import METRICS
from genmetrics.metrics.base import Metric
from genmetrics.registry import did_you_mean, load_target
from genmetrics.stats.stats import Stats
from genmetrics.types import MetricInfo, MetricResult, SideRecord

__all__ = ["described", "of_features"]

_KERNELS = ("poly", "rbf")
_ANY_KERNEL = "genmetrics.metrics.kernel_subsets:SubsetKernelDistance"


def described(name: str, settings: Settings) -> MetricInfo:
    """A metric with the constants that the settings give it.

    Args:
        name: ``isc``, ``fid``, ``kid``, ``prc`` or ``mind``.
        settings: what ``calculate_metrics`` was told.

    Raises:
        UsageError: if a constant cannot be meant.
    """
    return replace(_DESCRIBED[name](settings), id=name)


def of_features(
    name: str, settings: Settings, gen: Float[Tensor, "n d"], ref: Float[Tensor, "m e"] | None = None
) -> MetricResult:
    """A metric of features that are there already.

    Args:
        name: as for ``described``.
        settings: its constants and seed.
        gen: (n, d) features, or class logits for ``isc``, of the generated set.
        ref: (m, d) of the real set; None for ``isc``.

    Raises:
        UsageError: if a constant cannot be meant, or the sets are of different widths.
        StatisticsError: if a set has too few samples.
    """
    if ref is not None and gen.shape[1] != ref.shape[1]:
        raise UsageError(f"the sets have {gen.shape[1]} and {ref.shape[1]} features; expected the same number")
    metric: Metric = load_target(described(name, settings).target)(described(name, settings), settings.rng_seed)
    sides = [None if rows is None else _stats(metric, rows, settings.rng_seed) for rows in (gen, ref)]
    assert sides[0] is not None
    return metric.compute(sides[0], sides[1])


def _stats(metric: Metric, rows: Tensor, seed: int) -> Stats:
    (need,) = metric.needs
    held = build_accumulator(need, rows.shape[1], len(rows))
    held.update(rows.detach().cpu(), torch.arange(len(rows)))
    return Stats({need: held}, SideRecord("features", "tensors", len(rows), None), {}, seed)


def _isc(settings: Settings) -> MetricInfo:
    splits = _positive("isc_splits", settings.isc_splits)
    return replace(
        METRICS.get("isc"),
        settings=(("num_splits", splits), ("shuffle", int(settings.samples_shuffle))),
        estimator=f"splits{splits}" + ("" if settings.samples_shuffle else "-in-order"),
    )


def _fid(settings: Settings) -> MetricInfo:
    return METRICS.get("fid")


def _kid(settings: Settings) -> MetricInfo:
    number, size = _positive("kid_subsets", settings.kid_subsets), settings.kid_subset_size
    if size < 2:
        raise UsageError(f"kid_subset_size {size}: expected at least 2")
    if settings.kid_kernel not in _KERNELS:
        raise UsageError(f"kid_kernel {settings.kid_kernel!r}: {did_you_mean(settings.kid_kernel, list(_KERNELS))}")
    kernel, written = _gaussian(settings) if settings.kid_kernel == "rbf" else _polynomial(settings)
    return replace(
        METRICS.get("kid"),
        target=_ANY_KERNEL if kernel else METRICS.get("kid").target,
        settings=(("num_subsets", number), ("subset_size", size), *(kernel or (("lowers", 0),))),
        estimator=f"{written}-{number}x{size}",
    )


_Constants = tuple[tuple[str, int | float], ...]


def _gaussian(settings: Settings) -> tuple[_Constants, str]:
    sigma = settings.kid_kernel_rbf_sigma
    if not sigma > 0:
        raise UsageError(f"kid_kernel_rbf_sigma {sigma}: expected a number above 0")
    return (("sigma", sigma),), f"rbf{sigma:g}"


def _polynomial(settings: Settings) -> tuple[_Constants, str]:
    """Nothing for KID's own kernel, which has a faster way."""
    degree, coef0 = settings.kid_kernel_poly_degree, settings.kid_kernel_poly_coef0
    gamma = settings.kid_kernel_poly_gamma
    if (degree, gamma, coef0) == (3, None, 1):
        return (), "poly3"
    scale = () if gamma is None else (("gamma", gamma),)
    written = f"poly{degree:g}-coef{coef0:g}" + ("" if gamma is None else f"-gamma{gamma:g}")
    return (("degree", degree), ("coef0", coef0), *scale), written


def _prc(settings: Settings) -> MetricInfo:
    k = _positive("prc_neighborhood", settings.prc_neighborhood)
    return replace(METRICS.get("prc"), settings=(("k", k), ("inclusive", 1)), estimator=f"k{k}-inclusive")


def _mind(settings: Settings) -> MetricInfo:
    number = _positive("mind_num_projections", settings.mind_num_projections)
    return replace(
        METRICS.get("mind"), settings=(("num_projections", number),), estimator=f"sliced-w2-{number}-subsampled"
    )


_DESCRIBED: Mapping[str, Callable[[Settings], MetricInfo]] = {
    "isc": _isc,
    "fid": _fid,
    "kid": _kid,
    "prc": _prc,
    "mind": _mind,
}


def _positive(name: str, value: int) -> int:
    if value < 1:
        raise UsageError(f"{name} {value}: expected at least 1")
    return value
