"""``genmetrics demo``: the main job on real pictures, with nothing to download."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genmetrics.cli import allocator
from genmetrics.cli.console import reporting_errors, say
from genmetrics.cli.progress import showing_progress

__all__ = ["demo_command"]


def demo_command(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Where to write.")] = Path(
        "demo-output"
    ),
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on standard error.")] = False,
) -> None:
    """Compare picture sets whose order of quality is plain to see, with the embedded network.

    Each set is compared with the same photographs: other crops of them, blurred ones, noisy ones, and another
    kind of picture.
    """
    with reporting_errors():
        allocator.keep_freed_memory("auto", "auto")
        from genmetrics.cli.table import print_rows
        from genmetrics.demo import run_demo
        from genmetrics.engine.evaluate import drive

        if not quiet:
            say(f"making the picture sets in {output / 'images'} ...")
        with showing_progress(quiet) as progress:
            result = drive(run_demo(output), progress)
        ids = list(result.reports[0].metrics)
        rows = [
            (entry.summary, *(f"{report[name].value:.4g}" for name in ids))
            for entry, report in zip(result.sets, result.reports, strict=True)
        ]
        print(f"compared with {result.reference.summary}:\n")
        print_rows(("set", *ids), rows, right=ids)
        print("\nfd and kid: lower is closer to the reference. The network is the embedded one, so these are no FIDs.")
        print(f"samples: {result.picture_file}")
        print(f"table:   {result.table_file}")
        print(f"report:  {result.json_file}")
        print(f"page:    {result.page_file}")
