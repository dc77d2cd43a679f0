"""Sums of a kernel over all pairs of samples, tile by tile: the matrix of all pairs is never in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float32, Float64
from torch import Tensor

__all__ = ["Kernel", "Prepare", "sums_between", "sums_within", "tile_size"]

#: From (n, d) and (m, d) float64 samples to their (n, m) kernel values; it may change neither.
Kernel = Callable[[Tensor, Tensor], Tensor]
#: From (n, d) float64 samples to what the kernel takes of them, once for a tile and not for each pair of tiles.
Prepare = Callable[[Tensor], Tensor]

_CPU = torch.device("cpu")
# Large enough for a matrix product to run at full speed, small enough for its result to stay in a processor's cache.
_TILE = 1000


def sums_within(
    rows: Float32[Tensor, "n d"], kernel: Kernel, prepare: Prepare, device: torch.device = _CPU
) -> Float64[Tensor, " n"]:
    """For each sample the sum of a symmetric kernel over all other samples of its set.

    Args:
        rows: (n, d) of any floating dtype.
        kernel: symmetric in its arguments; each pair is computed once.
        prepare: of the samples, before the kernel.
        device: where to compute, with float64.

    Returns:
        (n,) float64; a sample's kernel with itself is left out.
    """
    sums = torch.zeros(rows.shape[0], dtype=torch.float64, device=device)
    for here in _tiles(rows):
        a = prepare(rows[here].to(device, torch.float64))
        sums[here] += kernel(a, a).fill_diagonal_(0.0).sum(dim=1)
        for there in _tiles(rows, here.stop):
            values = kernel(a, prepare(rows[there].to(device, torch.float64)))
            sums[here] += values.sum(dim=1)
            sums[there] += values.sum(dim=0)
    return sums


def sums_between(
    gen: Float32[Tensor, "n d"],
    ref: Float32[Tensor, "m d"],
    kernel: Kernel,
    prepare: Prepare,
    device: torch.device = _CPU,
) -> tuple[Float64[Tensor, " n"], Float64[Tensor, " m"]]:
    """For each sample of one set the sum of a kernel over all samples of the other.

    Args:
        gen: (n, d) of any floating dtype.
        ref: (m, d) likewise.
        kernel: of a sample of ``gen`` and one of ``ref``.
        prepare: of the samples, before the kernel.
        device: where to compute, with float64.

    Returns:
        (n,) and (m,) float64.
    """
    of_gen, of_ref = (torch.zeros(side.shape[0], dtype=torch.float64, device=device) for side in (gen, ref))
    for here in _tiles(gen):
        a = prepare(gen[here].to(device, torch.float64))
        for there in _tiles(ref):
            values = kernel(a, prepare(ref[there].to(device, torch.float64)))
            of_gen[here] += values.sum(dim=1)
            of_ref[there] += values.sum(dim=0)
    return of_gen, of_ref


def tile_size() -> int:
    """How many rows of either set make a tile."""
    return _TILE


def _tiles(rows: Tensor, start: int = 0) -> Iterator[slice]:
    return (slice(begin, min(begin + _TILE, len(rows))) for begin in range(start, len(rows), _TILE))
