"""CMMD: the squared MMD of unit-norm embeddings under a wide Gaussian kernel, exact and from second moments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

from genmetrics.accumulators.base import find_zero, refuse_zero
from genmetrics.accumulators.block_moments import block_of
from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.moments import Moments
from genmetrics.accumulators.rows import Rows, pairs_between
from genmetrics.linalg import unit_rows
from genmetrics.metrics.base import Metric, SetStatistics, require_samples
from genmetrics.metrics.kernel_sums import sums_between, sums_within
from genmetrics.metrics.mean_error import interval
from genmetrics.metrics.two_sample import SampleSums, blocks_of, jackknife_error, without_each
from genmetrics.types import MetricInfo, MetricResult, Need, Stage

__all__ = [
    "CMMD",
    "ClipDistance",
    "ClipJackknife",
    "StreamingCMMD",
    "StreamingClipDistance",
    "clip_distance",
    "clip_jackknife",
    "streaming_clip_distance",
]

_CPU = torch.device("cpu")
_SIGMA, _SCALE = 10.0, 1000.0
_WIDTH = _SIGMA**2
#: What the squared norms of unit vectors leave of the kernel: k(x, y) = _FACTOR · exp(x·y/σ²).
_FACTOR = math.exp(-1 / _WIDTH)


class ClipDistance(NamedTuple):
    """The published estimate, which counts each sample with itself, and the one without."""

    biased: float
    unbiased: float


@dataclass(frozen=True)
class ClipJackknife:
    """Both estimates, and how sure the unbiased one is.

    Attributes:
        biased: the published estimate.
        unbiased: the one without each sample's kernel with itself.
        se: its standard error; to 1/n that of the published one too.
        degrees: the degrees of freedom of that error.
        without_gen: the unbiased estimate without each block of generated samples; empty where fewer than two are left.
        without_ref: likewise of the reference.
    """

    biased: float
    unbiased: float
    se: float
    degrees: float
    without_gen: tuple[float, ...]
    without_ref: tuple[float, ...]


class StreamingClipDistance(NamedTuple):
    """The distance up to second order, its first-order term, and how much the higher orders can add at most."""

    value: float
    mean_term: float
    max_error: float


def clip_distance(
    gen: Float32[Tensor, "n d"] | Rows, ref: Float32[Tensor, "m d"] | Rows, device: torch.device = _CPU
) -> ClipDistance:
    """1000 · (mean k(x, x') + mean k(y, y') − 2 mean k(x, y)) of unit-norm embeddings, k = exp(−|x − y|²/200).

    Rows are brought to unit norm in float64, where k − 1 = expm1((x·y − 1)/100). The ones cancel in the sum, so that
    no digit is lost although all kernel values lie between 0.98 and 1.

    Args:
        gen: (n, d) float32 embeddings, n >= 2, no row zero; perhaps spread over processes, which then all compute it
            together.
        ref: (m, d) float32 embeddings, m >= 2.
        device: where to compute, with float64.

    Source: Jayasumana et al. 2024 (arXiv:2401.09603), section 4; the biased estimate, which is what is published.
    Matches: google-research's cmmd, transcribed in float64, and clip-mmd 0.0.2 in float64 to 1e-9 absolute, in its
    float32 to 1e-3; tests/conformance/test_peers_cmmd.py.
    """
    found = _distance(gen, ref, None, device)
    return ClipDistance(found.biased, found.unbiased)


def clip_jackknife(
    gen: Float32[Tensor, "n d"] | Rows,
    ref: Float32[Tensor, "m d"] | Rows,
    blocks: tuple[Int64[Tensor, " n"], Int64[Tensor, " m"]],
    device: torch.device = _CPU,
) -> ClipJackknife:
    """The distance of ``clip_distance``, and the error of the unbiased one, of which nothing costs more but the blocks.

    Args:
        gen: (n, d) float32 embeddings, n >= 3, as there.
        ref: (m, d) float32 embeddings, m >= 3.
        blocks: of each sample of either set the number of its block.
        device: where to compute, with float64.

    Source: as there; the error by Arvesen 1969, and Künsch 1989 for blocks of samples.
    Matches: literal recomputation without each sample and each block to 1e-9; tests/metrics/test_cmmd_errors.py.
    """
    return _distance(gen, ref, blocks, device)


def _distance(
    gen: Tensor | Rows, ref: Tensor | Rows, blocks: tuple[Tensor, Tensor] | None, device: torch.device
) -> ClipJackknife:
    a, b = Rows.of(gen), Rows.of(ref)
    a, b = a.shared_with(b), b.shared_with(a)
    n, m = len(a), len(b)
    within = [_within(side, device) for side in (a, b)]
    between = [torch.zeros(len(side), dtype=torch.float64, device=device) for side in (a, b)]
    for here, x, there, y in pairs_between(a, b):
        of_x, of_y = sums_between(x, y, _kernel, _unit, device)
        between[0][here.where] += of_x
        between[1][there.where] += of_y
    sides = [
        SampleSums(a.peers.total(own), a.peers.total(across), others)
        for own, across, others in zip(within, between, (m, n), strict=True)
    ]
    of_gen, of_ref = (float(side.within.sum()) for side in sides)
    cross = float(sides[0].between.sum()) * 2 / (n * m)
    # A sample's kernel with itself is one, so that it adds nothing here.
    biased = of_gen / n**2 + of_ref / m**2 - cross
    own = of_gen / (n * (n - 1)), of_ref / (m * (m - 1))
    unbiased = own[0] + own[1] - cross
    if blocks is None:
        return ClipJackknife(_SCALE * biased, _SCALE * unbiased, 0.0, 0.0, (), ())
    se, degrees = jackknife_error(*sides)
    without = [
        without_each(sums, chosen, _inner(side, chosen, device), rest)
        for side, sums, chosen, rest in zip((a, b), sides, map(blocks_of, blocks), (own[1], own[0]), strict=True)
    ]
    scaled = [tuple(_SCALE * value for value in values) for values in without]
    return ClipJackknife(_SCALE * biased, _SCALE * unbiased, _SCALE * se, degrees, scaled[0], scaled[1])


def _within(side: Rows, device: torch.device) -> Float64[Tensor, " n"]:
    """For each sample the sum over the others of its set, as far as this process has to see to it."""
    sums = torch.zeros(len(side), dtype=torch.float64, device=device)
    for here, x, there, y in side.pairs():
        if here == there:
            sums[here.where] += sums_within(x, _kernel, _unit, device)
            continue
        of_x, of_y = sums_between(x, y, _kernel, _unit, device)
        sums[here.where] += of_x
        sums[there.where] += of_y
    return sums


def _inner(side: Rows, chosen: Sequence[Tensor], device: torch.device) -> Float64[Tensor, " blocks"]:
    """The sum over the ordered pairs of different samples of each block."""
    sums = torch.zeros(len(chosen), dtype=torch.float64, device=device)
    for number, places in enumerate(chosen):
        rows = side.take(places)
        if number % side.peers.count == side.peers.index:
            sums[number] = sums_within(rows, _kernel, _unit, device).sum()
    total: Tensor = side.peers.total(sums)
    return total


def _kernel(x: Float64[Tensor, "n d"], y: Float64[Tensor, "m d"]) -> Float64[Tensor, "n m"]:
    return (x @ y.T).sub_(1.0).div_(_WIDTH).expm1_()


def _unit(rows: Float64[Tensor, "n d"]) -> Float64[Tensor, "n d"]:
    return unit_rows(rows, zeros="refuse")


def streaming_clip_distance(gen: Moments, ref: Moments) -> StreamingClipDistance:
    """CMMD up to second order from the mean and second moment of unit-norm embeddings, with a bound on the rest.

    With k(x, y) = e^{−1/σ²} Σ_k (x·y/σ²)^k/k! the distance is

        1000 e^{−1/σ²} Σ_{k≥1} |T_k(X) − T_k(Y)|² / (σ^{2k} k!),

    where T_k is the mean of the k-fold tensor power of the rows: T_1 their mean, T_2 their second moment. No term is
    negative, so the sum of the first two is a lower bound; as no T_k is longer than 1, the others add at most
    1000 e^{−1/σ²} Σ_{k≥3} 4/(σ^{2k} k!) = 0.00066.

    Args:
        gen: moments of the generated embeddings, each of unit norm.
        ref: moments of the reference embeddings.

    Source: the definition of Jayasumana et al. 2024 (arXiv:2401.09603); the expansion is ours.
    Matches: the exact distance from below within ``max_error``; tests/metrics/test_cmmd.py.
    """
    shift = float((gen.mean().cpu() - ref.mean().cpu()).square().sum())
    spread = float((gen.second_moment().cpu() - ref.second_moment().cpu()).square().sum())
    mean_term = _SCALE * _FACTOR * shift / _WIDTH
    rest = math.expm1(1 / _WIDTH) - 1 / _WIDTH - 1 / (2 * _WIDTH**2)
    return StreamingClipDistance(
        mean_term + _SCALE * _FACTOR * spread / (2 * _WIDTH**2), mean_term, 4 * _SCALE * _FACTOR * rest
    )


class CMMD(Metric):
    """The published CMMD, from all pairs of images."""

    higher_is_better = False
    unary = False

    def __init__(self, info: MetricInfo, seed: int) -> None:
        self.id = info.id
        self.needs = (Need(info.extractor, info.preprocess, info.feature, "feature_bank"),)
        self.protocol = info.protocol

    def compute(self, gen: SetStatistics, ref: SetStatistics | None) -> MetricResult:
        """The biased estimate; ``unbiased`` leaves each image's kernel with itself out, and is what ``se`` is of."""
        assert ref is not None
        banks = [cast(FeatureBank, side.get(self.needs[0])) for side in (gen, ref)]
        require_samples(self.id, 2, banks[0].num_samples, banks[1].num_samples)
        for bank in banks:
            zero = bank.in_panels().of_each(find_zero, torch.zeros(0, dtype=torch.int64))
            refuse_zero(zero.bool(), bank.indices())
        ours, theirs = banks[0].in_panels(), banks[1].in_panels()
        if min(len(ours), len(theirs)) < 3:
            pair = clip_distance(ours, theirs, self.device)
            extra = {"unbiased": pair.unbiased, "num_gen": len(ours), "num_ref": len(theirs)}
            return MetricResult(self.id, pair.biased, extra, self.protocol)
        blocks = block_of(banks[0].indices()), block_of(banks[1].indices())
        found = clip_jackknife(ours, theirs, blocks, self.device)
        extra = {"unbiased": found.unbiased, "num_gen": len(ours), "num_ref": len(theirs), "debiased": found.unbiased}
        extra |= interval(found.unbiased, found.se, found.degrees)
        sides: dict[Stage, tuple[float, ...]] = {"gen": found.without_gen, "ref": found.without_ref}
        return MetricResult(
            self.id, found.biased, extra, self.protocol, replicates=sides if all(sides.values()) else {}
        )


class StreamingCMMD(Metric):
    """CMMD to 0.0007 from sums, in memory that does not depend on the number of images."""

    higher_is_better = False
    unary = False

    def __init__(self, info: MetricInfo, seed: int) -> None:
        self.id = info.id
        self.needs = (Need(info.extractor, info.preprocess, info.feature, "moments", (("unit_norm", 1),)),)
        self.protocol = info.protocol

    def compute(self, gen: SetStatistics, ref: SetStatistics | None) -> MetricResult:
        """The second-order figure; the exact one is at most ``max_error`` above it."""
        assert ref is not None
        ours, theirs = (cast(Moments, side.get(self.needs[0])) for side in (gen, ref))
        require_samples(self.id, 2, ours.num_samples, theirs.num_samples)
        found = streaming_clip_distance(ours, theirs)
        extra = {"mean_term": found.mean_term, "max_error": found.max_error}
        return MetricResult(self.id, found.value, extra, self.protocol)
