"""Kernel distance (unbiased squared MMD with a polynomial kernel), averaged over subsets."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.rows import Rows
from genmetrics.metrics import kernel_sums
from genmetrics.metrics.base import Metric, SetStatistics, require_samples, require_subsets
from genmetrics.metrics.kernel_centred import CentredRows, Rest, rest_unit, smooth_between, smooth_within
from genmetrics.metrics.kernel_rounding import rounding_error
from genmetrics.metrics.kernel_sets import CentredSet, Heights, centred_sets
from genmetrics.metrics.mean_error import interval
from genmetrics.precision import computing_at
from genmetrics.types import MetricInfo, MetricResult, Need

__all__ = ["KernelDistance", "distances_of_subsets", "drawn_subsets", "exactly_enough", "kernel_distances"]

_CPU = torch.device("cpu")
#: From so many pairs in a sum on, products are of float32 where that is exact enough.
_MANY_PAIRS = 10**6
#: How far rounding may move a distance: a millionth of its own error, but no more, and no less, than these parts of
#: the kernel.
_OF_ITS_ERROR, _MOST, _LEAST = 1e-6, 1e-10, 1e-12


def kernel_distances(
    gen: Float32[Tensor, "n d"] | Rows,
    ref: Float32[Tensor, "m d"] | Rows,
    num_subsets: int,
    subset_size: int,
    seed: int,
    device: torch.device = _CPU,
) -> Float64[Tensor, " subsets"]:
    """The unbiased squared MMD of each pair of random subsets, kernel (x·y/d + 1)³.

    Subsets are drawn without replacement by NumPy's ``RandomState(seed)``, in turn from the generated and the
    reference set. What must be computed pair by pair is so in float64, but from subsets of 1,000 on in float32 where
    that changes a distance by no more than 1e-12 of the kernel, or a millionth of the spread between subsets and at
    most 1e-10 of the kernel, as measured on a part of the pairs; see ``kernel_rounding``.

    Args:
        gen: (n, d) float32 features, in the order of their images; perhaps spread over processes, which then all
            compute the distances together.
        ref: (m, d) float32 features.
        num_subsets: how many pairs of subsets.
        subset_size: samples in each, at least 2 and at most min(n, m).
        seed: of the draws.
        device: where to compute, with float64.

    Returns:
        (num_subsets,) float64.

    Source: Bińkowski et al. 2018 (arXiv:1801.01401), equation 4.
    Matches: torch-fidelity 0.4.0 to 1e-6 absolute (its kernels are float32), seed and draw order included;
    tests/conformance/test_peers_kernel.py.
    """
    of_gen, of_ref = drawn_subsets(len(gen), len(ref), num_subsets, subset_size, seed)
    return distances_of_subsets(gen, ref, of_gen, of_ref, device)


def drawn_subsets(
    num_gen: int, num_ref: int, num_subsets: int, subset_size: int, seed: int
) -> tuple[Int64[Tensor, "subsets size"], Int64[Tensor, "subsets size"]]:
    """The places in either set of the samples of each pair of subsets.

    Args:
        num_gen: samples of the generated set.
        num_ref: samples of the reference set.
        num_subsets: how many pairs of subsets.
        subset_size: samples in each, at most min(num_gen, num_ref).
        seed: of NumPy's ``RandomState``, from which the two sets' are drawn in turn, without replacement.
    """
    rng = np.random.RandomState(seed)  # torch-fidelity's generator
    draws = [
        tuple(torch.from_numpy(rng.choice(count, subset_size, replace=False)) for count in (num_gen, num_ref))
        for _ in range(num_subsets)
    ]
    return torch.stack([draw[0] for draw in draws]), torch.stack([draw[1] for draw in draws])


def distances_of_subsets(
    gen: Float32[Tensor, "n d"] | Rows,
    ref: Float32[Tensor, "m d"] | Rows,
    of_gen: Int64[Tensor, "subsets size"],
    of_ref: Int64[Tensor, "subsets size"],
    device: torch.device = _CPU,
) -> Float64[Tensor, " subsets"]:
    """The distances of ``kernel_distances`` between subsets that are drawn already.

    Args:
        gen: (n, d) float32 features; perhaps spread over processes, which then all compute the distances together.
        ref: (m, d) float32 features.
        of_gen: the places of the samples of each subset of ``gen``, at least 2.
        of_ref: as many places in ``ref``.
        device: where to compute, with float64.

    Returns:
        (subsets,) float64.
    """
    of_gen, of_ref = of_gen.to(device), of_ref.to(device)
    subset_size = of_gen.shape[1]
    pairs = subset_size * (subset_size - 1)
    a, b = centred_sets(Rows.of(gen), Rows.of(ref), device)
    in_gen, in_ref = a.moments(of_gen), b.moments(of_ref)
    within = smooth_within(in_gen) + smooth_within(in_ref)
    smooth = within / pairs - 2 * smooth_between(in_gen, in_ref) / subset_size**2

    def distances(dtype: torch.dtype) -> Tensor:
        within, between = _rest_sums(a, b, of_gen, of_ref, dtype)
        return smooth + within / pairs - 2 * between / subset_size**2

    with computing_at("exact", device):
        if subset_size**2 >= _MANY_PAIRS:
            found = distances(torch.float32)
            if exactly_enough(a, b, float(found.std(correction=0)), subset_size):
                return found.cpu()
        return distances(torch.float64).cpu()


def exactly_enough(gen: Heights, ref: Heights, spread: float, subset: int | None = None) -> bool:
    """Whether float32 products change a distance by next to nothing, as measured on a part of the pairs.

    Args:
        gen: the generated features.
        ref: the reference features.
        spread: the distance's own error, or its spread.
        subset: how many samples of each side a distance is of; None for all.
    """
    kernel = float(gen.height.mean() + ref.height.mean()) ** 3
    return rounding_error(gen, ref, subset) <= max(_LEAST * kernel, min(_OF_ITS_ERROR * spread, _MOST * kernel))


def _rest_sums(
    a: CentredSet,
    b: CentredSet,
    of_a: Int64[Tensor, "subsets size"],
    of_b: Int64[Tensor, "subsets size"],
    dtype: torch.dtype,
) -> tuple[Float64[Tensor, " subsets"], Float64[Tensor, " subsets"]]:
    """Σ E within each subset, of either set and but of a sample with itself, and between the two of a number."""
    if a.whole is not None and b.whole is not None:
        return _rest_sums_of_whole(a.whole, b.whole, of_a, of_b, dtype)
    # The subsets are shared out; of each all processes give what they hold of it to the one that computes it.
    sums = torch.zeros((len(of_a), 2), dtype=torch.float64, device=a.device)
    for number, (i, j) in enumerate(zip(of_a, of_b, strict=True)):
        x, y = a.take(i), b.take(j)
        if number % a.peers.count == a.peers.index:
            sums[number] = _rest_sum(Rest(x, y, dtype), x, y, torch.arange(len(i)), torch.arange(len(j)), dtype)
    within, between = (a.peers.total(sums) * rest_unit(a.width)).unbind(dim=1)
    return within, between


def _rest_sums_of_whole(
    a: CentredRows,
    b: CentredRows,
    of_a: Int64[Tensor, "subsets size"],
    of_b: Int64[Tensor, "subsets size"],
    dtype: torch.dtype,
) -> tuple[Float64[Tensor, " subsets"], Float64[Tensor, " subsets"]]:
    """The same of sets that this process holds as a whole."""
    pairs = Rest(a, b, dtype)
    if max(len(a.rows), len(b.rows)) ** 2 > of_a.shape[0] * of_a.shape[1] ** 2:
        found = torch.stack([_rest_sum(pairs, a, b, i, j, dtype) for i, j in zip(of_a, of_b, strict=True)])
        within, between = found.unbind(dim=1)
    else:
        within = _shared_rest_sums(Rest(a, a, dtype), a, a, of_a, of_a, dtype)
        within += _shared_rest_sums(Rest(b, b, dtype), b, b, of_b, of_b, dtype)
        between = _shared_rest_sums(pairs, a, b, of_a, of_b, dtype)
    return within * pairs.unit, between * pairs.unit


def _rest_sum(pairs: Rest, a: CentredRows, b: CentredRows, i: Tensor, j: Tensor, dtype: torch.dtype) -> Tensor:
    """Of one subset: within either set, of which the half above the diagonal is enough, and between them."""
    size, strip = kernel_sums.tile_size(), max(1, kernel_sums.tile_size() // 4)
    sides = [
        [(side.about(part, dtype), heights[part]) for part in torch.split(chosen, size)]
        for side, chosen, heights in ((a, i, pairs.heights[0]), (b, j, pairs.heights[1]))
    ]
    within, between = (torch.zeros((), dtype=torch.float64, device=a.device) for _ in range(2))
    for blocks in sides:
        for number, (x, of_x) in enumerate(blocks):
            for start in range(0, len(x), strip):
                rows = slice(start, start + strip)
                values = pairs.of_rows(x[rows], x[start:], of_x[rows], of_x[start:], itself=True)
                within += 2 * _total(values) - _total(values[:, : len(values)])
            for y, of_y in blocks[number + 1 :]:
                within += 2 * _total(pairs.of_rows(x, y, of_x, of_y))
    for x, of_x in sides[0]:
        for y, of_y in sides[1]:
            between += _total(pairs.of_rows(x, y, of_x, of_y))
    return torch.stack((within, between))


def _total(values: Tensor) -> Tensor:
    """In float64, without a copy of it all in that type."""
    return values.sum(dim=1).sum(dtype=torch.float64)


def _shared_rest_sums(
    pairs: Rest, a: CentredRows, b: CentredRows, of_a: Tensor, of_b: Tensor, dtype: torch.dtype
) -> Tensor:
    """Each pair of samples is in many subsets: compute it once, and let membership matrices do the sums."""
    in_a, in_b = (_membership(subsets, len(side.rows), dtype) for subsets, side in ((of_a, a), (of_b, b)))
    total = torch.zeros(of_a.shape[0], dtype=torch.float64, device=a.device)
    for here in a.blocks():
        for there in b.blocks(here.start if a is b else 0):
            itself = a is b and here == there
            sums = ((pairs.tile(here, there, itself=itself) @ in_b[there]) * in_a[here]).sum(dim=0, dtype=torch.float64)
            total += 2 * sums if a is b and not itself else sums
    return total


def _membership(subsets: Tensor, count: int, dtype: torch.dtype) -> Tensor:
    member = torch.zeros((count, subsets.shape[0]), dtype=dtype, device=subsets.device)
    return member.scatter_(0, subsets.T, 1.0)


class KernelDistance(Metric):
    """KID: the mean over subsets, 100 of 1,000 by its protocol, and their spread.

    Where a side is smaller than a subset, subsets are as large as that side, but with the setting ``lowers`` 0.
    """

    higher_is_better = False
    unary = False

    def __init__(self, info: MetricInfo, seed: int) -> None:
        self.id = info.id
        self.seed = seed
        settings = dict(info.settings)
        self.num_subsets, self.subset_size = int(settings["num_subsets"]), int(settings["subset_size"])
        self._lowers = bool(settings.get("lowers", 1))
        self.needs = (Need(info.extractor, info.preprocess, info.feature, "feature_bank"),)
        self.protocol = info.protocol

    def check_sizes(self, num_gen: int | None, num_ref: int | None) -> None:
        """Refuse sets from which no subset can be drawn, where subsets are not to be smaller."""
        if not self._lowers:
            require_subsets(self.id, self.subset_size, num_gen, num_ref)

    def compute(self, gen: SetStatistics, ref: SetStatistics | None) -> MetricResult:
        """The mean over subsets; ``std`` is the subsets' population spread, not an error bar."""
        assert ref is not None
        features = [cast(FeatureBank, side.get(self.needs[0])).in_panels() for side in (gen, ref)]
        require_samples(self.id, 2, len(features[0]), len(features[1]))
        self.check_sizes(len(features[0]), len(features[1]))
        size = min(self.subset_size, *map(len, features))
        distances = kernel_distances(features[0], features[1], self.num_subsets, size, self.seed, self.device)
        value = float(distances.mean())
        std = float(distances.std(correction=0))
        protocol, warnings = self.protocol, tuple[str, ...]()
        if size < self.subset_size:
            protocol = replace(protocol, estimator=f"poly3-{self.num_subsets}x{size}")
            warnings = (
                f"subset size lowered from {self.subset_size} to {size}, the size of the smaller side; the mean "
                "stays unbiased, the spread between subsets is another",
            )
        extra = {"std": std, "num_subsets": self.num_subsets, "subset_size": size}
        return MetricResult(self.id, value, extra, protocol, warnings)

    def error_cost(self, gen: SetStatistics, ref: SetStatistics | None) -> float:
        """All pairs of images, in parts of the pairs that the subsets took."""
        assert ref is not None
        n, m = (cast(FeatureBank, side.get(self.needs[0])).num_samples for side in (gen, ref))
        size = min(self.subset_size, n, m)
        every = (n * n + m * m) / 2 + n * m
        # Where subsets take more pairs than there are, each pair is computed once for all of them.
        return every / min(every, 2 * self.num_subsets * size * size)

    def with_error(self, result: MetricResult, gen: SetStatistics, ref: SetStatistics | None) -> MetricResult:
        """The standard error of the mean over subsets, over the draw of both sets and of the subsets.

        Given the images, subsets are drawn independently, about the estimate of all pairs of images. The variance is
        therefore that of this estimate, by the jackknife of ``full_kernel_distance``, and that of the subsets divided
        by their number. Sets of fewer than three images have none.
        """
        from genmetrics.metrics.kernel_full import full_kernel_distance  # which is made of this module's parts

        assert ref is not None
        features = [cast(FeatureBank, side.get(self.needs[0])).in_panels() for side in (gen, ref)]
        least = min(map(len, features))
        if least < 3:
            return result
        of_all = full_kernel_distance(features[0], features[1], self.device).se
        se = math.hypot(of_all, float(result.extra["std"]) / math.sqrt(self.num_subsets))
        return replace(result, extra={**result.extra, **interval(result.value, se, float(least - 1))})
