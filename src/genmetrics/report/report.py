"""The result of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from genmetrics.errors import UnknownNameError, UsageError
from genmetrics.files import write_text
from genmetrics.registry import did_you_mean
from genmetrics.report.diagnostics import Diagnostics
from genmetrics.report.single_images import check_table_name, one_table, write_table
from genmetrics.types import ExtractorRecord, MetricResult, SideRecord, Sizes, Stage

__all__ = ["SCHEMA", "Report"]

SCHEMA = 1


@dataclass(frozen=True)
class Report:
    """All figures of a run and all that is needed to place or repeat them.

    Attributes:
        metrics: the results, by metric id.
        gen: the generated set.
        ref: the reference set; None if no metric needed one.
        extractors: the networks, by id.
        versions: of genmetrics, Python and the packages that touch the numbers.
        device: where the networks ran.
        num_processes: how many processes shared the images.
        seed: of every random choice.
        seconds: wall time of the stages.
        notes: what a reader must know of the run as a whole.
        reused: the sides whose statistics, or some of them, were kept from an earlier run.
        names: what a person finds the images of each side by, by index; empty where that is not known.
        labels: the class of each generated image, by index; empty where that is not known, or nothing is of single
            images.
        advice: what of the two sets puts figures in doubt, and what to do about it.
        command: a command that repeats the run; None where a set is no file that could be named.
        diagnostics: what can be shown beyond the figures; None if it was not asked for.
    """

    metrics: Mapping[str, MetricResult]
    gen: SideRecord
    ref: SideRecord | None
    extractors: Mapping[str, ExtractorRecord]
    versions: Mapping[str, str]
    device: str
    num_processes: int
    seed: int
    seconds: Mapping[str, float]
    notes: tuple[str, ...] = ()
    reused: tuple[Stage, ...] = ()
    names: Mapping[Stage, Sequence[str]] = field(default_factory=lambda: MappingProxyType({}))
    labels: Mapping[int, int | str] = field(default_factory=lambda: MappingProxyType({}))
    advice: tuple[str, ...] = ()
    command: str | None = None
    diagnostics: Diagnostics | None = None

    def __getitem__(self, name: str) -> MetricResult:
        """The result of a metric.

        Raises:
            UnknownNameError: if the run did not compute it.
        """
        try:
            return self.metrics[name]
        except KeyError:
            hint = did_you_mean(name, list(self.metrics))
            raise UnknownNameError(f"the report has no metric {name!r}; {hint}") from None

    def __contains__(self, name: object) -> bool:
        """Whether the run computed a metric."""
        return name in self.metrics

    def __iter__(self) -> Iterator[str]:
        """The ids of the metrics, in their order."""
        return iter(self.metrics)

    def __len__(self) -> int:
        """How many metrics there are."""
        return len(self.metrics)

    @property
    def warnings(self) -> tuple[str, ...]:
        """All that a reader must know: the advice, then the notices, each once."""
        return tuple(dict.fromkeys((*self.advice, *self.notices)))

    @property
    def notices(self) -> tuple[str, ...]:
        """What a reader must know beside the advice, of the metrics and of the two sets, with what it is about."""
        found = [*self.notes]
        found += [
            f"{name}: {note}"
            for name, side in (("gen", self.gen), ("ref", self.ref))
            if side is not None
            for note in side.notes
        ]
        about: dict[str, list[str]] = {}
        for result in self.metrics.values():
            for text in result.warnings:
                about.setdefault(text, []).append(result.id)
        found += [f"{', '.join(ids)}: {text}" for text, ids in about.items()]
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values, in the layout of the JSON file."""
        return {
            "schema": SCHEMA,
            "genmetrics": self.versions["genmetrics"],
            "metrics": {
                name: {
                    "value": result.value,
                    "extra": dict(result.extra),
                    "protocol": str(result.protocol),
                    "warnings": list(result.warnings),
                    **_per_class(result),
                    **_replicates(result),
                }
                for name, result in self.metrics.items()
            },
            "gen": _side(self.gen),
            "ref": None if self.ref is None else _side(self.ref),
            "extractors": {name: record.as_dict() for name, record in self.extractors.items()},
            "versions": {key: value for key, value in self.versions.items() if key != "genmetrics"},
            "device": self.device,
            "num_processes": self.num_processes,
            "seed": self.seed,
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "notes": list(self.notes),
            "advice": list(self.advice),
            "reused": list(self.reused),
            "command": self.command,
            **({} if self.diagnostics is None else {"diagnostics": self.diagnostics.to_dict()}),
        }

    def to_json(self) -> str:
        """The report as indented JSON, with every digit of every figure."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False, ensure_ascii=False)

    def to_markdown(self) -> str:
        """The figures as a Markdown table, with protocols and warnings."""
        lines = ["| metric | value | ± | protocol |", "|---|---:|---:|---|"]
        for result in self.metrics.values():
            spread = f"{result.extra['std']:.4g}" if "std" in result.extra else ""
            lines.append(f"| {result.id} | {result.value:.6g} | {spread} | `{result.protocol}` |")
        lines += ["", f"gen: {_described(self.gen)}  "]
        if self.ref is not None:
            lines.append(f"ref: {_described(self.ref)}")
        if self.warnings:
            lines += ["", *(f"- advice: {text}" for text in self.advice), *(f"- {text}" for text in self.notices)]
        return "\n".join(lines) + "\n"

    def save(self, path: str | Path) -> None:
        """Write the report as JSON; the file appears only when it is whole.

        Raises:
            OutputError: if it cannot be written.
        """
        write_text(Path(path), self.to_json() + "\n")

    def per_image(self) -> dict[str, list[float | int | str]]:
        """All figures of single generated images, as columns of one table.

        ``index`` and, where they are known, ``name`` and ``label``, the image's class; then ``<metric>.<figure>``. A
        figure that is the index of a reference image has its name beside it, where that is known.

        Raises:
            UsageError: if no metric of the run has figures of single images.
        """
        tables = {name: result.per_image for name, result in self.metrics.items() if result.per_image is not None}
        if not tables:
            raise UsageError(
                f"none of the metrics has figures of single images ({', '.join(self.metrics)}); ask for one that does, "
                "such as fid_influence, realism, nearest or clip_score"
            )
        return one_table(tables, self.names, self.labels)

    def save_per_image(self, path: str | Path) -> None:
        """Write ``per_image`` as CSV or parquet, by the ending; the file appears only when it is whole.

        Raises:
            UsageError: if there are no such figures, or the name ends in anything but ``.csv`` or ``.parquet``.
            DependencyError: if parquet is asked for and pyarrow is not installed.
            OutputError: if it cannot be written.
        """
        target = Path(path)
        check_table_name(target)
        write_table(target, self.per_image())


def _described(side: SideRecord) -> str:
    """A set in words."""
    images = "an unknown number of images" if side.num_samples is None else f"{side.num_samples} images"
    return f"{side.stats_file} ({images} of {side.source})" if side.stats_file else f"{side.source} ({images})"


def _per_class(result: MetricResult) -> dict[str, Any]:
    """The table of single classes, where there is one."""
    return {} if result.per_class is None else {"per_class": {name: list(v) for name, v in result.per_class.items()}}


def _replicates(result: MetricResult) -> dict[str, Any]:
    """The values without each block of images, from which the error of a difference can be had."""
    return {"replicates": {side: list(v) for side, v in result.replicates.items()}} if result.replicates else {}


def _sizes(sizes: Sizes) -> dict[str, Any]:
    return {
        "bins": [list(row) for row in sizes.bins],
        "smallest": list(sizes.smallest),
        "largest": list(sizes.largest),
    }


def _side(side: SideRecord) -> dict[str, Any]:
    return {
        "source": side.source,
        "kind": side.kind,
        "num_samples": side.num_samples,
        "digest": side.digest,
        "skipped": [{"name": image.name, "reason": image.reason} for image in side.skipped],
        "notes": list(side.notes),
        "selection": None if side.selection is None else asdict(side.selection),
        "stats_file": side.stats_file or None,
        "formats": None if side.formats is None else dict(side.formats),
        "sizes": None if side.sizes is None else _sizes(side.sizes),
    }
