"""The classes of single images, by what they are called."""

from __future__ import annotations

from genmetrics.metrics.classes import name_of_class
from genmetrics.stats.stats import Stats

__all__ = ["classes_of_images"]


def classes_of_images(stats: Stats) -> dict[int, int | str]:
    """The class of each image by the image's index, by its name if the classes have any."""
    if stats.labels is None:
        return {}
    state, names = stats.labels.state(), stats.class_names
    pairs = zip(state["indices"].tolist(), state["values"].tolist(), strict=True)
    return {index: name_of_class(names, number) if names else number for index, number in pairs}
