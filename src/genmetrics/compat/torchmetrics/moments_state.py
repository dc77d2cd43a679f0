"""Moments in one tensor of fixed shape, which torchmetrics can gather, stack and hand to a function that merges them.

A state of width d is (d + 3, d) float64. Its last row begins with a number: of n > 0 samples the first rows are their
centred second moment (d rows) and their mean (one row); of −n, with at most d samples, the first n rows are the samples
themselves, which keeps the case of few samples exact, as ``accumulators.moments.Moments`` does; the rest is 0. The last
row but one begins with the type that the features had, as its place in ``TYPES`` from 1 on; 0 where nothing came.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

from genmetrics.accumulators.moments import Moments, fold_rows
from genmetrics.compat.torchmetrics.rows_state import TYPES

__all__ = ["add_samples", "features_type", "from_sums", "merged", "moments_of", "no_samples", "num_samples", "sums_of"]

State = Float64[Tensor, "d_plus_3 d"]


def no_samples(width: int) -> State:
    """The state of no samples."""
    return torch.zeros((width + 3, width), dtype=torch.float64)


def num_samples(state: State) -> int:
    """How many samples a state is of."""
    return abs(int(state[-1, 0]))


def features_type(*states: State) -> torch.dtype:
    """The type that the features of states had, the widest of them."""
    code = max(int(state[-2, 0]) for state in states)
    return TYPES[code - 1] if code else torch.float32


@torch.inference_mode(mode=False)  # what is made here is changed in place by later calls, which may be outside of it
def add_samples(state: State, features: Shaped[Tensor, "n d"]) -> State:
    """The state with more samples; it is changed in place, but one that was made in inference mode.

    Args:
        state: of the same width.
        features: (n, d) of any type.
    """
    if state.is_inference():
        state = state.clone()
    count, width = int(state[-1, 0]), state.shape[1]
    if len(features) == 0:
        return state
    rows = features.to(state.device, torch.float64)
    if features.dtype in TYPES:
        state[-2, 0].clamp_(min=TYPES.index(features.dtype) + 1)
    if count <= 0 and len(rows) - count <= width:
        state[-count : len(rows) - count] = rows
        state[-1, 0] = count - len(rows)
        return state
    mean, m2 = state[-3], state[:-3]
    if count <= 0:
        kept = state[:-count].clone()
        m2.zero_()
        count = fold_rows(mean, m2, 0, kept) if len(kept) else 0
    state[-1, 0] = fold_rows(mean, m2, count, rows)
    return state


@torch.inference_mode(mode=False)
def merged(states: Float64[Tensor, "parts d_plus_3 d"]) -> State:
    """The state of all samples of several, on their device; the same to rounding however samples are shared out."""
    whole = _state_of(reduce(Moments.merge, [moments_of(state) for state in states.clone()])).to(states.device)
    whole[-2, 0] = states[:, -2, 0].max()
    return whole


def moments_of(state: State) -> Moments:
    """What a metric takes.

    Raises:
        StatisticsError: if one of few samples is NaN or infinite.
    """
    count = int(state[-1, 0])
    if count <= 0:
        return Moments.from_state({"count": torch.tensor(-count), "rows": state[:-count]})
    return Moments.from_state({"count": torch.tensor(count), "mean": state[-3], "m2": state[:-3]})


def from_sums(total: Float64[Tensor, " d"], products: Float64[Tensor, "d d"], count: int) -> State:
    """The state of torchmetrics' own sums.

    Args:
        total: Σ x.
        products: Σ x xᵀ.
        count: how many samples.
    """
    state = no_samples(len(total)).to(total.device)
    if count > 0:
        mean = total.double() / count
        state[:-3] = products.double() - count * torch.outer(mean, mean)
        state[-3] = mean
        state[-1, 0] = count
    return state


def sums_of(state: State) -> dict[str, Tensor]:
    """Σ x, Σ x xᵀ and the number of samples, by torchmetrics' names for them."""
    count = int(state[-1, 0])
    number = torch.tensor(abs(count), device=state.device)
    if count <= 0:
        rows = state[:-count]
        return {"sum": rows.sum(dim=0), "cov_sum": rows.T @ rows, "num_samples": number}
    mean, m2 = state[-3], state[:-3]
    return {"sum": count * mean, "cov_sum": m2 + count * torch.outer(mean, mean), "num_samples": number}


def _state_of(moments: Moments) -> State:
    parts: Mapping[str, Tensor] = moments.state()
    state = no_samples(moments.width)
    if "rows" in parts:
        state[: moments.num_samples] = parts["rows"]
        state[-1, 0] = -moments.num_samples
        return state
    state[:-3], state[-3] = parts["m2"], parts["mean"]
    state[-1, 0] = moments.num_samples
    return state
