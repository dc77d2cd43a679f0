"""Kernel distance over all pairs of samples, with an error bar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

from genmetrics.accumulators.block_moments import block_of
from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.rows import Rows
from genmetrics.errors import StatisticsError
from genmetrics.metrics.base import Metric, SetStatistics
from genmetrics.metrics.kernel import exactly_enough
from genmetrics.metrics.kernel_centred import CentredRows, Rest, rest_unit, smooth_within, subset_moments
from genmetrics.metrics.kernel_sets import CentredSet, Pair, centred_sets, pairs_of_sets
from genmetrics.metrics.mean_error import interval
from genmetrics.metrics.two_sample import SampleSums, blocks_of, jackknife_error, without_each
from genmetrics.precision import computing_at
from genmetrics.types import MetricInfo, MetricResult, Need, Stage

__all__ = ["FullKernelDistance", "KernelEstimate", "KernelJackknife", "full_kernel_distance", "kernel_jackknife"]


_CPU = torch.device("cpu")
#: From so many samples a side on, products are of float32 where that is exact enough.
_MANY = 1000


class KernelEstimate(NamedTuple):
    """A kernel distance and its standard error."""

    value: float
    se: float


@dataclass(frozen=True)
class KernelJackknife:
    """A kernel distance, its standard error, and the distance without each block of samples.

    Attributes:
        value: the distance.
        se: its standard error.
        degrees: the degrees of freedom of that error, by Satterthwaite.
        without_gen: the distance without each block of generated samples; empty where that leaves fewer than two.
        without_ref: likewise of the reference.
    """

    value: float
    se: float
    degrees: float
    without_gen: tuple[float, ...]
    without_ref: tuple[float, ...]


def full_kernel_distance(
    gen: Float32[Tensor, "n d"] | Rows, ref: Float32[Tensor, "m d"] | Rows, device: torch.device = _CPU
) -> KernelEstimate:
    """The unbiased squared MMD of two whole sets under the kernel (x·y/d + 1)³, and its jackknife standard error.

    With a_i = Σ_{j≠i} k(x_i, x_j), b_j likewise within the other set, c_i = Σ_j k(x_i, y_j), A = Σ a_i, B = Σ b_j and
    C = Σ c_i the estimate is U = A/(n(n−1)) + B/(m(m−1)) − 2C/(nm). Without x_i it is

        U_{−i} = (A − 2a_i)/((n−1)(n−2)) + B/(m(m−1)) − 2(C − c_i)/((n−1)m),

    and likewise without y_j. The squared standard error is the jackknife's for two samples,
    (n−1)/n Σ (U_{−i} − Ū)² + (m−1)/m Σ (U_{−j} − Ū)², each with the mean of its own side. It is right where the sets
    are unlike; where they are of one distribution, U has no linear term and the error bar is too wide, by up to √2.

    What must be computed pair by pair is so in float64, but from 1,000 samples a side on in float32 where that changes
    the estimate by no more than 1e-12 of the kernel, or a millionth of its standard error and at most 1e-10 of the
    kernel, as measured on a part of the pairs; see ``kernel_rounding``.

    Args:
        gen: (n, d) float32 features, n >= 3; perhaps spread over processes, which then all compute it together.
        ref: (m, d) float32 features, m >= 3.
        device: where to compute, with float64.

    Raises:
        StatisticsError: if a side has fewer than three samples.

    Source: Bińkowski et al. 2018 (arXiv:1801.01401), equation 4; the error by Arvesen 1969, "Jackknifing U-statistics",
    Annals of Mathematical Statistics 40, section 3.
    Matches: the mean over all subsets that ``kid`` draws from, torchmetrics 1.9.0 fed float64 to 1e-12 absolute and
    literal recomputation without each sample to 1e-9 relative; tests/conformance/test_peers_kernel_full.py.
    """
    found = _distance(gen, ref, None, device)
    return KernelEstimate(found.value, found.se)


def kernel_jackknife(
    gen: Float32[Tensor, "n d"] | Rows,
    ref: Float32[Tensor, "m d"] | Rows,
    blocks: tuple[Int64[Tensor, " n"], Int64[Tensor, " m"]],
    device: torch.device = _CPU,
) -> KernelJackknife:
    """The distance of ``full_kernel_distance``, and that without each block of samples of either set.

    Args:
        gen: (n, d) float32 features, n >= 3, as there.
        ref: (m, d) float32 features, m >= 3.
        blocks: of each sample of either set the number of its block.
        device: where to compute, with float64.

    Raises:
        StatisticsError: if a side has fewer than three samples.

    Source: as there; Künsch 1989 for blocks of samples.
    Matches: literal recomputation without each block to 1e-9 relative; tests/metrics/test_kernel_errors.py.
    """
    return _distance(gen, ref, blocks, device)


def _distance(
    gen: Tensor | Rows, ref: Tensor | Rows, blocks: tuple[Tensor, Tensor] | None, device: torch.device
) -> KernelJackknife:
    n, m = gen.shape[0], ref.shape[0]
    if min(n, m) < 3:
        raise StatisticsError(
            f"the full kernel distance and its error bar need at least 3 images on each side; given are {n} generated "
            f"and {m} reference images. Add images"
        )
    a, b = centred_sets(Rows.of(gen), Rows.of(ref), device)
    in_gen, in_ref = a.moments(), b.moments()
    within_gen, gen_between = a.smooth_row_sums((in_gen, in_ref))
    within_ref, ref_between = b.smooth_row_sums((in_ref, in_gen))
    smooth = [within_gen - a.diagonal, within_ref - b.diagonal, gen_between, ref_between]
    with computing_at("exact", device):
        if min(n, m) >= _MANY:
            found = _estimate(a, b, smooth, torch.float32, blocks)
            if exactly_enough(a, b, found.se):
                return found
        return _estimate(a, b, smooth, torch.float64, blocks)


def _estimate(
    gen: CentredSet,
    ref: CentredSet,
    smooth: list[Tensor],
    dtype: torch.dtype,
    blocks: tuple[Tensor, Tensor] | None,
) -> KernelJackknife:
    """From the row sums that need no pairs, and those of all pairs in the type asked for."""
    n, m = len(gen.rows), len(ref.rows)
    pairs = (*_rest_within(gen, dtype), *_rest_within(ref, dtype), *_rest_between(gen, ref, dtype))
    within_gen, within_ref, gen_between, ref_between = (even + rough for even, rough in zip(smooth, pairs, strict=True))
    total = within_gen.sum() / (n * (n - 1)) + within_ref.sum() / (m * (m - 1)) - 2 * gen_between.sum() / (n * m)
    sides = SampleSums(within_gen, gen_between, m), SampleSums(within_ref, ref_between, n)
    se, degrees = jackknife_error(*sides)
    if blocks is None:
        return KernelJackknife(float(total), se, degrees, (), ())
    own = float(within_gen.sum()) / (n * (n - 1)), float(within_ref.sum()) / (m * (m - 1))
    return KernelJackknife(
        float(total),
        se,
        degrees,
        _without_each(gen, blocks[0], sides[0], own[1], dtype),
        _without_each(ref, blocks[1], sides[1], own[0], dtype),
    )


def _without_each(
    side: CentredSet, block: Tensor, sums: SampleSums, rest: float, dtype: torch.dtype
) -> tuple[float, ...]:
    """The distance without each block of one set."""
    chosen = blocks_of(block)
    inner = torch.zeros(len(chosen), dtype=torch.float64, device=side.device)
    for number, places in enumerate(chosen):
        rows = side.take(places)
        if number % side.peers.count == side.peers.index:
            rough = _rest_of_panel(rows, dtype).sum() * rest_unit(side.width)
            inner[number] = smooth_within(subset_moments(rows))[0] + rough
    return without_each(sums, chosen, side.peers.total(inner), rest)


def _rest_within(side: CentredSet, dtype: torch.dtype) -> tuple[Float64[Tensor, " n"]]:
    """For each sample Σ E over the others of its set; each pair is computed once."""
    sums = torch.zeros(len(side.rows), dtype=torch.float64, device=side.device)
    for pair in side.pairs():
        if pair.a is not pair.b:
            _add_rest(pair, sums[pair.here], sums[pair.there], dtype)
            continue
        sums[pair.here] += _rest_of_panel(pair.a, dtype)
    return (side.peers.total(sums) * rest_unit(side.width),)


def _rest_of_panel(rows: CentredRows, dtype: torch.dtype) -> Float64[Tensor, " n"]:
    """For each row d³ Σ E over the others."""
    pairs, sums = Rest(rows, rows, dtype), torch.zeros(len(rows.rows), dtype=torch.float64, device=rows.device)
    for here in rows.blocks():
        sums[here] += pairs.tile(here, here, itself=True).sum(dim=1)
        for there in rows.blocks(here.stop):
            values = pairs.tile(here, there)
            sums[here] += values.sum(dim=1)
            sums[there] += values.sum(dim=0)
    return sums


def _rest_between(
    gen: CentredSet, ref: CentredSet, dtype: torch.dtype
) -> tuple[Float64[Tensor, " n"], Float64[Tensor, " m"]]:
    """For each sample of one set Σ E over all samples of the other."""
    of_gen, of_ref = (torch.zeros(len(side.rows), dtype=torch.float64, device=side.device) for side in (gen, ref))
    for pair in pairs_of_sets(gen, ref):
        _add_rest(pair, of_gen[pair.here], of_ref[pair.there], dtype)
    unit = rest_unit(gen.width)
    return gen.peers.total(of_gen) * unit, gen.peers.total(of_ref) * unit


def _add_rest(pair: Pair, of_a: Tensor, of_b: Tensor, dtype: torch.dtype) -> None:
    """Add to the sums of the samples of two panels d³E of all pairs between them."""
    pairs = Rest(pair.a, pair.b, dtype)
    for here in pair.a.blocks():
        for there in pair.b.blocks():
            values = pairs.tile(here, there)
            of_a[here] += values.sum(dim=1)
            of_b[there] += values.sum(dim=0)


class FullKernelDistance(Metric):
    """KID over all pairs of images: no random subsets, and a standard error."""

    higher_is_better = False
    unary = False

    def __init__(self, info: MetricInfo, seed: int) -> None:
        self.id = info.id
        self.needs = (Need(info.extractor, info.preprocess, info.feature, "feature_bank"),)
        self.protocol = info.protocol

    def compute(self, gen: SetStatistics, ref: SetStatistics | None) -> MetricResult:
        """The distance; ``se`` is its standard error over the draw of both sets."""
        assert ref is not None
        banks = [cast(FeatureBank, side.get(self.needs[0])) for side in (gen, ref)]
        ours, theirs = (bank.in_panels() for bank in banks)
        blocks = block_of(banks[0].indices()), block_of(banks[1].indices())
        found = kernel_jackknife(ours, theirs, blocks, self.device)
        extra = {**interval(found.value, found.se, found.degrees), "num_gen": len(ours), "num_ref": len(theirs)}
        sides: dict[Stage, tuple[float, ...]] = {"gen": found.without_gen, "ref": found.without_ref}
        replicates = sides if all(sides.values()) else {}
        return MetricResult(self.id, found.value, extra, self.protocol, replicates=replicates)
