"""The ``genmetrics`` command: its subcommands are put together here, and torch is not imported for that."""

from __future__ import annotations

import sys
import warnings
from typing import Annotated, TextIO

import typer

from genmetrics.cli.cache import cache_app
from genmetrics.cli.compare import compare_command
from genmetrics.cli.console import say
from genmetrics.cli.demo import demo_command
from genmetrics.cli.eval import eval_command
from genmetrics.cli.listing import list_command
from genmetrics.cli.processes import is_first_rank
from genmetrics.cli.report import report_command
from genmetrics.cli.stats import stats_app
from genmetrics.cli.weights import weights_app
from genmetrics.errors import CacheWarning, GenmetricsWarning

__all__ = ["app", "main"]

app = typer.Typer(
    name="genmetrics",
    help="Measure how good a generative image model is: FID, KID, Inception Score and more.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> bool:
    if wanted:
        from genmetrics import __version__

        typer.echo(f"genmetrics {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Measure how good a generative image model is: FID, KID, Inception Score and more."""


app.command("eval")(eval_command)
app.command("compare")(compare_command)
app.command("report")(report_command)
app.add_typer(stats_app, name="stats")
app.command("list")(list_command)
app.add_typer(weights_app, name="weights")
app.add_typer(cache_app, name="cache")
app.command("demo")(demo_command)


def main() -> None:
    """Run the command line and exit: 0 done, 2 wrong usage or bad input, 130 interrupted, 1 anything else."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets another in its place, not a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    # What a report says of itself the commands print in their own way.
    warnings.simplefilter("ignore", GenmetricsWarning)
    warnings.simplefilter("always", CacheWarning)
    warnings.showwarning = _show_warning
    app(args=_with_optional_json_file(sys.argv[1:]), prog_name="genmetrics")


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Ours as a sentence for people; any other as Python shows it."""
    if issubclass(category, GenmetricsWarning):
        if is_first_rank():  # all processes of a run would say the same
            say(f"genmetrics: warning: {message}")
    else:
        print(warnings.formatwarning(message, category, filename, lineno, line), file=file or sys.stderr, end="")


def _with_optional_json_file(arguments: list[str]) -> list[str]:
    """Make ``--json FILE`` optional in FILE, which typer cannot express: alone it stands for standard output."""
    if arguments[:1] not in (["eval"], ["compare"]):
        return arguments
    rewritten = []
    for position, argument in enumerate(arguments):
        following = arguments[position + 1 : position + 2]
        alone = argument == "--json" and (not following or following[0].startswith("-"))
        rewritten.append("--json=-" if alone and following != ["-"] else argument)
    return rewritten
