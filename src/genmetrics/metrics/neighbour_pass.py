"""All that nearest-neighbour metrics ask of two feature sets, answered in one pass over tiles of distances.

A tile is made once and serves every question. Within a set only the tiles on and above the diagonal are made. No
matrix of all distances is ever held: memory is that of a tile and of a centred copy of each set.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import torch
from jaxtyping import Bool, Float32, Float64
from torch import Tensor

from genmetrics.accumulators.rows import Rows, pairs_between
from genmetrics.metrics.neighbour_balls import BallCounter, Radii
from genmetrics.metrics.neighbour_questions import (
    Answers,
    Balls,
    Counts,
    NearestOther,
    Neighbours,
    OwnBalls,
    Question,
    Realism,
    SideName,
)
from genmetrics.metrics.neighbour_search import Best, Nearest
from genmetrics.metrics.neighbour_spaces import Cosines, Distances, Frame, Points, Weighted, common_frame
from genmetrics.precision import computing_at

__all__ = ["answer", "median"]

#: On a CPU tiles of 1,024 a side: a product runs at full speed, what follows stays in the cache, and on the diagonal
#: little is computed twice. On a GPU a tile must be large to fill it.
_TILE_BYTES = {"cpu": 2**24, "cuda": 2**28}
_BYTES_PER_PAIR = 16
_OTHER: dict[SideName, SideName] = {"gen": "ref", "ref": "gen"}


def answer(
    questions: Iterable[Question],
    gen: Float32[Tensor, "n d"] | Rows,
    ref: Float32[Tensor, "m d"] | Rows,
    device: torch.device | None = None,
    tile_bytes: int | None = None,
) -> Answers:
    """Answer all questions about two feature sets.

    Every answer equals that of float64 distances, each computed from the difference of its two rows: float32 decides
    only where the bounds on its error leave no doubt. Samples that tie are in the order of their indices, except
    among more than k + 4 copies of one sample.

    Args:
        questions: what to find out; a set must have more samples than any k asked of it.
        gen: (n, d) float32 features of the generated set, on the CPU, perhaps spread over processes: then all of them
            ask the same at once, and have the same answers.
        ref: (m, d) float32 features of the reference set, likewise.
        device: where to compute, with float64; None is the CPU.
        tile_bytes: about how much memory a tile with all that is made of it may take; None for what suits the device.
    """
    asked = list(dict.fromkeys(questions))
    device = torch.device("cpu") if device is None else device
    if tile_bytes is None:
        tile_bytes = _TILE_BYTES.get(device.type, _TILE_BYTES["cuda"])
    sides = Rows.of(gen), Rows.of(ref)
    gen, ref = sides[0].shared_with(sides[1]), sides[1].shared_with(sides[0])
    with computing_at("exact", device), torch.no_grad():
        return _answer(asked, gen, ref, device, max(1, math.isqrt(tile_bytes // _BYTES_PER_PAIR)))


def _answer(asked: Sequence[Question], gen: Rows, ref: Rows, device: torch.device, block: int) -> Answers:
    found = Answers({}, {}, {}, {}, {})
    euclidean = [question for question in asked if not _is_cosine(question)]
    if euclidean:
        frame = common_frame(gen, ref, device)
        sides = {"gen": _Side(gen, frame), "ref": _Side(ref, frame)}
        neighbours: dict[str, tuple[Tensor, Tensor]] = {}
        of_own_balls = [question for question in euclidean if isinstance(question, OwnBalls)]
        for name, k in _largest_k(euclidean).items():
            side = sides[name]
            # One more tells whether all that are in a ball are known.
            most = min(k + 1, len(side.rows) - 1) if of_own_balls and name == "ref" else k
            neighbours[name] = _within(side, most, block)
            if name == "ref":
                for balls in of_own_balls:
                    found.own_balls[balls] = _own_counts(side, *neighbours[name], balls.k, block)
        _across(euclidean, sides, {side: figures for side, (figures, _) in neighbours.items()}, block, found)
        for question in euclidean:
            if isinstance(question, Neighbours):
                figures, index = (values[:, : question.k] for values in neighbours[question.side])
                found.neighbours[question] = (_unscaled(figures, frame.scale), index.cpu().contiguous())
    for question in asked:
        if isinstance(question, NearestOther) and _is_cosine(question):
            found.nearest[question] = _nearest_by_angle(question, gen, ref, device, block)
    return found


class _Side:
    """A set's panels as points."""

    def __init__(self, rows: Rows, frame: Frame) -> None:
        self.rows, self.frame = rows, frame
        self._whole = frame.points(rows.held) if rows.whole else None

    def points(self, rows: Tensor) -> Points:
        """Of a panel."""
        return self.frame.points(rows) if self._whole is None else self._whole


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


def _within(side: _Side, k: int, block: int) -> tuple[Tensor, Tensor]:
    """The k nearest other samples of each sample of one set: squared scaled distances, and which they are."""
    best = Best(len(side.rows), k, side.frame.device)
    for here, x, there, y in side.rows.pairs():
        ours = side.points(x)
        if here == there:
            if len(here) > 1:
                search = _within_panel(Distances(ours, ours, side.frame.scale), min(k, len(here) - 1), block)
                best.offer(here.where, search, here.where.start)
            continue
        distances = Distances(ours, side.points(y), side.frame.scale)
        forth = Nearest(distances, min(k, len(there)), block)
        back = Nearest(distances.swapped(), min(k, len(here)), block)
        for rows, columns, tile in _tiles(distances, block):
            back.offer(columns, rows, tile.T.contiguous())
            forth.offer(rows, columns, tile)
        best.offer(here.where, forth, there.where.start)
        best.offer(there.where, back, here.where.start)
    return best.settle(side.rows.peers)


def _within_panel(distances: Distances, k: int, block: int) -> Nearest:
    """The search for the k nearest other samples of each sample of one panel, after all tiles."""
    search = Nearest(distances, k, block)
    for rows, columns, tile in _upper_tiles(distances, block):
        if rows != columns:
            search.offer(columns, rows, tile.T.contiguous())
        search.offer(rows, columns, tile)
    return search


def _tiles(space: Distances | Cosines, block: int) -> Iterator[tuple[slice, slice, Tensor]]:
    """All tiles between two panels."""
    for rows in _blocks(space.num_rows, block):
        for columns in _blocks(space.num_columns, block):
            yield rows, columns, space.tile(rows, columns)


def _upper_tiles(distances: Distances, block: int) -> Iterator[tuple[slice, slice, Tensor]]:
    """The tiles of a panel with itself on and above the diagonal, where no sample is near itself."""
    blocks = list(_blocks(distances.num_rows, block))
    for number, rows in enumerate(blocks):
        for columns in blocks[number:]:
            tile = distances.tile(rows, columns)
            if rows == columns:
                tile.fill_diagonal_(torch.inf)
            yield rows, columns, tile


def _own_counts(side: _Side, figures: Tensor, index: Tensor, k: int, block: int) -> Tensor:
    """How many clipped balls about others each sample is in.

    A ball that is known to hold no more than its neighbours is read off their list; of the others all are looked up.
    """
    radii = _clipped(figures[:, k - 1])
    more = figures.shape[1] > k
    full = figures[:, k] == figures[:, k - 1] if more else torch.zeros_like(radii, dtype=torch.bool)
    inside = (figures[:, :k] <= radii[:, None]) & ~full[:, None]
    counts = torch.bincount(index[:, :k][inside], minlength=len(radii)).cpu()
    if not bool(full.any()):
        return counts
    radii = torch.where(full, radii, -1.0)
    looked_up = torch.zeros_like(counts)
    for here, x, there, y in side.rows.pairs():
        ours, same = side.points(x), here == there
        distances = Distances(ours, ours if same else side.points(y), side.frame.scale)
        of_columns, of_rows = Radii(True, radii[there.where], True), Radii(False, radii[here.where], True)
        counter = BallCounter(distances, [of_columns] if same else [of_columns, of_rows])
        for rows, columns, tile in _tiles(distances, block):
            if same and rows == columns:
                tile.fill_diagonal_(torch.inf)
            counter.take(rows, columns, tile)
        for where, (around, _) in zip((here.where, there.where), counter.counts(), strict=False):
            looked_up[where] += around
    return counts + side.rows.peers.total(looked_up)


def _across(
    asked: Sequence[Question], sides: dict[str, _Side], figures: dict[str, Tensor], block: int, found: Answers
) -> None:
    """One pass over the tiles between the sets, for whatever is asked of them."""
    gen, ref = sides["gen"].rows, sides["ref"].rows
    frame = sides["gen"].frame
    balls = [question for question in asked if isinstance(question, Balls)]
    nearest = [question for question in asked if isinstance(question, NearestOther)]
    realism = [question for question in asked if isinstance(question, Realism)]
    if not (balls or nearest or realism):
        return
    squared = {question: _squared_radii(question, figures) for question in balls}
    of_gen, of_ref = (torch.zeros((len(balls), len(rows)), dtype=torch.int64) for rows in (gen, ref))
    best = {question: Best(len(sides[question.side].rows), 1, frame.device) for question in nearest}
    kept = {score: _small_balls(figures["ref"][:, score.k - 1]) for score in realism}
    largest = {score: Best(len(gen), 1, frame.device) for score in realism}
    for here, x, there, y in pairs_between(gen, ref):
        distances = Distances(sides["gen"].points(x), sides["ref"].points(y), frame.scale)
        places = {"gen": here.where, "ref": there.where}
        radii = [Radii(each.side == "ref", squared[each][places[each.side]], each.inclusive) for each in balls]
        counter = BallCounter(distances, radii)
        searches = {
            each: Nearest(distances if each.side == "gen" else distances.swapped(), 1, block) for each in nearest
        }
        quotients = {}
        for score in realism:
            if bool(kept[score][there.where].any()):
                space = Weighted(distances, figures["ref"][there.where, score.k - 1], kept[score][there.where])
                quotients[score] = (space, Nearest(space, 1, block))
        for rows, columns, tile in _tiles(distances, block):
            counter.take(rows, columns, tile)
            for each, search in searches.items():
                if each.side == "gen":
                    search.offer(rows, columns, tile)
                else:
                    search.offer(columns, rows, tile.T.contiguous())
            for space, search in quotients.values():
                search.offer(rows, columns, space.of_distances(tile, columns))
        for number, (ball, (around, inside)) in enumerate(zip(balls, counter.counts(), strict=True)):
            of_gen[number, here.where] += around if ball.side == "ref" else inside
            of_ref[number, there.where] += inside if ball.side == "ref" else around
        for each, search in searches.items():
            best[each].offer(places[each.side], search, places[_OTHER[each.side]].start)
        for score, (_, search) in quotients.items():
            largest[score].offer(here.where, search, there.where.start)
    of_gen, of_ref = gen.peers.total(of_gen), gen.peers.total(of_ref)
    for ball, gens, refs in zip(balls, of_gen, of_ref, strict=True):
        found.balls[ball] = Counts(gens, refs) if ball.side == "ref" else Counts(refs, gens)
    for other in nearest:
        values, index = best[other].settle(gen.peers)
        found.nearest[other] = (_unscaled(values[:, 0], frame.scale), index[:, 0].cpu())
    for score in realism:
        found.realism[score] = largest[score].settle(gen.peers)[0][:, 0].cpu().rsqrt()


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
    question: NearestOther, gen: Rows, ref: Rows, device: torch.device, block: int
) -> tuple[Tensor, Tensor]:
    own, other = (gen, ref) if question.side == "gen" else (ref, gen)
    best = Best(len(own), 1, device)
    for here, x, there, y in pairs_between(own, other):
        space = Cosines(x, y, question.measure == "absolute cosine", device)
        search = Nearest(space, 1, block)
        for rows, columns, tile in _tiles(space, block):
            search.offer(rows, columns, tile)
        best.offer(here.where, search, there.where.start)
    values, index = best.settle(own.peers)
    return values[:, 0].cpu(), index[:, 0].cpu()


def _unscaled(figures: Tensor, scale: float) -> Tensor:
    """Distances in feature units of scaled squared ones."""
    return figures.div(scale).sqrt().cpu().contiguous()
