"""Moments of each of a few blocks of the samples, from which a figure without each of them can be had."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from genmetrics.accumulators.base import Accumulator, check_finite, check_same
from genmetrics.accumulators.moments import Moments

__all__ = ["NUM_BLOCKS", "BlockMoments", "block_of"]

#: Enough for an error bar whose own error is a quarter of it, and few enough to keep.
NUM_BLOCKS = 10
#: So many rows of a block are folded in at once on a CPU, where few rows cost as much as many.
_AT_ONCE = 256
# Of Knuth's multiplicative hash; the bits above these are well mixed.
_MULTIPLIER, _SHIFT = 0x9E3779B1, 16


def block_of(indices: Int64[Tensor, " n"], num_blocks: int = NUM_BLOCKS) -> Int64[Tensor, " n"]:
    """The block of each sample, a function of its index alone.

    Of every ``num_blocks`` indices in a row each is in another block, and which is in which changes from one row to the
    next without a pattern, so that images whose classes come in turn do not fill a block each.

    Args:
        indices: (n,) not negative.
        num_blocks: how many.
    """
    run, place = indices // num_blocks, indices % num_blocks
    turn = ((run + 1) * _MULTIPLIER % 2**32) >> _SHIFT
    return (place + turn) % num_blocks


class BlockMoments(Accumulator):
    """A ``Moments`` for each block of the samples.

    Attributes:
        width: of the feature.
        num_blocks: how many blocks there are.
    """

    def __init__(self, width: int, num_blocks: int = NUM_BLOCKS) -> None:
        self.width = width
        self.num_blocks = num_blocks
        self.num_samples = 0
        self._blocks = [Moments(width) for _ in range(num_blocks)]
        # Count, Σq, Σq² and Σ q·x of all samples, with q = |x|²; None if a file does not have them.
        self._lengths: Tensor | None = torch.zeros(width + 3, dtype=torch.float64)
        # On a CPU: rows and their indices that wait until there are enough of their block.
        self._waiting: list[list[tuple[Tensor, Tensor]]] = [[] for _ in range(num_blocks)]

    @torch.inference_mode(
        mode=False
    )  # what is made here is changed in place by later calls, which may be outside of it
    def update(self, values: Tensor, indices: Int64[Tensor, " n"]) -> None:
        """Feed (n, d) features of any floating dtype.

        Raises:
            StatisticsError: if a value is NaN or infinite.
        """
        check_same("feature width", self.width, values.shape[1])
        on_cpu = values.device.type == "cpu"
        if on_cpu:
            check_finite(values, indices)
        if self._lengths is not None and len(values):
            self._lengths = self._lengths.to(values.device) + _sums_of_lengths(values.detach().to(torch.float64))
        numbers = indices.to("cpu", torch.int64)
        block = block_of(numbers, self.num_blocks)
        order = torch.argsort(block, stable=True)
        rows, numbers = values.detach()[order.to(values.device)], numbers[order]
        start = 0
        for place, count in enumerate(torch.bincount(block, minlength=self.num_blocks).tolist()):
            part = slice(start, start + count)
            start += count
            if not count:
                continue
            if not on_cpu:
                self._blocks[place].update(rows[part], numbers[part])
                continue
            waiting = self._waiting[place]
            waiting.append((rows[part].clone(), numbers[part]))
            if sum(len(some) for some, _ in waiting) >= _AT_ONCE:
                self._fold(place)
        self.num_samples += values.shape[0]

    def settle(self) -> None:
        """Wait for a device that still works on what was fed."""
        for block in self._blocks:
            block.settle()

    def merge(self, other: BlockMoments) -> BlockMoments:
        """The moments of both sample sets, block by block, on the CPU."""
        check_same("feature width", self.width, other.width)
        check_same("number of blocks", self.num_blocks, other.num_blocks)
        merged = BlockMoments(self.width, self.num_blocks)
        merged._blocks = [ours.merge(theirs) for ours, theirs in zip(self.blocks(), other.blocks(), strict=True)]
        merged.num_samples = self.num_samples + other.num_samples
        merged._lengths = None
        if self._lengths is not None and other._lengths is not None:
            merged._lengths = self._lengths.cpu() + other._lengths.cpu()
        return merged

    def state(self) -> dict[str, Tensor]:
        """``num_blocks``, and of block b its moments under ``b.``, of a covariance one half, and rows that wait.

        ``lengths``, (d + 3,) float64, are sums over all samples, see ``tail_weight``.
        """
        self.settle()
        state = {"num_blocks": torch.tensor(self.num_blocks)}
        for place, (block, waiting) in enumerate(zip(self._blocks, self._waiting, strict=True)):
            for name, value in block.state().items():
                state[f"{place}.{name}"] = value if name != "m2" else value[_half(self.width)]
            if waiting:
                state[f"{place}.waiting"] = torch.cat([rows for rows, _ in waiting])
                state[f"{place}.numbers"] = torch.cat([numbers for _, numbers in waiting])
        state["width"] = torch.tensor(self.width)
        if self._lengths is not None:
            state["lengths"] = self._lengths.cpu().clone()
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> BlockMoments:
        """The accumulator whose ``state()`` this is."""
        moments = cls(int(state["width"]), int(state["num_blocks"]))
        for place in range(moments.num_blocks):
            prefix = f"{place}."
            held = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
            waiting, numbers = held.pop("waiting", None), held.pop("numbers", None)
            if "m2" in held:
                held["m2"] = _whole(held["m2"], moments.width)
            moments._blocks[place] = Moments.from_state(held)
            if waiting is not None and numbers is not None:
                check_finite(waiting, numbers)
                moments._waiting[place].append((waiting.clone(), numbers.clone()))
                moments.num_samples += len(waiting)
            moments.num_samples += moments._blocks[place].num_samples
        moments._lengths = state["lengths"].clone() if "lengths" in state else None
        return moments

    def blocks(self) -> list[Moments]:
        """The moments of each block, to be read only."""
        self.settle()
        found = []
        for place, waiting in enumerate(self._waiting):
            if not waiting:
                found.append(self._blocks[place])
                continue
            # A copy: what waits goes on waiting, so that reading changes nothing of what is fed later.
            rest = Moments(self.width)
            rows, numbers = zip(*waiting, strict=True)
            rest.update(torch.cat(rows), torch.cat(numbers))  # at once: the same bits however they came
            found.append(self._blocks[place].merge(rest))
        return found

    def without_each(self) -> list[Moments]:
        """The moments of all samples but those of one block, for each block that has any."""
        blocks = [block for block in self.blocks() if block.num_samples]
        if all(block.keeps_rows for block in blocks) and self.num_samples <= self.width:
            return [_together(blocks[:place] + blocks[place + 1 :]) for place in range(len(blocks))]
        whole = _together(blocks)
        return [whole.without(block) for block in blocks]

    def tail_weight(self) -> float | None:
        """E|x − μ|⁴ of the samples over that of a Gaussian of their covariance, (tr Σ)² + 2 tr Σ².

        1 of Gaussian samples; the larger it is, the more of the covariance is made up by few samples that lie far out.
        None if it is not known, as of a file that has not the sums for it, or of fewer than two samples.

        Source: as Mardia 1970 (kurtosis of several dimensions), with distances in feature units.
        """
        if self._lengths is None or self.num_samples < 2:
            return None
        whole = _together([block for block in self.blocks() if block.num_samples])
        mean, sigma = whole.mean().cpu(), whole.covariance().cpu()
        # |x − μ|² = q − 2 μ·x + |μ|², whose variance and mean give its square.
        count, total, squares, *_ = self._lengths.tolist()
        with_rows = (self._lengths.cpu()[3:] - mean * total) / (count - 1)
        variance = (squares - total**2 / count) / (count - 1) + 4 * float(mean @ sigma @ mean - mean @ with_rows)
        typical = float(sigma.trace()) ** 2
        gaussian = typical + 2 * float(sigma.square().sum())
        return (max(0.0, variance) + typical) / gaussian if gaussian > 0 else 1.0

    def _fold(self, place: int) -> None:
        rows, numbers = zip(*self._waiting[place], strict=True)
        self._waiting[place] = []
        self._blocks[place].update(torch.cat(rows), torch.cat(numbers))


def _sums_of_lengths(rows: Float64[Tensor, "n d"]) -> Float64[Tensor, " k"]:
    lengths = rows.square().sum(dim=1)
    sums = torch.stack((torch.ones_like(lengths).sum(), lengths.sum(), lengths.square().sum()))
    return torch.cat((sums, lengths @ rows))


def _together(blocks: list[Moments]) -> Moments:
    whole = blocks[0]
    for block in blocks[1:]:
        whole = whole.merge(block)
    return whole


def _half(width: int) -> Tensor:
    """Where a (d, d) matrix has its diagonal and what is below."""
    return torch.ones((width, width), dtype=torch.bool).tril()


def _whole(half: Float64[Tensor, " k"], width: int) -> Float64[Tensor, "d d"]:
    """The symmetric matrix of which this is one half."""
    matrix = torch.zeros((width, width), dtype=torch.float64)
    matrix[_half(width)] = half
    return matrix + matrix.tril(-1).T
