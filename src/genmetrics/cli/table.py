"""A report as a table on standard output."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from genmetrics.report.report import Report
    from genmetrics.types import SideRecord

__all__ = ["print_report", "print_rows"]

# Wide enough that no line is folded where nobody looks at it in a terminal.
_PIPE_WIDTH = 200


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> None:
    """Print rows under their column names.

    Args:
        columns: the names.
        rows: the cells.
        right: the names of the columns that are aligned to the right.
    """
    console = Console() if sys.stdout.isatty() else Console(width=_PIPE_WIDTH)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for column in columns:
        first = column == columns[0]
        table.add_column(column, justify="right" if column in right else "left", overflow="fold", no_wrap=first)
    for row in rows:
        table.add_row(*row)
    with console.capture() as captured:
        console.print(table, markup=False, highlight=False)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def print_report(report: Report) -> None:
    """Print the figures, then the two sets, the time, and what a reader must know."""
    from genmetrics.engine.lookup import info_of

    rows = []
    for result in report.metrics.values():
        info = info_of(result.id)
        assert info is not None, f"{result.id} was computed, and nothing is known of it"
        spread = f"{result.extra['std']:.4g}" if "std" in result.extra else ""
        better = "higher" if info.higher_is_better else "lower"
        rows.append((result.id, f"{result.value:.6g}", spread, better, str(result.protocol)))
    print_rows(("metric", "value", "std", "better", "protocol"), rows, right=("value", "std"))
    for result in report.metrics.values():
        others = [f"{name} {figure:.6g}" for name, figure in result.extra.items() if isinstance(figure, float)]
        others = [text for text in others if not text.startswith("std ")]
        if others:
            print(f"{result.id}: {', '.join(others)}")
    print()
    print(_side("gen", report.gen, "gen" in report.reused))
    if report.ref is not None:
        print(_side("ref", report.ref, "ref" in report.reused))
    print(f"on {report.device}, {report.seconds['total']:.1f} s, seed {report.seed}")
    for text in report.advice:
        print(f"advice: {text}")
    for text in report.notices:
        print(f"note: {text}")


def _side(name: str, side: SideRecord, reused: bool) -> str:
    skipped = f", {len(side.skipped)} skipped" if side.skipped else ""
    images = "an unknown number of images" if side.num_samples is None else f"{side.num_samples} images"
    digest = f", digest {side.digest[:12]}" if side.digest else ""
    kept = ", kept from an earlier run" if reused else ""
    made_from = f" of {side.source}" if side.stats_file else ""
    return f"{name}: {side.stats_file or side.source} ({images}{made_from}{skipped}{digest}){kept}"
