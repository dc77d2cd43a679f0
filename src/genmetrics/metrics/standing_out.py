"""Which images of two sets stand out: far from all others, near to one of the other set, or the only ones of a kind."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from genmetrics.accumulators.rows import Rows
from genmetrics.metrics.neighbour_pass import answer
from genmetrics.metrics.neighbour_questions import Answers, NearestOther, Neighbours, Question, Realism

__all__ = ["Nearness", "first_distinct", "nearness", "nearness_of", "questions_of_nearness", "row_keys"]

#: Which neighbour within the reference a distance is compared with, where there are so many.
_K = 3
_MULTIPLIER = 0x2545F4914F6CDD1D


@dataclass(frozen=True)
class Nearness:
    """How near the samples of two sets are to each other, by the samples' places in their sets.

    Attributes:
        k: which neighbour the balls of the reference reach to.
        realism: of each generated sample the largest ratio of radius to distance over the reference balls smaller than
            the median; infinite at the centre of one, and 0 everywhere if there is no such ball.
        to_ref: the distance of each generated sample to its nearest reference sample.
        nearest_ref: which that is.
        copying: that distance over how far this reference sample is from the nearest other one that is no copy of it;
            0 of exact copies, infinite where none of its k nearest is anything but a copy.
        to_gen: the distance of each reference sample to its nearest generated sample.
        nearest_gen: which that is.
        radius: how far each reference sample is from its k-th nearest other one.
        uncovered: ``to_gen`` over ``radius``; above 1 there is nothing generated in its ball. 0 where the radius is.
    """

    k: int
    realism: Float64[Tensor, " n"]
    to_ref: Float64[Tensor, " n"]
    nearest_ref: Int64[Tensor, " n"]
    copying: Float64[Tensor, " n"]
    to_gen: Float64[Tensor, " m"]
    nearest_gen: Int64[Tensor, " m"]
    radius: Float64[Tensor, " m"]
    uncovered: Float64[Tensor, " m"]


def nearness(gen: Rows, ref: Rows, device: torch.device | None = None) -> Nearness:
    """All distances between two sets that single images are judged by, from one pass.

    Args:
        gen: (n, d) float32 features, perhaps spread over processes, all of which ask at once then.
        ref: (m, d) float32, likewise, at least two; of fewer than four k is their number less one.
        device: where to compute, with float64; None is the CPU.

    Source: Kynkäänniemi et al. 2019 (arXiv:1904.06991), equation 3, for realism; Naeem et al. 2020 (arXiv:2002.09797)
    for coverage; Alaa et al. 2022 (arXiv:2102.08921), section 4.3, for what a distance to the training set is compared
    with.
    """
    return nearness_of(answer(questions_of_nearness(len(ref)), gen, ref, device), len(ref))


def questions_of_nearness(num_ref: int) -> tuple[Question, ...]:
    """What ``nearness`` asks of a pass, where there are so many reference samples, at least two."""
    k = _neighbour(num_ref)
    return Realism(k), Neighbours("ref", k), NearestOther("gen"), NearestOther("ref")


def nearness_of(answers: Answers, num_ref: int) -> Nearness:
    """``nearness``, from the answers to its questions and perhaps others."""
    k = _neighbour(num_ref)
    to_ref, nearest_ref = answers.nearest[NearestOther("gen")]
    to_gen, nearest_gen = answers.nearest[NearestOther("ref")]
    distances = answers.neighbours[Neighbours("ref", k)][0]
    radius = distances[:, -1]
    apart = distances.where(distances > 0, torch.inf).amin(dim=1)
    return Nearness(
        k,
        answers.realism[Realism(k)],
        to_ref,
        nearest_ref,
        torch.where(apart[nearest_ref].isinf() & (to_ref > 0), torch.inf, to_ref / apart[nearest_ref]),
        to_gen,
        nearest_gen,
        radius,
        torch.where(radius > 0, to_gen / radius, 0.0),
    )


def _neighbour(num_ref: int) -> int:
    return min(_K, num_ref - 1)


def row_keys(rows: Rows) -> Int64[Tensor, " n"]:
    """A number for each row that equal rows share, and unlike ones by a chance of 2⁻⁶⁴ for each pair.

    Args:
        rows: (n, d) float32, perhaps spread over processes, all of which ask at once then.
    """
    odd = torch.randint(-(2**62), 2**62, (rows.width,), generator=torch.Generator().manual_seed(rows.width)) * 2 + 1

    def key_of(some: Tensor) -> Tensor:
        bits = (some.to(torch.float32) + 0.0).view(torch.int32).to(torch.int64)  # -0.0 is 0.0
        mixed = (bits + odd) * _MULTIPLIER
        return ((mixed ^ (mixed >> 29)) * odd).sum(dim=1)

    return rows.of_each(key_of, torch.zeros(0, dtype=torch.int64))


def first_distinct(
    order: Float64[Tensor, " n"], keys: Int64[Tensor, " n"], most: int, *, descending: bool
) -> list[int]:
    """The samples of the largest or least figures, of those that are alike only the first.

    Args:
        order: a figure of each sample; those that are not finite are left out.
        keys: what those that are alike have in common; see ``row_keys``.
        most: samples.
        descending: whether the largest come first; samples of equal figures are in their own order in any case.
    """
    found: dict[int, int] = {}
    finite = order.isfinite()
    for place in order.sort(descending=descending, stable=True).indices.tolist():
        if len(found) == most:
            break
        if bool(finite[place]):
            found.setdefault(int(keys[place]), place)
    return list(found.values())
