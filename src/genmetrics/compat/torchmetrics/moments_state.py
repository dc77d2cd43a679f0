"""Moments in one tensor of fixed shape, which torchmetrics can gather, stack and hand to a function that merges them.

A state of width d is (d + 2, d) float64. Its last row begins with a number: of n > 0 samples the rows before it are
their centred second moment (d rows) and their mean (one row); of −n, with at most d samples, the first n rows are the
samples themselves, which keeps the case of few samples exact, as ``accumulators.moments.Moments`` does; the rest is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import torch
from jaxtyping import Float64
from torch import Tensor

from genmetrics.accumulators.moments import Moments, fold_rows

__all__ = ["add_samples", "from_sums", "merged", "moments_of", "no_samples", "num_samples", "sums_of"]

State = Float64[Tensor, "d_plus_2 d"]


def no_samples(width: int) -> State:
    """The state of no samples."""
    return torch.zeros((width + 2, width), dtype=torch.float64)


def num_samples(state: State) -> int:
    """How many samples a state is of."""
    return abs(int(state[-1, 0]))


@torch.inference_mode(mode=False)  # what is made here is changed in place by later calls, which may be outside of it
def add_samples(state: State, rows: Float64[Tensor, "n d"]) -> State:
    """The state with more samples; it is changed in place, but one that was made in inference mode.

    Args:
        state: on the device of the rows.
        rows: (n, d) float64.
    """
    if state.is_inference():
        state = state.clone()
    count, width = int(state[-1, 0]), state.shape[1]
    if len(rows) == 0:
        return state
    if count <= 0 and len(rows) - count <= width:
        state[-count : len(rows) - count] = rows
        state[-1, 0] = count - len(rows)
        return state
    mean, m2 = state[-2], state[:-2]
    if count <= 0:
        kept = state[:-count].clone()
        m2.zero_()
        count = fold_rows(mean, m2, 0, kept) if len(kept) else 0
    state[-1, 0] = fold_rows(mean, m2, count, rows)
    return state


@torch.inference_mode(mode=False)
def merged(states: Float64[Tensor, "parts d_plus_2 d"]) -> State:
    """The state of all samples of several, on their device; the same to rounding however samples are shared out."""
    whole = reduce(Moments.merge, [moments_of(state) for state in states.clone()])
    return _state_of(whole).to(states.device)


def moments_of(state: State) -> Moments:
    """What a metric takes.

    Raises:
        StatisticsError: if one of few samples is NaN or infinite.
    """
    count = int(state[-1, 0])
    if count <= 0:
        return Moments.from_state({"count": torch.tensor(-count), "rows": state[:-count]})
    return Moments.from_state({"count": torch.tensor(count), "mean": state[-2], "m2": state[:-2]})


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
        state[:-2] = products.double() - count * torch.outer(mean, mean)
        state[-2] = mean
        state[-1, 0] = count
    return state


def sums_of(state: State) -> dict[str, Tensor]:
    """Σ x, Σ x xᵀ and the number of samples, by torchmetrics' names for them."""
    count = int(state[-1, 0])
    number = torch.tensor(abs(count), device=state.device)
    if count <= 0:
        rows = state[:-count]
        return {"sum": rows.sum(dim=0), "cov_sum": rows.T @ rows, "num_samples": number}
    mean, m2 = state[-2], state[:-2]
    return {"sum": count * mean, "cov_sum": m2 + count * torch.outer(mean, mean), "num_samples": number}


def _state_of(moments: Moments) -> State:
    parts: Mapping[str, Tensor] = moments.state()
    state = no_samples(moments.width)
    if "rows" in parts:
        state[: moments.num_samples] = parts["rows"]
        state[-1, 0] = -moments.num_samples
        return state
    state[:-2], state[-2] = parts["m2"], parts["mean"]
    state[-1, 0] = moments.num_samples
    return state
