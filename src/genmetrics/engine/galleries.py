"""Which single images a page shows, and the pictures of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.engine.classes import classes_of_images
from genmetrics.engine.prepare import PreparedSide
from genmetrics.metrics.neighbour_questions import Answers
from genmetrics.metrics.neighbours import NeighbourMetric
from genmetrics.metrics.standing_out import (
    Nearness,
    first_distinct,
    nearness,
    nearness_of,
    questions_of_nearness,
    row_keys,
)
from genmetrics.report.diagnostics import Gallery, Picture, Section
from genmetrics.stats.stats import Stats
from genmetrics.types import Stage

__all__ = [
    "Pick",
    "Picks",
    "chosen_places",
    "pick_by_distance",
    "pick_by_influence",
    "share_neighbours",
    "with_pictures",
]

#: How many images a gallery has, and how many pairs.
_IMAGES, _PAIRS = 24, 16
#: Of larger sets so many are looked at for nearest neighbours, whose number of distances grows with both sets.
_MOST_NEIGHBOURS = 50_000
_WORDS: Mapping[Stage, str] = {"gen": "generated", "ref": "reference"}
_OTHER: Mapping[Stage, Stage] = {"gen": "ref", "ref": "gen"}


@dataclass(frozen=True)
class Pick:
    """An image that is shown.

    Attributes:
        index: in its set.
        figures: what is known of it.
        nearest: the index of the nearest image of the other set; None where that is not shown.
    """

    index: int
    figures: Mapping[str, float]
    nearest: int | None = None


@dataclass(frozen=True)
class Picks:
    """The images of a gallery, of one set, in their order, out of how many."""

    side: Stage
    picks: tuple[Pick, ...]
    of: int


def chosen_places(count: int, seed: int) -> Int64[Tensor, " m"] | None:
    """Which samples of a set are looked at for nearest neighbours; None for all."""
    if count <= _MOST_NEIGHBOURS:
        return None
    drawn = np.random.default_rng(seed).choice(count, _MOST_NEIGHBOURS, replace=False)
    return torch.from_numpy(np.sort(drawn))


def share_neighbours(metric: NeighbourMetric, gen: Stats, ref: Stats) -> None:
    """Let a metric's pass over the distances find what galleries take too, unless they are of a part of the images.

    Args:
        metric: which has not been computed yet.
        gen: the generated set, all of whose images the metric compares with those of the reference.
        ref: the reference.
    """
    num_gen, num_ref = (metric.bank(side).num_samples for side in (gen, ref))
    if num_ref > 1 and max(num_gen, num_ref) <= _MOST_NEIGHBOURS:
        metric.also = questions_of_nearness(num_ref)


def pick_by_influence(bank: FeatureBank, influence: Float64[Tensor, " n"]) -> Picks:
    """The generated images that raise the distance most, of those that are alike one.

    Args:
        bank: the generated features; every process that holds some of them takes part.
        influence: of each, by ascending index.
    """
    raising = torch.where(influence > 0, influence, -torch.inf)
    places = first_distinct(raising, row_keys(bank.in_panels()), _IMAGES, descending=True)
    indices = bank.indices()
    picks = (Pick(int(indices[place]), {"influence": float(influence[place])}) for place in places)
    return Picks("gen", tuple(picks), len(influence))


def pick_by_distance(
    gen: FeatureBank,
    ref: FeatureBank,
    influence: Float64[Tensor, " n"],
    seed: int,
    device: torch.device,
    answers: Answers | None = None,
) -> tuple[dict[Section, Picks], tuple[str, ...]]:
    """The images that are shown for their distance to others, and a note where not all were looked at.

    Args:
        gen: the generated features, of which every process that holds some takes part.
        ref: those of the reference, likewise, at least two.
        influence: of each generated image, by ascending index.
        seed: of the draw from sets that are too large.
        device: where to compute.
        answers: of the pass that a metric has shared; None to look here.
    """
    rows, indices, places = {}, {}, {}
    notes: list[str] = []
    banks: dict[Stage, FeatureBank] = {"gen": gen, "ref": ref}
    for side, bank in banks.items():
        rows[side], indices[side] = bank.in_panels(), bank.indices()
        places[side] = chosen_places(bank.num_samples, seed)
        if (drawn := places[side]) is not None:
            rows[side], indices[side] = rows[side].only(drawn), indices[side][drawn]
            notes.append(f"{len(drawn):,} of the {bank.num_samples:,} {_WORDS[side]}")
    if answers is None:
        found = nearness(rows["gen"], rows["ref"], device)
    else:
        found = nearness_of(answers, len(rows["ref"]))
    keys = {side: row_keys(of_side) for side, of_side in rows.items()}
    of_gen = influence if places["gen"] is None else influence[places["gen"]]

    def pairs(side: Stage, at: Sequence[int], figures: Mapping[str, Tensor]) -> Picks:
        nearest = found.nearest_ref if side == "gen" else found.nearest_gen
        picks = (
            Pick(
                int(indices[side][place]),
                {name: float(values[place]) for name, values in figures.items()},
                int(indices[_OTHER[side]][nearest[place]]),
            )
            for place in at
        )
        return Picks(side, tuple(picks), len(indices[side]))

    picked: dict[Section, Picks] = {
        "uncovered": pairs(
            "ref",
            first_distinct(
                torch.where(found.radius > 0, found.uncovered, -torch.inf), keys["ref"], _IMAGES, descending=True
            ),
            {"ratio": found.uncovered, "distance": found.to_gen, "radius": found.radius},
        ),
        "copied": pairs(
            "gen",
            first_distinct(found.copying, keys["gen"], _PAIRS, descending=False),
            {"ratio": found.copying, "distance": found.to_ref},
        ),
        "unrealistic": pairs(
            "gen",
            _least_real(found, keys["gen"]),
            {"realism": found.realism, "distance": found.to_ref, "influence": of_gen},
        ),
    }
    note = f"for the galleries {' and '.join(notes)} images were compared with one another, drawn with seed {seed}"
    return picked, (note,) if notes else ()


def _least_real(found: Nearness, keys: Int64[Tensor, " n"]) -> list[int]:
    """The samples of least realism; none where there is no ball to judge by."""
    if not bool((found.realism > 0).any()):
        return []
    return first_distinct(found.realism, keys, _IMAGES, descending=False)


def with_pictures(
    galleries: Mapping[Section, Picks], sides: Mapping[Stage, tuple[PreparedSide, Stats]]
) -> dict[Section, Gallery]:
    """The galleries with names, classes and small versions of their images, which are read once more for it.

    Args:
        galleries: the images, by where they are shown.
        sides: where they come from, and what is known of them.
    """
    wanted: dict[Stage, set[int]] = {"gen": set(), "ref": set()}
    for gallery in galleries.values():
        wanted[gallery.side] |= {pick.index for pick in gallery.picks}
        wanted[_OTHER[gallery.side]] |= {pick.nearest for pick in gallery.picks if pick.nearest is not None}
    albums = {side: _Album(*sides[side], indices) for side, indices in wanted.items() if side in sides}
    return {
        section: Gallery(tuple(_pictures(gallery, albums)), gallery.of)
        for section, gallery in galleries.items()
        if gallery.picks
    }


class _Album:
    """What is known of the images of one set that are shown."""

    def __init__(self, prepared: PreparedSide, stats: Stats, indices: set[int]) -> None:
        self._names = prepared.names() if indices else None
        self._classes = classes_of_images(stats)
        self._small = prepared.thumbnails(indices)

    def picture(self, index: int, figures: Mapping[str, float], nearest: Picture | None = None) -> Picture:
        """One image."""
        small = self._small.get(index)
        name = "" if self._names is None else self._names[index]
        address, size = ("", None) if small is None else (small.address, small.size)
        return Picture(index, name, self._classes.get(index), figures, address, size, nearest)


def _pictures(gallery: Picks, albums: Mapping[Stage, _Album]) -> Iterable[Picture]:
    for pick in gallery.picks:
        nearest = None if pick.nearest is None else albums[_OTHER[gallery.side]].picture(pick.nearest, {})
        yield albums[gallery.side].picture(pick.index, pick.figures, nearest)
