"""``genmetrics compare``: whether one model is better than another. It does not import torch."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genmetrics.cli.console import reporting_errors, say

if TYPE_CHECKING:
    from genmetrics.report.compare import Comparison, Model
    from genmetrics.report.difference import Figure, MetricDifference

__all__ = ["compare_command"]

_FAILED = 1


class FailIf(str, Enum):
    """The verdicts on which the command fails."""

    worse = "worse"
    not_better = "not-better"


def compare_command(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL",
            help="Results that 'genmetrics eval … --json FILE' wrote, one for each model; of several runs of a model a "
            "folder of them, or files joined by commas. Each model is compared with the first.",
            show_default=False,
        ),
    ],
    metrics: Annotated[
        str | None,
        typer.Option(
            "-m",
            "--metrics",
            metavar="ID,ID",
            help="Metrics to compare. [default: all that the results have in common]",
            show_default=False,
        ),
    ] = None,
    same_latents: Annotated[
        bool,
        typer.Option(
            "--same-latents",
            help="Image i of every model was made of the same latent (as of generators with one seed), so that what "
            "they share cancels.",
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Compare results that do not compare; the output warns of it.")
    ] = False,
    fail_if: Annotated[
        FailIf | None,
        typer.Option(
            "--fail-if",
            metavar="worse|not-better",
            help="Exit with 1 if a model is worse than the first in any metric, or not better in all; a verdict that "
            "is unknown is an error then.",
            show_default=False,
        ),
    ] = None,
    json_file: Annotated[
        str | None,
        typer.Option(
            "--json",
            metavar="[FILE]",
            help="Write the comparison as JSON to FILE; without FILE print nothing but JSON.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Compare models by their results: the difference in each metric, its 95 % interval, and a verdict.

    Results are refused whose protocol, network, reference or number of images differs.
    """
    with reporting_errors():
        from genmetrics.engine.compare import compare
        from genmetrics.files import write_text

        target = None if json_file in (None, "-") else _target(Path(str(json_file)))
        first, *others = _models(models)
        comparisons = [compare(first, other, metrics, same_latents=same_latents, force=force) for other in others]
        text = json.dumps(_as_json(comparisons), indent=2, allow_nan=False, ensure_ascii=False)
        if json_file == "-":
            print(text)
            for note in dict.fromkeys(note for comparison in comparisons for note in comparison.warnings):
                say(f"note: {note}")
        else:
            for number, comparison in enumerate(comparisons):
                if number:
                    print()
                _print(comparison)
            if target is not None:
                write_text(target, text + "\n")
                print(f"comparison: {target}")
        if fail_if is not None and _failed(comparisons, fail_if):
            raise typer.Exit(_FAILED)


def _models(given: list[str]) -> list[list[Path]]:
    """The runs of each model: a name is a file or a folder if there is one, and else split at its commas."""
    from genmetrics.errors import UsageError

    if len(given) < 2:
        raise UsageError(
            f"{len(given)} model was given ({', '.join(given)}), expected at least two: "
            "'genmetrics compare A.json B.json'"
        )
    models = []
    for text in given:
        parts = [text] if Path(text).exists() else [part.strip() for part in text.split(",") if part.strip()]
        if not parts:
            raise UsageError(
                f"{text!r} names no file; expected a result, a folder of results, or files joined by commas"
            )
        models.append([Path(part) for part in parts])
    return models


def _target(path: Path) -> Path:
    """Where the comparison is written, checked before anything is compared; a result is never overwritten."""
    from genmetrics.errors import UsageError
    from genmetrics.files import check_writable
    from genmetrics.report.saved import is_result

    if path.is_file() and is_result(path):
        raise UsageError(
            f"--json {path}: that file is a result of 'eval', which the comparison would overwrite; name another file, "
            "or put --json behind the results to print JSON"
        )
    check_writable(path)
    return path


def _as_json(comparisons: list[Comparison]) -> dict[str, object]:
    from genmetrics import __version__

    if len(comparisons) == 1:
        return {"schema": 1, "genmetrics": __version__, **comparisons[0].to_dict()}
    return {
        "schema": 1,
        "genmetrics": __version__,
        "comparisons": [comparison.to_dict() for comparison in comparisons],
    }


def _failed(comparisons: list[Comparison], fail_if: FailIf) -> bool:
    """Whether a verdict is one to fail on.

    Raises:
        StatisticsError: if there is a metric without a verdict: to pass would say what nobody knows.
    """
    from genmetrics.errors import StatisticsError

    differences = [of for comparison in comparisons for of in comparison.metrics.values()]
    unknown = list(dict.fromkeys(f"{of.id} ({of.reason})" for of in differences if of.verdict == "unknown"))
    if unknown:
        raise StatisticsError(
            f"--fail-if {fail_if.value}: there is no verdict in {', '.join(unknown)}; evaluate again with "
            "--error-bars on, or choose the metrics that have one with -m"
        )
    if fail_if is FailIf.worse:
        return any(of.verdict == "worse" for of in differences)
    return any(of.verdict != "better" for of in differences)


def _print(comparison: Comparison) -> None:
    """The differences, then the two models, and what a reader must know."""
    from genmetrics.cli.table import print_rows

    several = any(of.method == "runs" for of in comparison.metrics.values())
    names = ("metric", "of", "A", "±A", "B", "±B", "B - A", "se", "95 % interval", "paired", "verdict of B")
    print_rows(names, [_row(of) for of in comparison.metrics.values()], right=names[2:8])
    print()
    if several:
        print("A and B are means over runs ± the standard deviation between runs (within a run)")
    for name, model in (("A", comparison.a), ("B", comparison.b)):
        print(f"{name}: {_described(model)}")
    for name, ids in (("A", comparison.only_in_a), ("B", comparison.only_in_b)):
        if ids:
            print(f"only in {name}: {', '.join(ids)}")
    for text in comparison.warnings:
        print(f"note: {text}")


def _row(of: MetricDifference) -> tuple[str, ...]:
    error = "" if of.se is None else f"{of.se:.3g}"
    interval = "" if of.ci95_low is None or of.ci95_high is None else f"{of.ci95_low:+.4g} to {of.ci95_high:+.4g}"
    return (
        of.id,
        of.compared,
        f"{of.a.value:.6g}",
        _error_of(of.a),
        f"{of.b.value:.6g}",
        _error_of(of.b),
        f"{of.difference:+.4g}",
        error,
        interval,
        "+".join(of.paired) or ("runs" if of.method == "runs" else "no"),
        f"{of.verdict}: {of.reason}" if of.reason else of.verdict,
    )


def _error_of(figure: Figure) -> str:
    """The spread between runs with the error within one beside it, or the error of the one run."""
    within = "?" if figure.se is None else f"{figure.se:.3g}"
    if figure.sd is None:
        return within
    return f"{figure.sd:.3g} ({within})"


def _described(model: Model) -> str:
    images = "an unknown number of images" if model.num_samples is None else f"{model.num_samples} images"
    if len(model.results) == 1:
        return f"{model.results[0]} ({images} of {model.sources[0]})"
    return f"{len(model.results)} runs, {', '.join(model.results)} ({images} each)"
