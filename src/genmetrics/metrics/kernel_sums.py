"""Sums of a kernel over all pairs of samples, tile by tile: the matrix of all pairs is never in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float32, Float64
from torch import Tensor

__all__ = ["Kernel", "float64_tiles", "sums_between", "sums_within", "tile_size"]

#: From (n, d) and (m, d) float64 samples to their (n, m) kernel values; it may change neither.
Kernel = Callable[[Tensor, Tensor], Tensor]

# Large enough for a matrix product to run at full speed, small enough for its result to stay in a processor's cache.
_TILE = 1000


def sums_within(rows: Float32[Tensor, "n d"], kernel: Kernel) -> Float64[Tensor, " n"]:
    """For each sample the sum of a symmetric kernel over all other samples of its set.

    Args:
        rows: (n, d) of any floating dtype.
        kernel: symmetric in its arguments; each pair is computed once.

    Returns:
        (n,) float64; a sample's kernel with itself is left out.
    """
    sums = torch.zeros(rows.shape[0], dtype=torch.float64)
    for here, a in float64_tiles(rows):
        for there, b in float64_tiles(rows[here.start :], here.start):
            values = kernel(a, b)
            if here.start == there.start:
                values.fill_diagonal_(0.0)
                sums[here] += values.sum(dim=1)
            else:
                sums[here] += values.sum(dim=1)
                sums[there] += values.sum(dim=0)
    return sums


def sums_between(
    gen: Float32[Tensor, "n d"], ref: Float32[Tensor, "m d"], kernel: Kernel
) -> tuple[Float64[Tensor, " n"], Float64[Tensor, " m"]]:
    """For each sample of one set the sum of a kernel over all samples of the other.

    Args:
        gen: (n, d) of any floating dtype.
        ref: (m, d) likewise.
        kernel: of a sample of ``gen`` and one of ``ref``.

    Returns:
        (n,) and (m,) float64.
    """
    of_gen = torch.zeros(gen.shape[0], dtype=torch.float64)
    of_ref = torch.zeros(ref.shape[0], dtype=torch.float64)
    for here, a in float64_tiles(gen):
        for there, b in float64_tiles(ref):
            values = kernel(a, b)
            of_gen[here] += values.sum(dim=1)
            of_ref[there] += values.sum(dim=0)
    return of_gen, of_ref


def tile_size() -> int:
    """How many rows of either set make a tile."""
    return _TILE


def float64_tiles(rows: Tensor, offset: int = 0) -> Iterator[tuple[slice, Tensor]]:
    """The rows in blocks as float64, each with its place.

    Args:
        rows: (n, d) of any floating dtype.
        offset: added to the places.
    """
    for start in range(0, rows.shape[0], _TILE):
        block = rows[start : start + _TILE]
        yield slice(offset + start, offset + start + block.shape[0]), block.to(torch.float64)
