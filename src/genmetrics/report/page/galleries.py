"""Galleries of single images, and how many of them a page can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from genmetrics.report.diagnostics import Diagnostics, Gallery, Picture
from genmetrics.report.page.numbers import figure, signed

__all__ = ["GALLERIES", "Card", "GallerySection", "GalleryView", "Thumbnail", "gallery_view", "pictures_that_fit"]

GallerySection = Literal["raises", "unrealistic", "uncovered", "copied"]


@dataclass(frozen=True)
class _Kind:
    """What a gallery is called, what to look for in it, and of which set it is."""

    title: str
    intro: str
    set: str
    other: str


GALLERIES: Mapping[GallerySection, _Kind] = {
    "raises": _Kind(
        "Images that raise the distance most",
        "Without such an image the distance would be lower by about its influence. They show what the model does "
        "that the reference does not.",
        "generated",
        "reference",
    ),
    "unrealistic": _Kind(
        "Least realistic images",
        "The generated images that lie furthest outside the reference; a realism above 1 would be inside.",
        "generated",
        "reference",
    ),
    "uncovered": _Kind(
        "Reference images that nothing generated comes near",
        "What the model leaves out: these have no generated image among their neighbours.",
        "reference",
        "generated",
    ),
    "copied": _Kind(
        "Generated images beside their nearest reference image",
        "The nearest pairs first. Two pictures of one thing are no harm; the same picture twice is a copy, and the "
        "model may have memorised it.",
        "generated",
        "reference",
    ),
}
#: Bytes of a card beside its pictures.
_CARD = 1200


@dataclass(frozen=True)
class Thumbnail:
    """A picture as the page shows it.

    Attributes:
        set: the set that it is of.
        name: what a person finds it by.
        source: its ``data:`` address; empty where there is none.
        alt: it in words.
        size: its own width and height, in words; empty where that is not known.
    """

    set: str
    name: str
    source: str
    alt: str
    size: str


@dataclass(frozen=True)
class Card:
    """A picture with its figures, and the nearest one of the other set beside it if that was looked for."""

    picture: Thumbnail
    nearest: Thumbnail | None
    label: str
    figures: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class GalleryView:
    """A gallery as the page shows it."""

    cards: tuple[Card, ...]
    held: int
    of: int


def gallery_view(section: GallerySection, gallery: Gallery, most: int) -> GalleryView:
    """The first pictures of a gallery.

    Args:
        section: which gallery.
        gallery: its pictures.
        most: how many to show.
    """
    kind = GALLERIES[section]
    cards = tuple(_card(picture, kind) for picture in gallery.pictures[:most])
    return GalleryView(cards, len(gallery.pictures), gallery.of)


def pictures_that_fit(results: Sequence[Diagnostics], room: int, most: int) -> int:
    """How many pictures of each gallery all results can show within so many bytes; ``most`` at most."""
    galleries = [gallery for of in results for section in GALLERIES if (gallery := getattr(of, section)) is not None]
    used = 0
    for place in range(most):
        used += sum(_weight(of.pictures[place]) for of in galleries if place < len(of.pictures))
        if used > room:
            return place
    return most


def _weight(picture: Picture) -> int:
    beside = 0 if picture.nearest is None else len(picture.nearest.image) + 4 * len(picture.nearest.name)
    # A name stands in the caption, the title and the text for the picture, and may grow when it is escaped.
    return _CARD + len(picture.image) + 4 * len(picture.name) + beside


def _card(picture: Picture, kind: _Kind) -> Card:
    figures = tuple(
        (name, signed(value, 3) if name == "influence" else figure(value, 3)) for name, value in picture.figures.items()
    )
    nearest = None if picture.nearest is None else _thumbnail(picture.nearest, kind.other, ())
    return Card(
        _thumbnail(picture, kind.set, figures),
        nearest,
        "" if picture.label is None else str(picture.label),
        figures,
    )


def _thumbnail(picture: Picture, of: str, figures: Sequence[tuple[str, str]]) -> Thumbnail:
    name = picture.name or f"no. {picture.index}"
    label = "" if picture.label is None else f", class {picture.label}"
    said = "".join(f", {key} {value}" for key, value in figures)
    size = "" if picture.size is None else f"{picture.size[0]} × {picture.size[1]}"
    return Thumbnail(of, name, picture.image, f"{of} image {name}{label}{said}", size)
