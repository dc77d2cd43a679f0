"""``genmetrics report``: results as one page of HTML. It does not import torch."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from genmetrics.cli.console import reporting_errors

__all__ = ["report_command"]


class As(str, Enum):
    """What several results are."""

    auto = "auto"
    models = "models"
    checkpoints = "checkpoints"


def report_command(
    results: Annotated[
        list[str],
        typer.Argument(
            metavar="RESULT",
            help="Results that 'genmetrics eval … --json FILE' wrote, or folders of them.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The page.")] = Path("report.html"),
    as_: Annotated[
        As,
        typer.Option(
            "--as",
            metavar="auto|models|checkpoints",
            help="What several results are: models side by side, the first compared with each other, or checkpoints of "
            "one run over time. auto takes them for checkpoints if their names differ in one number that counts steps.",
        ),
    ] = As.auto,
    names: Annotated[
        str | None,
        typer.Option(
            "--names",
            metavar="A,B",
            help="What to call the results, in their order. [default: their files or sources]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write results as one page that needs no network: figures, plots, galleries, and how they came about.

    Several results become models side by side, or checkpoints of one run over time.
    """
    with reporting_errors():
        from genmetrics.engine.page import write_page

        called = None if names is None else [name.strip() for name in names.split(",")]
        write_page(results, output, as_=as_.value, names=called)
        print(f"page: {output} ({_size(output.stat().st_size)})")


def _size(number: int) -> str:
    return f"{number / 1e6:.1f} MB" if number >= 1e6 else f"{number / 1e3:.0f} KB"
