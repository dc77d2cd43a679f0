"""Images that are identical to one another, found by their keys.

That images which differ are called identical has a probability of at most n²/2⁶⁵ within a set and n·m/2⁶⁴ between two:
keys have 64 bits (see ``genmetrics.accumulators.image_keys``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from genmetrics.accumulators.image_keys import ImageKeys

__all__ = ["Names", "Repeated", "pairs_text", "repeated_between", "repeated_within"]

#: Gives what a person finds the images of a set by, by index; None where that is not known.
Names = Callable[[], Sequence[str] | None]
_SHOWN = 3


@dataclass(frozen=True)
class Repeated:
    """Images that are there again.

    Attributes:
        count: how many images are identical to an earlier one of their set, or to one of the other set.
        distinct: how many different images the set has.
        pairs: the indices of the first few, each after that of the image that it is identical to.
    """

    count: int
    distinct: int
    pairs: tuple[tuple[int, int], ...]


def repeated_within(keys: ImageKeys) -> Repeated:
    """The images of a set that are identical to an earlier one."""
    values, indices = keys.values(), keys.indices()
    found, first = _first_of_each(values)
    original = first[torch.searchsorted(found, values)]
    again = torch.nonzero(original != torch.arange(len(values)))[:, 0]
    pairs = [(int(indices[original[place]]), int(indices[place])) for place in again[:_SHOWN]]
    return Repeated(len(again), len(found), tuple(pairs))


def repeated_between(gen: ImageKeys, ref: ImageKeys) -> Repeated:
    """The generated images that are identical to a reference image; the pairs are (generated, reference)."""
    values, theirs = gen.values(), ref.values()
    found, first = _first_of_each(theirs)
    distinct = len(torch.unique(values))
    if not len(found):
        return Repeated(0, distinct, ())
    nearest = torch.searchsorted(found, values).clamp(max=len(found) - 1)
    places = torch.nonzero(found[nearest] == values)[:, 0]
    ours, of_ref = gen.indices(), ref.indices()
    pairs = [(int(ours[place]), int(of_ref[first[nearest[place]]])) for place in places[:_SHOWN]]
    return Repeated(len(places), distinct, tuple(pairs))


def pairs_text(repeated: Repeated, one: Names | None, other: Names | None) -> str:
    """The first pairs in words, by name where that is known, else by index.

    Args:
        repeated: what was found.
        one: the names of the first images of the pairs.
        other: of the second ones.
    """
    names = [None if of is None else of() for of in (one, other)]
    texts = [" and ".join(_named(index, of) for index, of in zip(pair, names, strict=True)) for pair in repeated.pairs]
    return ", ".join(texts) + (", …" if repeated.count > len(texts) else "")


def _first_of_each(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The different values, ascending, and the place where each comes first."""
    ordered, order = values.sort(stable=True)
    first = torch.ones(len(ordered), dtype=torch.bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first], order[first]


def _named(index: int, names: Sequence[str] | None) -> str:
    return f"image {index}" if names is None else f"'{names[index]}'"
