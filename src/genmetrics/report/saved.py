"""Results read back from JSON, for what is made of several of them. Nothing here imports torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from genmetrics.errors import UsageError
from genmetrics.report.diagnostics import Diagnostics
from genmetrics.report.plain_values import PlainReader
from genmetrics.report.report import SCHEMA, Report
from genmetrics.types import Stage

__all__ = ["ResultLike", "SavedMetric", "SavedResult", "SavedSide", "is_result", "read_result", "results_in"]

#: A result: a JSON file that ``genmetrics eval --json FILE`` or ``Report.save`` wrote, its content, or a report.
ResultLike = Report | Mapping[str, Any] | str | Path

_WRITTEN_BY = "expected a result that 'genmetrics eval GEN --ref REF --json FILE' wrote"
_STAGES: tuple[Stage, ...] = ("gen", "ref")
_FIGURES = ("se", "ci95_low", "ci95_high", "debiased")


@dataclass(frozen=True)
class SavedSide:
    """What a result says of one image set; None stands where it does not say."""

    source: str
    kind: str
    num_samples: int | None
    digest: str | None
    stats_file: str | None


@dataclass(frozen=True)
class SavedMetric:
    """One metric's figures in a result.

    Attributes:
        id: the metric's id.
        value: the main figure.
        protocol: what the number stands for.
        debiased: the value without the bias of few samples; None where there is none.
        se: the standard error of ``debiased``, or of ``value`` where there is none; None if it is not known.
        ci95: the 95 % interval; None if it is not known.
        replicates: the values without one block of samples each, by the side that the blocks are of.
    """

    id: str
    value: float
    protocol: str
    debiased: float | None
    se: float | None
    ci95: tuple[float, float] | None
    replicates: Mapping[Stage, tuple[float, ...]]


@dataclass(frozen=True)
class SavedResult:
    """One result.

    Attributes:
        name: the file, or what else a person knows it by.
        path: the file; None if it came as an object.
        metrics: the figures, by metric id.
        gen: the generated set.
        ref: the reference; None if no metric needed one.
        networks: what is said of each network, by its id: the sha256 of its weights, its preprocessing as data.
        seed: of every random choice; None if it is not said.
        diagnostics: what can be shown beyond the figures; None if it was not asked for.
        content: all of it, as ``Report.to_dict`` gives it.
    """

    name: str
    path: Path | None
    metrics: Mapping[str, SavedMetric]
    gen: SavedSide
    ref: SavedSide | None
    networks: Mapping[str, Mapping[str, Any]]
    seed: int | None
    diagnostics: Diagnostics | None = None
    content: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), repr=False)


def results_in(path: Path) -> tuple[Path, ...]:
    """The file itself, or all ``.json`` files of a folder in the order of their names.

    Raises:
        UsageError: if there is nothing, or the folder has no such file.
    """
    if not path.is_dir():
        if not path.exists():
            raise UsageError(f"there is no file '{path}'; {_WRITTEN_BY}, or a folder of such files")
        return (path,)
    found = tuple(sorted(entry for entry in path.iterdir() if entry.suffix.lower() == ".json" and entry.is_file()))
    if not found:
        raise UsageError(f"the folder '{path}' has no .json file; {_WRITTEN_BY}, or a folder of such files")
    return found


def is_result(path: Path) -> bool:
    """Whether a file is a result, and not anything else that happens to have its name."""
    try:
        read_result(path)
    except UsageError:
        return False
    return True


def read_result(given: ResultLike, name: str = "") -> SavedResult:
    """A result with its fields checked.

    Args:
        given: a file, its content, or a report.
        name: what to call it where it is no file.

    Raises:
        UsageError: if it is no result, or one of a newer version; the message says what it is in place of that.
    """
    if isinstance(given, Report):
        return _Reader(name or given.gen.source).result(given.to_dict(), None)
    if isinstance(given, Mapping):
        return _Reader(name or "a result").result(given, None)
    path = Path(given)
    return _Reader(str(path)).result(_json_of(path), path)


def _json_of(path: Path) -> object:
    try:
        return json.loads(path.read_bytes().decode())
    except OSError as error:
        raise UsageError(f"cannot read '{path}': {error.strerror or error}; {_WRITTEN_BY}") from error
    except UnicodeDecodeError:
        raise UsageError(
            f"'{path}' is no JSON; {_WRITTEN_BY}. Statistics and images are measured first: "
            f"'genmetrics eval {path} --ref REF --json FILE'"
        ) from None
    except json.JSONDecodeError as error:
        what = "is empty" if path.stat().st_size == 0 else f"is no JSON (line {error.lineno}: {error.msg})"
        raise UsageError(f"'{path}' {what}; {_WRITTEN_BY}") from None


class _Reader(PlainReader):
    """Takes a result apart and names the field that is not as it should be."""

    def result(self, read: object, path: Path | None) -> SavedResult:
        if not isinstance(read, Mapping):
            raise UsageError(f"'{self._name}' holds {_kind(read)}; {_WRITTEN_BY}")
        if "comparisons" in read or {"a", "b"} <= read.keys():
            raise UsageError(f"'{self._name}' is a comparison already; {_WRITTEN_BY}")
        missing = [key for key in ("schema", "genmetrics", "metrics", "gen") if key not in read]
        if missing:
            keys = ", ".join(map(repr, list(read)[:4]))
            raise UsageError(f"'{self._name}' has no {missing[0]!r} (its keys: {keys or 'none'}); {_WRITTEN_BY}")
        if read["schema"] != SCHEMA:
            raise UsageError(
                f"'{self._name}' has schema {read['schema']!r} (genmetrics {read['genmetrics']}), and this version "
                f"reads {SCHEMA}; update genmetrics, or evaluate again with this version"
            )
        networks = self.mapping(read.get("extractors") or {}, "extractors")
        ref, seed = read.get("ref"), read.get("seed")
        return SavedResult(
            self._name,
            path,
            {name: self._metric(name, of) for name, of in self.mapping(read["metrics"], "metrics").items()},
            self._side(read["gen"], "gen"),
            None if ref is None else self._side(ref, "ref"),
            {name: self._network(of, f"extractors.{name}") for name, of in networks.items()},
            seed if isinstance(seed, int) else None,
            Diagnostics.from_dict(read["diagnostics"], self._name) if read.get("diagnostics") is not None else None,
            read,
        )

    def _metric(self, name: str, read: object) -> SavedMetric:
        where = f"metrics.{name}"
        fields = self.mapping(read, where)
        extra = self.mapping(fields.get("extra") or {}, f"{where}.extra")
        known = {key: self.number(extra[key], f"{where}.extra.{key}") for key in _FIGURES if extra.get(key) is not None}
        low, high = known.get("ci95_low"), known.get("ci95_high")
        if known.get("se", 0.0) < 0 or (low is not None and high is not None and low > high):
            raise self.damaged(f"{where}.extra", "a standard error of at least 0 and ci95_low <= ci95_high", extra)
        replicates = self.mapping(fields.get("replicates") or {}, f"{where}.replicates")
        return SavedMetric(
            name,
            self.number(fields.get("value"), f"{where}.value"),
            self.text(fields.get("protocol"), f"{where}.protocol"),
            known.get("debiased"),
            known.get("se"),
            None if low is None or high is None else (low, high),
            {
                side: self._replicates(replicates[side], f"{where}.replicates.{side}")
                for side in _STAGES
                if replicates.get(side)
            },
        )

    def _network(self, read: object, where: str) -> Mapping[str, Any]:
        fields = self.mapping(read, where)
        if fields.get("weights_sha256") is not None:
            self.text(fields["weights_sha256"], f"{where}.weights_sha256")
        self.mapping(fields.get("preprocess") or {}, f"{where}.preprocess")
        return fields

    def _side(self, read: object, where: str) -> SavedSide:
        fields = self.mapping(read, where)
        count = fields.get("num_samples")
        if count is not None and (not isinstance(count, int) or isinstance(count, bool)):
            raise self.damaged(f"{where}.num_samples", "a number", count)
        optional = [
            None if fields.get(key) is None else self.text(fields[key], f"{where}.{key}")
            for key in ("digest", "stats_file")
        ]
        text = [self.text(fields.get(key), f"{where}.{key}") for key in ("source", "kind")]
        return SavedSide(text[0], text[1], count, *optional)

    def _replicates(self, read: object, where: str) -> tuple[float, ...]:
        if not isinstance(read, (list, tuple)) or len(read) < 2:
            raise self.damaged(where, "a list of at least two numbers", read)
        return self.numbers(read, where)


def _kind(read: object) -> str:
    return {list: "a list", str: "a text", type(None): "null"}.get(type(read), f"a {type(read).__name__}")
