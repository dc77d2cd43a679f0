"""What a page takes from a result beyond its checked figures. The file may be anybody's: every field is checked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genmetrics.report.plain_values import PlainReader
from genmetrics.report.saved import SavedResult
from genmetrics.types import Table

__all__ = ["Shown", "ShownMetric", "ShownSide", "as_text", "shown"]

#: Figures that have a place of their own on the page.
_PLACED = ("se", "ci95_low", "ci95_high", "debiased")


@dataclass(frozen=True)
class ShownMetric:
    """A metric's figures beside the main one.

    Attributes:
        extra: the other figures, by name, without those that error bars are made of.
        warnings: what a reader of the number must know.
        per_class: the table with a row a class; None if there is none.
    """

    extra: Mapping[str, float]
    warnings: tuple[str, ...]
    per_class: Table | None


@dataclass(frozen=True)
class ShownSide:
    """What is said of one set beside its source and count.

    Attributes:
        skipped: the images that were left out, each with the reason.
        notes: what a reader must know of the set.
        others: all other fields, as texts.
    """

    skipped: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    others: Mapping[str, str]


@dataclass(frozen=True)
class Shown:
    """One result with what the page shows of it.

    Attributes:
        label: what the page calls it.
        saved: the result.
        metrics: what else is known of its metrics, by their ids.
        gen: of the generated set.
        ref: of the reference; None if there is none.
        notes: of the run.
        advice: what puts figures in doubt, and what to do about it.
        command: what repeats the run; empty if nothing does.
    """

    label: str
    saved: SavedResult
    metrics: Mapping[str, ShownMetric]
    gen: ShownSide
    ref: ShownSide | None
    notes: tuple[str, ...]
    advice: tuple[str, ...]
    command: str

    @property
    def content(self) -> Mapping[str, Any]:
        """All of the result, as its file has it."""
        return self.saved.content


def shown(saved: SavedResult, label: str) -> Shown:
    """A result with its further fields checked.

    Raises:
        UsageError: naming the field that is not as it should be.
    """
    return _Reader(saved.name).result(saved, label)


def as_text(value: object) -> str:
    """A value of a JSON file as a person reads it: texts as they are, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


class _Reader(PlainReader):
    """Takes the further fields apart."""

    def result(self, saved: SavedResult, label: str) -> Shown:
        content = saved.content
        metrics = self.mapping(content["metrics"], "metrics")
        return Shown(
            label,
            saved,
            {
                name: self._metric(self.mapping(of, f"metrics.{name}"), f"metrics.{name}")
                for name, of in metrics.items()
            },
            self._side(content["gen"], "gen"),
            None if saved.ref is None else self._side(content["ref"], "ref"),
            self._texts(content.get("notes"), "notes"),
            self._texts(content.get("advice"), "advice"),
            self.text(content.get("command") or "", "command"),
        )

    def _metric(self, fields: Mapping[str, Any], where: str) -> ShownMetric:
        extra = self.mapping(fields.get("extra") or {}, f"{where}.extra")
        others = {
            name: self.number(value, f"{where}.extra.{name}")
            for name, value in extra.items()
            if name not in _PLACED and value is not None
        }
        table = fields.get("per_class")
        per_class = None if table is None else self._table(table, f"{where}.per_class")
        return ShownMetric(others, self._texts(fields.get("warnings"), f"{where}.warnings"), per_class)

    def _side(self, read: object, where: str) -> ShownSide:
        fields = self.mapping(read, where)
        skipped = []
        for image in self.sequence(fields.get("skipped") or (), f"{where}.skipped"):
            of = self.mapping(image, f"{where}.skipped")
            texts = [self.text(of.get(key, ""), f"{where}.skipped.{key}") for key in ("name", "reason")]
            skipped.append((texts[0], texts[1]))
        placed = ("source", "kind", "num_samples", "digest", "skipped", "notes", "stats_file")
        others = {key: as_text(value) for key, value in fields.items() if key not in placed and value}
        if fields.get("formats"):
            counts = self.mapping(fields["formats"], f"{where}.formats").items()
            others["formats"] = ", ".join(
                f"{self.number(count, f'{where}.formats.{name}'):,.0f} {name}" for name, count in counts
            )
        if fields.get("sizes"):
            others["sizes"] = self._sizes(self.mapping(fields["sizes"], f"{where}.sizes"), f"{where}.sizes")
        return ShownSide(tuple(skipped), self._texts(fields.get("notes"), f"{where}.notes"), others)

    def _sizes(self, fields: Mapping[str, Any], where: str) -> str:
        """The smallest and the largest image, once where they are alike."""
        ends = [self.numbers(fields.get(key), f"{where}.{key}", 2) for key in ("smallest", "largest")]
        return " to ".join(dict.fromkeys(f"{width:,.0f} × {height:,.0f}" for width, height in ends))

    def _texts(self, read: object, where: str) -> tuple[str, ...]:
        if read is None:
            return ()
        return tuple(self.text(text, where) for text in self.sequence(read, where))

    def _table(self, read: object, where: str) -> Table:
        """Columns of equal length, of which one is ``class`` and another has numbers."""
        columns: dict[str, Sequence[float | int | str]] = {}
        for name, column in self.mapping(read, where).items():
            values = self.sequence(column, f"{where}.{name}")
            columns[name] = (
                [as_text(value) for value in values] if name == "class" else self.numbers(values, f"{where}.{name}")
            )
        lengths = {name: len(column) for name, column in columns.items()}
        if "class" not in columns or len(columns) < 2 or len(set(lengths.values())) > 1:
            raise self.damaged(where, "columns of equal length, one of them 'class'", lengths)
        return columns
