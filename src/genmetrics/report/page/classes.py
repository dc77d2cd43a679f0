"""Figures of single classes as bars, the most and the least first where there are many."""

from __future__ import annotations

import math
from dataclasses import dataclass

from genmetrics.report.page.content import Shown
from genmetrics.report.page.numbers import counted, figure, plain, signed
from genmetrics.types import Table

__all__ = ["ClassBar", "ClassTable", "class_tables"]

#: So many classes of either end have bars; the rest stand in a table.
_EACH_END = 20
#: So many rows of a table are shown; the JSON has all.
_MOST_ROWS = 1000


@dataclass(frozen=True)
class ClassBar:
    """A class with its figure, and the bar from ``left`` on, ``width`` wide, in percent of the line."""

    name: str
    value: str
    left: float
    width: float
    negative: bool
    count: str


@dataclass(frozen=True)
class ClassTable:
    """One figure of all classes.

    Attributes:
        title: of what.
        words: what the bars say.
        column: what the figure is called.
        most: the classes of the largest figures, descending; all where there are few.
        least: those of the smallest, descending; empty where there are few.
        count: how many classes there are.
        columns: the names of all columns, where the table is shown as well.
        rows: its first rows, in the file's order.
    """

    title: str
    words: str
    column: str
    most: tuple[ClassBar, ...]
    least: tuple[ClassBar, ...]
    count: int
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def class_tables(result: Shown) -> tuple[ClassTable, ...]:
    """The tables of classes of a result: the influence of each class first, then those of its metrics."""
    found = []
    diagnostics = result.saved.diagnostics
    if diagnostics is not None and diagnostics.classes:
        words = (
            f"By how much the images of each class raise {diagnostics.metric} (above zero) or lower it (below), to "
            "first order and relative to the set: the influences of all images add up to zero."
        )
        found.append(_table(diagnostics.classes, "influence", "Influence of each class", words))
    shown_already = any(table is not None for table in found)
    for name, metric in result.metrics.items():
        if metric.per_class is None or (shown_already and "influence" in metric.per_class):
            continue
        main = next(
            (column for column in metric.per_class if column != "class" and not column.startswith("num_")), None
        )
        if main is not None:
            found.append(
                _table(metric.per_class, main, f"{name} by class", f"The figure {main} of each class by itself.")
            )
    return tuple(table for table in found if table is not None)


def _table(table: Table, main: str, title: str, words: str) -> ClassTable | None:
    """None if it has no such column of numbers, or no class."""
    if "class" not in table or not table.get(main):
        return None
    values = [value for value in table[main] if not isinstance(value, str) and math.isfinite(value)]
    if len(values) != len(table["class"]):
        return None
    counts = table.get("num_gen")
    scale = (min(0.0, *values), max(0.0, *values))
    unit = max(map(abs, scale)) or 1.0
    length = (scale[1] / unit - scale[0] / unit) or 1.0
    zero = -scale[0] / unit / length
    signs = scale[0] < 0

    def bar(place: int) -> ClassBar:
        part = values[place] / unit / length
        count = counts[place] if counts is not None else ""
        return ClassBar(
            str(table["class"][place]),
            signed(values[place], 3) if signs else figure(values[place], 3),
            round(100 * (zero + min(part, 0.0)), 2),
            round(100 * abs(part), 2),
            part < 0,
            counted(int(count), "image") if isinstance(count, (int, float)) and math.isfinite(count) else "",
        )

    order = sorted(range(len(values)), key=lambda place: -values[place])
    if len(order) <= 2 * _EACH_END:
        return ClassTable(title, words, main, tuple(map(bar, order)), (), len(order), (), ())
    columns = ("class", *(name for name in table if name != "class"))
    rows = tuple(tuple(_cell(table[name][place]) for name in columns) for place in range(min(len(values), _MOST_ROWS)))
    most, least = (tuple(map(bar, part)) for part in (order[:_EACH_END], order[-_EACH_END:]))
    return ClassTable(title, words, main, most, least, len(order), columns, rows)


def _cell(value: float | int | str) -> str:
    if isinstance(value, str) or not math.isfinite(value):
        return str(value)
    return plain(float(value))
