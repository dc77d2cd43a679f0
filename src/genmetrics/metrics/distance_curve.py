"""A Fréchet distance against the number of generated images, and where it goes with more of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import torch

from genmetrics.accumulators.block_moments import BlockMoments
from genmetrics.accumulators.moments import Moments
from genmetrics.metrics.frechet import frechet_distance, jackknife_holds
from genmetrics.metrics.jackknife import Jackknife, jackknife

__all__ = ["DistanceCurve", "distance_curve"]

_CPU = torch.device("cpu")
#: Of so many tenths of the blocks the distance is computed, each twice, from blocks as far apart as can be.
_TENTHS = (1, 2, 3, 4, 5, 7)
_ROTATIONS = 2
#: Of fewer samples there is no covariance.
_LEAST = 2


@dataclass(frozen=True)
class DistanceCurve:
    """The distance of parts of the generated set, and of all of it.

    Attributes:
        sizes: of the parts, ascending; the last is the whole set.
        values: the mean distance of the parts of that size.
        low: the least of them.
        high: the largest.
        limit: the distance of infinitely many images with its 95 % interval; None where it cannot be told,
            see ``jackknife_holds``.
    """

    sizes: tuple[int, ...]
    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    limit: Jackknife | None

    @property
    def slope(self) -> float | None:
        """The distance of n images is about limit + slope / n; None where there is no limit."""
        return None if self.limit is None else (self.values[-1] - self.limit.debiased) * self.sizes[-1]


def distance_curve(
    blocks: BlockMoments,
    ref: Moments,
    value: float,
    replicates: Sequence[float] = (),
    device: torch.device = _CPU,
) -> DistanceCurve:
    """The Fréchet distance of unions of the generated set's blocks, against the reference as it is.

    Every size but the largest is there twice, from blocks that lie apart. Where a jackknife holds there is a limit,
    that of the generated side alone, whose bias falls as 1/n. At most 12 distances are computed, and one more for each
    block where there is a limit and ``replicates`` are not given.

    Args:
        blocks: the moments of each block of the generated features.
        ref: moments of the reference features, of the same width.
        value: the distance of all generated samples.
        replicates: the distances without one block each, in the blocks' order; empty where they are not known yet.
        device: where to compute, with float64.

    Source: Quenouille 1956; see ``jackknife``. Chong and Forsyth 2020 (arXiv:1911.07023) for the bias in 1/n.
    """
    held = [block for block in blocks.blocks() if block.num_samples]
    found: dict[int, list[float]] = {}
    for parts in _unions(len(held)):
        union = reduce(Moments.merge, (held[place] for place in parts[1:]), held[parts[0]])
        if union.num_samples >= _LEAST:
            found.setdefault(len(parts), []).append(frechet_distance(union, ref, device))
    limit = None
    if jackknife_holds(blocks):
        known = tuple(replicates) or tuple(frechet_distance(rest, ref, device) for rest in blocks.without_each())
        limit = jackknife(value, {"gen": known})
        found[len(held) - 1] = list(known)
    found[len(held)] = [value]
    # Blocks are of equal size but for one image; a part of so many of them has so many images, rounded.
    sizes = {count: round(blocks.num_samples * count / len(held)) for count in sorted(found)}
    return DistanceCurve(
        tuple(sizes.values()),
        tuple(sum(found[count]) / len(found[count]) for count in sizes),
        tuple(min(found[count]) for count in sizes),
        tuple(max(found[count]) for count in sizes),
        limit,
    )


def _unions(num_blocks: int) -> Iterator[list[int]]:
    """Which blocks make a part, for each part."""
    counts = dict.fromkeys(tenths * num_blocks // 10 for tenths in _TENTHS)
    for count in counts:
        if 0 < count < num_blocks:
            for turn in range(_ROTATIONS):
                first = turn * num_blocks // _ROTATIONS
                yield [(first + place) % num_blocks for place in range(count)]
