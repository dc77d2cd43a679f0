"""Figures of single images as one table, and its files."""

from __future__ import annotations

import csv
import importlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genmetrics.errors import DependencyError, UsageError
from genmetrics.files import write_atomically, write_text
from genmetrics.types import Stage, Table

__all__ = ["check_table_name", "one_table", "write_table"]

_Columns = dict[str, list[float | int | str]]


def one_table(
    tables: Mapping[str, Table], names: Mapping[Stage, Sequence[str]], labels: Mapping[int, int | str]
) -> _Columns:
    """The tables of several metrics side by side, a row for each image that is in any of them.

    Args:
        tables: by metric id, each with a column ``index``.
        names: what a person finds the images of each side by, by index; without those that are not known.
        labels: the class of each generated image, by index; empty where that is not known.

    Returns:
        Columns of equal length; an empty string stands where a metric has no figure of an image.
    """
    indices = sorted({int(index) for table in tables.values() for index in table["index"]})
    columns: _Columns = {"index": list(indices)}
    if "gen" in names:
        columns["name"] = [names["gen"][index] for index in indices]
    if labels:
        columns["label"] = [labels.get(index, "") for index in indices]
    for metric, table in tables.items():
        rows = {int(index): row for row, index in enumerate(table["index"])}
        for figure, values in table.items():
            if figure == "index":
                continue
            found = [values[rows[index]] if index in rows else "" for index in indices]
            columns[f"{metric}.{figure}"] = found
            if figure == "nearest_ref" and "ref" in names:
                of_ref = names["ref"]
                columns[f"{metric}.{figure}_name"] = ["" if index == "" else of_ref[int(index)] for index in found]
    return columns


def check_table_name(path: Path) -> None:
    """Check that a file of figures of single images is called as its content is, and can be made.

    Raises:
        UsageError: if it is not.
        DependencyError: if it takes pyarrow, which is not installed.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise UsageError(
            f"'{path}': figures of single images are written as CSV or parquet; expected a name ending in .csv or "
            ".parquet"
        )
    if path.suffix == ".parquet":
        _arrow(path)


def write_table(path: Path, columns: _Columns) -> None:
    """Write a table as CSV or parquet, by the ending of the name; the file appears only when it is whole.

    Raises:
        DependencyError: if it takes pyarrow, which is not installed.
        OutputError: if it cannot be written.
    """
    if path.suffix == ".parquet":
        _write_parquet(path, columns)
        return
    with io.StringIO(newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
        write_text(path, text.getvalue())


def _write_parquet(path: Path, columns: _Columns) -> None:
    arrow, parquet = _arrow(path)
    table = arrow.table({name: arrow.array([_cell(value) for value in values]) for name, values in columns.items()})
    write_atomically(path, lambda temporary: parquet.write_table(table, str(temporary)))


def _cell(value: float | int | str) -> float | int | str | None:
    """A value for parquet, which has a sign of its own for what is not there, and no text that is not UTF-8."""
    if not isinstance(value, str):
        return value
    return value.encode("utf-8", "backslashreplace").decode() if value else None


def _arrow(path: Path) -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise DependencyError(
            f"'{path}': to write parquet takes the package 'pyarrow' ({error}); install it with "
            f"pip install 'genmetrics[hf]', or write '{path.with_suffix('.csv')}'"
        ) from error
