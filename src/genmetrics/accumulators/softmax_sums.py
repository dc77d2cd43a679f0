"""Sums of class probabilities per split, all that the Inception Score needs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from genmetrics.accumulators.base import Accumulator, check_same
from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.on_device import LateChecks
from genmetrics.devices import sent
from genmetrics.errors import StatisticsError

__all__ = ["IN_ORDER", "SoftmaxSums"]

#: In place of a seed: the samples are not permuted.
IN_ORDER = -1


class SoftmaxSums(Accumulator):
    """Per split the count, Σp (k,) and Σ p·log p of the softmax p of (n, k) logits, in float64.

    The split of a sample is a function of its index, the total and the seed, never of its arrival: the indices
    are permuted by NumPy's ``RandomState(seed)`` and cut into even, contiguous splits. Where the total is not
    known before the pass, the logits are kept until the sums are asked for (4·k bytes a sample), and a
    sample's place among the indices that arrived takes the place of its index.

    With the seed ``IN_ORDER`` the splits are cut from the indices as they are.

    With ``chunk`` there is no permutation: the splits are the consecutive runs of so many indices, the last as long as
    what is left, and ``num_splits`` and ``seed`` are 0.
    """

    def __init__(self, width: int, num_splits: int, seed: int, total: int | None, *, chunk: int = 0) -> None:
        self.width = width
        self.seed = seed
        self.total = total
        self.chunk = chunk
        self.num_splits = -(-(total or 0) // chunk) if chunk else num_splits
        self.num_samples = 0
        self._kept = FeatureBank(width) if total is None else None
        self._splits = None if total is None else self._split_of_each_index(total)
        self._counts = torch.zeros(self.num_splits, dtype=torch.float64)
        self._sums = torch.zeros((self.num_splits, width), dtype=torch.float64)
        self._negentropy = torch.zeros(self.num_splits, dtype=torch.float64)
        self._late = LateChecks()

    @torch.inference_mode(
        mode=False
    )  # what is made here is changed in place by later calls, which may be outside of it
    def update(self, values: Tensor, indices: Int64[Tensor, " n"]) -> None:
        """Feed (n, k) logits of any floating dtype."""
        check_same("number of classes", self.width, values.shape[1])
        if self._kept is not None:
            self._kept.update(values, indices)
        else:
            self._late.begin(values)
            self._late.finite(values, indices)
            self._add(values, indices)
            self._late.end(values)
        self.num_samples += values.shape[0]

    def settle(self) -> None:
        """Wait for a device that still works on what was fed."""
        self._late.settle()
        if self._kept is not None:
            self._kept.settle()

    def merge(self, other: SoftmaxSums) -> SoftmaxSums:
        """The sums over both sample sets."""
        for name in ("width", "num_splits", "seed", "total", "chunk"):
            check_same(name, getattr(self, name), getattr(other, name))
        self.settle()
        other.settle()
        merged = SoftmaxSums(self.width, self.num_splits, self.seed, self.total, chunk=self.chunk)
        merged.num_samples = self.num_samples + other.num_samples
        if self._kept is not None and other._kept is not None:
            merged._kept = self._kept.merge(other._kept)
        merged._counts = self._counts + other._counts
        merged._sums = self._sums.cpu() + other._sums.cpu()
        merged._negentropy = self._negentropy.cpu() + other._negentropy.cpu()
        return merged

    def state(self) -> dict[str, Tensor]:
        """``setting`` (num_splits, seed, total or -1, width, and of chunks their size), then the sums or the logits."""
        setting = self.setting()
        if self._kept is not None:
            return {"setting": setting, **self._kept.state()}
        self.settle()
        # Copies: feeding goes on in place.
        return {
            "setting": setting,
            "counts": self._counts.clone(),
            "sums": self._sums.to("cpu", copy=True),
            "negentropy": self._negentropy.to("cpu", copy=True),
        }

    def setting(self) -> Int64[Tensor, " settings"]:
        """What ``state`` has of the settings alone."""
        numbers = [self.num_splits, self.seed, -1 if self.total is None else self.total, self.width]
        return torch.tensor([*numbers, self.chunk] if self.chunk else numbers, dtype=torch.int64)

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> SoftmaxSums:
        """The accumulator whose ``state()`` this is."""
        num_splits, seed, total, width, *chunk = (int(value) for value in state["setting"])
        sums = cls(width, num_splits, seed, None if total < 0 else total, chunk=chunk[0] if chunk else 0)
        if sums._kept is not None:
            sums._kept = FeatureBank.from_state(state)
            sums.num_samples = sums._kept.num_samples
            return sums
        sums._counts = state["counts"].clone()
        sums._sums = state["sums"].clone()
        sums._negentropy = state["negentropy"].clone()
        sums.num_samples = int(sums._counts.sum())
        return sums

    def kept(self) -> FeatureBank | None:
        """The logits themselves, where they are kept: from them any other splits can be made."""
        return self._kept

    def mean_divergences(self) -> Float64[Tensor, " splits"]:
        """The mean over each split of KL(p(y|x) ‖ p(y)), in nats, (splits,) float64.

        Raises:
            StatisticsError: if there are fewer samples than splits, or other than the announced total.
        """
        counts, sums, negentropy = self._filled()
        marginal = sums / counts[:, None]
        divergences: Tensor = negentropy / counts - torch.special.xlogy(marginal, marginal).sum(dim=1)
        return divergences

    def sums(self) -> tuple[Float64[Tensor, " splits"], Float64[Tensor, "splits k"]]:
        """How many samples each split has, and the sum of their probabilities.

        Raises:
            StatisticsError: as ``mean_divergences``.
        """
        counts, sums, _ = self._filled()
        return counts, sums

    def _filled(self) -> tuple[Tensor, Tensor, Tensor]:
        """Counts, Σp and Σ p·log p of every split, on the CPU."""
        least = max(self.num_splits, 1)
        if self.num_samples < least:
            raise StatisticsError(
                f"{self.num_samples} image(s) cannot fill the {least} splits of the Inception Score; "
                f"add images (at least {least}, thousands for a number worth reporting)"
            )
        if self._kept is not None:
            total = self._kept.num_samples
            complete = SoftmaxSums(self.width, self.num_splits, self.seed, total, chunk=self.chunk)
            rows = self._kept.rows()
            for start in range(0, rows.shape[0], 1024):
                block = rows[start : start + 1024]
                complete.update(block, torch.arange(start, start + block.shape[0]))
            return complete._filled()
        if self.num_samples != self.total:
            raise StatisticsError(
                f"{self.num_samples} images arrived where {self.total} were announced; the splits would be uneven"
            )
        self.settle()
        return self._counts, self._sums.cpu(), self._negentropy.cpu()

    def _split_of_each_index(self, total: int) -> Tensor:
        if self.chunk:
            return torch.arange(total) // self.chunk
        return _split_of_index(total, self.num_splits, self.seed)

    def _add(self, values: Tensor, indices: Tensor) -> None:
        assert self._splits is not None
        if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < len(self._splits):
            raise StatisticsError(
                f"image indices {int(indices.min())}..{int(indices.max())} arrived where {len(self._splits)} images "
                "were announced"
            )
        log_p = torch.log_softmax(values.detach().to(torch.float64), dim=1)
        p = log_p.exp()
        if self._sums.device != values.device:
            self._sums, self._negentropy = self._sums.to(values.device), self._negentropy.to(values.device)
        split = self._splits[indices.to("cpu", torch.int64)]
        # One row a split with a one for each of its samples: a product, whose order of sums is fixed on every device.
        belongs = torch.zeros((self.num_splits, len(split)), dtype=torch.float64)
        belongs[split, torch.arange(len(split))] = 1
        self._counts += belongs.sum(dim=1)
        on_device = sent(belongs, values.device)
        self._sums.addmm_(on_device, p)
        self._negentropy.addmv_(on_device, (p * log_p).sum(dim=1))


def _split_of_index(total: int, num_splits: int, seed: int) -> Tensor:
    """The split of each index: place j of the permutation belongs to split s if s·N//S <= j < (s+1)·N//S."""
    bounds = np.arange(1, num_splits + 1) * total // num_splits
    if seed == IN_ORDER:
        return torch.from_numpy(np.searchsorted(bounds, np.arange(total), side="right"))
    order = np.random.RandomState(seed).permutation(total)  # torch-fidelity's generator
    split = np.empty(total, dtype=np.int64)
    split[order] = np.searchsorted(bounds, np.arange(total), side="right")
    return torch.from_numpy(split)
