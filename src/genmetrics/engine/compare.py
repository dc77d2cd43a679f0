"""``compare``: results of several models against one another. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from genmetrics.engine.lookup import info_of
from genmetrics.errors import UsageError
from genmetrics.report.compare import Comparison, compare_results
from genmetrics.report.report import Report
from genmetrics.report.saved import ResultLike, SavedResult, read_result, results_in

__all__ = ["ModelLike", "compare"]

#: A model: a result, a folder of results of its runs, or a list of them.
ModelLike = ResultLike | Sequence[ResultLike]


def compare(
    a: ModelLike,
    b: ModelLike,
    metrics: Sequence[str] | str | None = None,
    *,
    same_latents: bool = False,
    force: bool = False,
) -> Comparison:
    """Whether model B is better than model A, metric by metric, from results alone.

    The error of a difference of two results is that of their blocks of samples (delete-a-block jackknife), those of a
    common reference paired, and those of the generated sets where they were made of the same noise; where a result has
    no blocks, the errors that it states are taken. Of several runs it is that of Welch's t. A verdict is ``better`` or
    ``worse`` if the 95 % interval leaves zero out.

    Args:
        a: the model to compare with: a report, the file that ``Report.save`` wrote or its content as a dict; several of
            these, or a folder of files, for several runs of the model.
        b: the other model, likewise.
        metrics: ids to compare, a list or one string with commas; None takes all that the results have in common.
        same_latents: sample i of both was made of the same latent, which files of images do not say. Where that is not
            so, the interval is still right on average.
        force: compare results that do not compare; the comparison says so.

    Raises:
        StatisticsError: if protocols, networks, references or numbers of samples differ; the message names the field.
        UnknownNameError: if an asked metric is not in all results.
        UsageError: if something is no result, or no metric is in all of them.
    """
    asked = [name.strip() for name in metrics.split(",") if name.strip()] if isinstance(metrics, str) else metrics
    return compare_results(_runs(a, "A"), _runs(b, "B"), info_of, metrics=asked, same_latents=same_latents, force=force)


def _runs(given: ModelLike, model: str) -> list[SavedResult]:
    alone = isinstance(given, (Report, Mapping, str, Path))
    entries: Sequence[ResultLike] = [given] if alone else given  # type: ignore[list-item, assignment]
    if not entries:
        raise UsageError(f"model {model} has no result; give a result of 'genmetrics eval', or several")
    files: list[ResultLike] = []
    for entry in entries:
        files += results_in(Path(entry)) if isinstance(entry, (str, Path)) else [entry]
    single = len(files) == 1
    return [read_result(entry, f"{model}" if single else f"{model}, run {run}") for run, entry in enumerate(files, 1)]
