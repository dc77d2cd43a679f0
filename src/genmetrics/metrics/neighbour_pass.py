"""All that nearest-neighbour metrics ask of two feature sets, answered in one pass over tiles of distances.

A tile is made once and serves every question. Within a set only the tiles on and above the diagonal are made. No
matrix of all distances is ever held: memory is that of a tile and of a centred copy of each set.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float32, Float64, Int64
from torch import Tensor

from genmetrics.metrics.neighbour_balls import BallCounter, Radii
from genmetrics.metrics.neighbour_search import Nearest
from genmetrics.metrics.neighbour_spaces import Cosines, Distances, Weighted, paired_points
from genmetrics.precision import computing_at

__all__ = [
    "Answers",
    "Balls",
    "Counts",
    "NearestOther",
    "Neighbours",
    "Question",
    "Realism",
    "SideName",
    "answer",
    "median",
]

SideName = Literal["gen", "ref"]
#: On a CPU tiles of 1,024 a side: a product runs at full speed, what follows stays in the cache, and on the diagonal
#: little is computed twice. On a GPU a tile must be large to fill it.
_TILE_BYTES = {"cpu": 2**24, "cuda": 2**28}
_BYTES_PER_PAIR = 16


@dataclass(frozen=True)
class Neighbours:
    """The ``k`` nearest other samples of each sample within its own set."""

    side: SideName
    k: int


@dataclass(frozen=True)
class Balls:
    """Which samples of the other set lie in the balls about a set's samples that reach to their k-th neighbours.

    Attributes:
        side: whose balls.
        k: which neighbour they reach to.
        inclusive: whether a sample at exactly the radius is inside.
        clipped: whether no radius is larger than the median radius.
    """

    side: SideName
    k: int
    inclusive: bool
    clipped: bool = False


@dataclass(frozen=True)
class OwnBalls:
    """In how many clipped balls about other samples of its own set each reference sample is, surfaces included."""

    k: int


@dataclass(frozen=True)
class NearestOther:
    """The nearest sample of the other set, of each sample of ``side``; ``cosine`` is 1 − cos, or 1 − |cos|."""

    side: SideName
    measure: Literal["euclidean", "cosine", "absolute cosine"] = "euclidean"


@dataclass(frozen=True)
class Realism:
    """The largest ratio of radius to distance over the reference balls smaller than the median, for each sample."""

    k: int


Question = Neighbours | Balls | OwnBalls | NearestOther | Realism


@dataclass(frozen=True)
class Counts:
    """What ``Balls`` asks.

    Attributes:
        around: of each sample of the other set, how many balls it is in.
        inside: of each ball, how many samples of the other set are in it.
    """

    around: Int64[Tensor, " others"]
    inside: Int64[Tensor, " balls"]


@dataclass(frozen=True)
class Answers:
    """The answer to each question, on the CPU; distances in feature units."""

    neighbours: dict[Neighbours, tuple[Float64[Tensor, "n k"], Int64[Tensor, "n k"]]]
    balls: dict[Balls, Counts]
    own_balls: dict[OwnBalls, Int64[Tensor, " n"]]
    nearest: dict[NearestOther, tuple[Float64[Tensor, " n"], Int64[Tensor, " n"]]]
    realism: dict[Realism, Float64[Tensor, " n"]]


def answer(
    questions: Iterable[Question],
    gen: Float32[Tensor, "n d"],
    ref: Float32[Tensor, "m d"],
    device: torch.device | None = None,
    tile_bytes: int | None = None,
) -> Answers:
    """Answer all questions about two feature sets.

    Every answer equals that of float64 distances, each computed from the difference of its two rows: float32 decides
    only where the bounds on its error leave no doubt. Samples that tie are in the order of their indices, except
    among more than k + 4 copies of one sample.

    Args:
        questions: what to find out; a set must have more samples than any k asked of it.
        gen: (n, d) float32 features of the generated set, on the CPU.
        ref: (m, d) float32 features of the reference set, on the CPU.
        device: where to compute, with float64; None is the CPU.
        tile_bytes: about how much memory a tile with all that is made of it may take; None for what suits the device.
    """
    asked = list(dict.fromkeys(questions))
    device = torch.device("cpu") if device is None else device
    if tile_bytes is None:
        tile_bytes = _TILE_BYTES.get(device.type, _TILE_BYTES["cuda"])
    with computing_at("exact", device), torch.no_grad():
        return _answer(asked, gen, ref, device, max(1, math.isqrt(tile_bytes // _BYTES_PER_PAIR)))


def _answer(asked: Sequence[Question], gen: Tensor, ref: Tensor, device: torch.device, block: int) -> Answers:
    found = Answers({}, {}, {}, {}, {})
    euclidean = [question for question in asked if not _is_cosine(question)]
    if euclidean:
        gen_points, ref_points, scale = paired_points(gen, ref, device)
        points = {"gen": gen_points, "ref": ref_points}
        neighbours: dict[str, tuple[Tensor, Tensor]] = {}
        for side, k in _largest_k(euclidean).items():
            search = _within(Distances(points[side], points[side], scale), k, block)
            neighbours[side] = search.settle()
            for question in euclidean:
                if isinstance(question, OwnBalls) and side == "ref":
                    found.own_balls[question] = _own_counts(search, *neighbours[side], question.k).cpu()
        cross = Distances(gen_points, ref_points, scale)
        _across(euclidean, cross, {side: figures for side, (figures, _) in neighbours.items()}, block, found)
        for question in euclidean:
            if isinstance(question, Neighbours):
                figures, index = (values[:, : question.k] for values in neighbours[question.side])
                found.neighbours[question] = (_unscaled(figures, scale), index.cpu())
    for question in asked:
        if isinstance(question, NearestOther) and _is_cosine(question):
            found.nearest[question] = _nearest_by_angle(question, gen, ref, device, block)
    return found


def _is_cosine(question: Question) -> bool:
    return isinstance(question, NearestOther) and question.measure != "euclidean"


def _largest_k(asked: Sequence[Question]) -> dict[SideName, int]:
    """How many neighbours each set's samples must be given."""
    largest: dict[SideName, int] = {}
    for question in asked:
        if not isinstance(question, NearestOther):
            side: SideName = question.side if isinstance(question, (Neighbours, Balls)) else "ref"
            largest[side] = max(largest.get(side, 0), question.k)
    return largest


def _blocks(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _within(distances: Distances, k: int, block: int) -> Nearest:
    """The search for the k nearest other samples of each sample of one set, after all tiles."""
    search = Nearest(distances, k, block)
    blocks = list(_blocks(distances.num_rows, block))
    for number, rows in enumerate(blocks):
        for columns in blocks[number:]:
            tile = distances.tile(rows, columns)
            if rows == columns:
                tile.fill_diagonal_(torch.inf)
            else:
                search.offer(columns, rows, tile.T.contiguous())
            search.offer(rows, columns, tile)
    return search


def _own_counts(search: Nearest, figures: Tensor, index: Tensor, k: int) -> Tensor:
    """How many clipped balls about others each sample is in.

    A ball that is known to hold no more than its neighbours is read off their list; of the others all are looked up.
    """
    radii = _clipped(figures[:, k - 1])
    full = search.tied if k == figures.shape[1] else figures[:, k] == figures[:, k - 1]
    inside = (figures[:, :k] <= radii[:, None]) & ~full[:, None]
    counts = torch.bincount(index[:, :k][inside], minlength=len(radii))
    rows = full.nonzero().squeeze(1)
    for columns in search.within(rows, radii[rows]):
        counts += torch.bincount(columns, minlength=len(radii))
    return counts


def _across(
    asked: Sequence[Question], distances: Distances, figures: dict[str, Tensor], block: int, found: Answers
) -> None:
    """One pass over the tiles between the sets, for whatever is asked of them."""
    balls = [question for question in asked if isinstance(question, Balls)]
    nearest = [question for question in asked if isinstance(question, NearestOther)]
    realism = [question for question in asked if isinstance(question, Realism)]
    counter = BallCounter(
        distances,
        [Radii(question.side == "ref", _squared_radii(question, figures), question.inclusive) for question in balls],
    )
    searches = {
        question: Nearest(distances if question.side == "gen" else distances.swapped(), 1, block)
        for question in nearest
    }
    quotients = {}
    for score in realism:
        squared = figures["ref"][:, score.k - 1]
        space = Weighted(distances, squared, _small_balls(squared))
        quotients[score] = (space, Nearest(space, 1, block))
    if not (balls or searches or quotients):
        return
    for rows in _blocks(distances.num_rows, block):
        for columns in _blocks(distances.num_columns, block):
            tile = distances.tile(rows, columns)
            counter.take(rows, columns, tile)
            for other, search in searches.items():
                if other.side == "gen":
                    search.offer(rows, columns, tile)
                else:
                    search.offer(columns, rows, tile.T.contiguous())
            for space, search in quotients.values():
                search.offer(rows, columns, space.of_distances(tile, columns))
    for ball, (around, inside) in zip(balls, counter.counts(), strict=True):
        found.balls[ball] = Counts(around, inside)
    for other, search in searches.items():
        values, index = search.settle()
        found.nearest[other] = (_unscaled(values[:, 0], distances.scale), index[:, 0].cpu())
    for score, (_, search) in quotients.items():
        found.realism[score] = search.settle()[0][:, 0].cpu().rsqrt()


def _squared_radii(question: Balls, figures: dict[str, Tensor]) -> Tensor:
    squared = figures[question.side][:, question.k - 1]
    return _clipped(squared) if question.clipped else squared


def _clipped(squared: Tensor) -> Tensor:
    """Squared radii, none larger than the median radius."""
    radii = squared.sqrt()
    middle = median(radii)
    return torch.where(radii <= middle, squared, middle * middle)


def _small_balls(squared_radii: Tensor) -> Bool[Tensor, " n"]:
    """The balls smaller than the median; a ball of no size contains nothing near it."""
    radii = squared_radii.sqrt()
    return (radii < median(radii)) & (radii > 0)


def median(values: Float64[Tensor, " n"]) -> Float64[Tensor, ""]:
    """The middle value, or the mean of the two, as NumPy has it."""
    ordered = values.sort().values
    return (ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) / 2


def _nearest_by_angle(
    question: NearestOther, gen: Tensor, ref: Tensor, device: torch.device, block: int
) -> tuple[Tensor, Tensor]:
    own, other = (gen, ref) if question.side == "gen" else (ref, gen)
    space = Cosines(own, other, question.measure == "absolute cosine", device)
    search = Nearest(space, 1, block)
    for rows in _blocks(space.num_rows, block):
        for columns in _blocks(space.num_columns, block):
            search.offer(rows, columns, space.tile(rows, columns))
    values, index = search.settle()
    return values[:, 0].cpu(), index[:, 0].cpu()


def _unscaled(figures: Tensor, scale: float) -> Tensor:
    """Distances in feature units of scaled squared ones."""
    return figures.div(scale).sqrt().cpu().contiguous()
