"""``genmetrics list``: what there is to choose from. It does not import torch."""

from __future__ import annotations

import json
from enum import Enum
from typing import Annotated

import typer

from genmetrics.cli.console import reporting_errors

__all__ = ["list_command"]


class Kind(str, Enum):
    """What can be listed."""

    metrics = "metrics"
    extractors = "extractors"
    sources = "sources"
    datasets = "datasets"
    protocols = "protocols"


def list_command(
    kind: Annotated[Kind, typer.Argument(help="What to list.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list of objects with 'id'.")] = False,
) -> None:
    """List the metrics, extractors, sources, datasets or protocols there are."""
    with reporting_errors():
        entries = _entries(kind)
        if as_json:
            print(json.dumps(entries, indent=2, ensure_ascii=False))
            return
        from genmetrics.cli.table import print_rows

        columns = [name for name in entries[0] if name in _COLUMNS[kind]]
        print_rows(columns, [[_cell(entry[name]) for name in columns] for entry in entries])


_COLUMNS = {
    Kind.metrics: ("id", "summary", "better", "reference", "equals"),
    Kind.extractors: ("id", "summary", "features", "preprocess"),
    Kind.sources: ("id", "summary"),
    Kind.datasets: ("id", "splits", "summary"),
    Kind.protocols: ("id", "protocol"),
}


def _entries(kind: Kind) -> list[dict[str, object]]:
    from genmetrics.engine import listing

    if kind is Kind.metrics:
        return [
            {
                "id": info.id,
                "summary": info.summary,
                "better": "higher" if info.higher_is_better else "lower",
                "reference": "no" if info.unary else "yes",
                "protocol": str(info.protocol),
                "on_other_extractors": info.generic and f"{info.generic}.<extractor>",
                "equals": info.equals,
            }
            for info in listing.list_metrics()
        ]
    if kind is Kind.extractors:
        return [
            {
                "id": info.id,
                "summary": info.summary,
                "features": dict(info.features),
                "preprocess": info.preprocess,
                "licence": info.licence,
            }
            for info in listing.list_extractors()
        ]
    if kind is Kind.sources:
        return [{"id": info.kind, "summary": info.summary} for info in listing.list_sources()]
    if kind is Kind.datasets:
        from genmetrics.sources.datasets import list_datasets

        return [
            {
                "id": info.name,
                "splits": dict(info.splits),
                "num_classes": info.num_classes,
                "summary": info.summary,
            }
            for info in list_datasets()
        ]
    return [{"id": name, "protocol": text} for name, text in listing.list_protocols().items()]


def _cell(value: object) -> str:
    return " ".join(value) if isinstance(value, dict) else str(value)
