"""Fréchet distance between Gaussians fitted to two feature sets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from genmetrics.accumulators.block_moments import NUM_BLOCKS, BlockMoments
from genmetrics.accumulators.build import BLOCKS
from genmetrics.accumulators.moments import Moments
from genmetrics.accumulators.rows import Peers, Rows
from genmetrics.errors import StatisticsError
from genmetrics.linalg import nuclear_norm_of_product
from genmetrics.metrics.base import Metric, SetStatistics
from genmetrics.metrics.jackknife import jackknife
from genmetrics.types import MetricInfo, MetricResult, Need, Stage

__all__ = [
    "IMAGES_PER_DIMENSION",
    "FrechetDistance",
    "few_samples",
    "frechet_distance",
    "jackknife_holds",
    "moments_of_rows",
]

_CHUNK = 4096
#: How many times as many rows as they are wide are sent to all processes, rather than what each makes of its own.
_FEW = 2
_CPU = torch.device("cpu")
_SIDES: Mapping[Stage, str] = {"gen": "generated", "ref": "reference"}
#: The part of a distance by which it may be off, at most, where that saves time: a twentieth of the published codes'
#: differences. What is seen is a thousandth of it.
_ALLOWED = 1e-7
#: From so many images per dimension on what is left of the bias is small; see docs/error-bars.md.
IMAGES_PER_DIMENSION = 5
#: Up to so heavy tails, see ``BlockMoments.tail_weight``, less than a twentieth of the bias is left; see
#: docs/error-bars.md.
MOST_TAIL_WEIGHT = 2.0


def frechet_distance(gen: Moments, ref: Moments, device: torch.device = _CPU) -> float:
    """|μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½) of two feature sets, in squared feature units.

    The last trace is the nuclear norm of the product of the covariances' factors: no matrix square root, so
    no imaginary part, no epsilon and no noise below full rank, where the factor is the samples themselves. The
    result is never negative.

    It is computed from squared singular values where the bound on their error is small beside the distance, else,
    as for sets that nearly agree or that fill few of the dimensions, from the singular values themselves.

    Args:
        gen: moments of the generated features.
        ref: moments of the reference features, of the same width.
        device: where to compute, with float64.

    Raises:
        StatisticsError: if a side has fewer than two samples, or a mean or covariance is not finite.

    Source: Heusel et al. 2017 (arXiv:1706.08500), equation 6; sample covariances with ddof 1.
    Matches: pytorch-fid 0.3.0 and torch-fidelity 0.4.0 to 2e-6 relative at full rank, and the exact Gram form
    below it; tests/conformance/test_peers_frechet.py.
    """
    for side, moments in (("generated", gen), ("reference", ref)):
        if moments.num_samples < 2:
            raise StatisticsError(
                f"the {side} set has {moments.num_samples} image(s); a Fréchet distance needs at least 2 on each "
                "side, and thousands for a number worth reporting"
            )
    shift = gen.mean().cpu() - ref.mean().cpu()
    apart = float(shift @ shift) + gen.total_variance() + ref.total_variance()
    if not math.isfinite(apart):
        raise StatisticsError(
            "the mean or covariance of a set is NaN or infinite, from damaged statistics or features beyond "
            "float64's squares; make the statistics again"
        )
    overlap = nuclear_norm_of_product(
        gen.factor().to(device), ref.factor().to(device), lambda norm: _ALLOWED * (apart - 2 * norm) / 2
    )
    return max(0.0, apart - 2 * overlap)


class FrechetDistance(Metric):
    """FID and its relatives: one class for every network, layer and preprocessing."""

    higher_is_better = False
    unary = False

    def __init__(self, info: MetricInfo, seed: int) -> None:
        self.id = info.id
        self.needs = (Need(info.extractor, info.preprocess, info.feature, "moments"),)
        self.protocol = info.protocol

    def compute(self, gen: SetStatistics, ref: SetStatistics | None) -> MetricResult:
        """The distance; a warning where a side has no more samples than dimensions."""
        assert ref is not None
        moments = [cast(Moments, side.get(self.needs[0])) for side in (gen, ref)]
        value = frechet_distance(moments[0], moments[1], self.device)
        return MetricResult(self.id, value, {}, self.protocol, few_samples(moments[0], moments[1]))

    @property
    def error_needs(self) -> tuple[Need, ...]:
        """The moments of blocks of the images."""
        return (replace(self.needs[0], accumulator=BLOCKS, options=(("blocks", NUM_BLOCKS),)),)

    def error_cost(self, gen: SetStatistics, ref: SetStatistics | None) -> float:
        """One distance for each block of either side; nothing where there are too few images for any."""
        sides = [side for side in (gen, ref) if side is not None and side.meets(self.error_needs[0])]
        least = IMAGES_PER_DIMENSION * cast(Moments, gen.get(self.needs[0])).width
        few = any(side.num_samples is not None and side.num_samples < least for side in sides)
        return 0.0 if few else float(NUM_BLOCKS * len(sides))

    def with_error(self, result: MetricResult, gen: SetStatistics, ref: SetStatistics | None) -> MetricResult:
        """The distance without the bias of few samples, its standard error and 95 % interval.

        Of a reference that is known by its mean and covariance alone nothing can be left out: then both are of the
        generated side's samples, against that reference as it is, and a warning says so.
        """
        assert ref is not None
        moments = [cast(Moments, side.get(self.needs[0])) for side in (gen, ref)]
        blocks: dict[Stage, BlockMoments] = {}
        sides: dict[Stage, SetStatistics] = {"gen": gen, "ref": ref}
        for name, side in sides.items():
            if side.meets(self.error_needs[0]):
                blocks[name] = cast(BlockMoments, side.get(self.error_needs[0]))
        least = IMAGES_PER_DIMENSION * moments[0].width
        few = [f"{held.num_samples} {_SIDES[name]}" for name, held in blocks.items() if held.num_samples < least]
        if few:
            text = (
                f"no error bar and no correction: they hold from {IMAGES_PER_DIMENSION} images per dimension on, "
                f"{least:,} here, and there are {' and '.join(few)} images"
            )
            return replace(result, warnings=(*result.warnings, text))
        far_out = [text for name, held in blocks.items() for text in _far_out(held, _SIDES[name])]
        if far_out:
            return replace(result, warnings=(*result.warnings, *far_out))
        replicates: dict[Stage, tuple[float, ...]] = {}
        for name, held in blocks.items():
            pairs = [(rest, moments[1]) if name == "gen" else (moments[0], rest) for rest in held.without_each()]
            replicates[name] = tuple(frechet_distance(a, b, self.device) for a, b in pairs)
        found = jackknife(result.value, replicates)
        extra = {"debiased": found.debiased, "se": found.se, "ci95_low": found.low, "ci95_high": found.high}
        warnings = result.warnings
        if "ref" not in replicates:
            warnings += (
                "error bar and correction are of the generated images alone: of the reference there is a mean and "
                "covariance, from which nothing can be left out",
            )
        return replace(result, extra={**result.extra, **extra}, warnings=warnings, replicates=replicates)


def moments_of_rows(features: Float32[Tensor, "n d"] | Rows, chosen: Int64[Tensor, " m"]) -> Moments:
    """The moments of some of the rows of kept features.

    Args:
        features: (n, d) float32, perhaps spread over processes; then all of them ask for the same at once.
        chosen: the rows to take, (m,) int64.
    """
    features = Rows.of(features)
    if features.peers.count == 1 or len(chosen) <= _FEW * features.width:
        moments = Moments(features.width)
        for rows in torch.split(chosen, _CHUNK):
            moments.update(features.take(rows), rows)
        return moments
    own = Moments(features.width)
    for panel in features.own:
        here = chosen[(chosen >= panel.where.start) & (chosen < panel.where.stop)]
        for rows in torch.split(here, _CHUNK):
            own.update(features.read(panel)[rows - panel.where.start], rows)
    return _of_all(own, features.peers)


def _of_all(own: Moments, peers: Peers) -> Moments:
    """The moments of what all processes have taken."""
    count, width = own.num_samples, own.width
    mean = own.mean().cpu() if count else torch.zeros(width, dtype=torch.float64)
    scatter = torch.zeros((width, width), dtype=torch.float64)
    if count > 1:
        scatter = own.covariance().cpu() * (count - 1)
    counts = torch.cat(peers.gather(torch.tensor([count])))
    states = zip(counts, peers.gather(mean[None]), peers.gather(scatter), strict=True)
    merged = Moments(width)
    for number, centre, m2 in states:
        if number:
            merged = merged.merge(Moments.from_state({"count": number, "mean": centre[0], "m2": m2}))
    return merged


def few_samples(gen: Moments, ref: Moments) -> tuple[str, ...]:
    """The warning where a side has no more samples than dimensions; empty where neither has."""
    few = [
        f"{side} {moments.num_samples}"
        for side, moments in (("generated", gen), ("reference", ref))
        if moments.counted and moments.num_samples <= gen.width
    ]
    if not few:
        return ()
    return (
        f"no more images ({', '.join(few)}) than feature dimensions ({gen.width}): the value is exact for these "
        "images but lies far above what many images of the same models would give; compare it only with values "
        "of exactly as many images",
    )


def jackknife_holds(blocks: BlockMoments) -> bool:
    """Whether leaving out one block of a set after the other tells the bias and the error of a distance from it."""
    return blocks.num_samples >= IMAGES_PER_DIMENSION * blocks.width and not _far_out(blocks, "")


def _far_out(blocks: BlockMoments, side: str) -> tuple[str, ...]:
    """Why a jackknife does not hold, of a set in which few samples weigh much; nothing where it does."""
    weight = blocks.tail_weight()
    if weight is None or weight <= MOST_TAIL_WEIGHT:
        return ()
    return (
        f"no error bar and no correction: a few of the {side} images lie so far from all others that they make up much "
        f"of the covariance (the fourth moment of their distance from the mean is {weight:.1f} times a Gaussian's, and "
        f"both hold up to {MOST_TAIL_WEIGHT:.0f} times); fid_influence with --per-image says which, look at them",
    )
