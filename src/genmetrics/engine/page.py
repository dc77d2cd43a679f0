"""``write_page``: results as one page of HTML that can be sent. Nothing here imports torch."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from genmetrics.engine.lookup import info_of
from genmetrics.errors import DependencyError, UsageError
from genmetrics.files import check_writable, write_text
from genmetrics.report.page.steps import Layout
from genmetrics.report.report import Report
from genmetrics.report.saved import ResultLike, SavedResult, is_result, read_result, results_in
from genmetrics.versions import version_of

__all__ = ["check_page", "page_of", "write_page"]

_PACKAGES = ("jinja2", "matplotlib")


def write_page(
    results: ResultLike | Sequence[ResultLike],
    path: str | Path,
    *,
    as_: Layout = "auto",
    names: Sequence[str] | None = None,
) -> None:
    """Write results as one page of HTML that needs no network: figures, plots, galleries, and how they came about.

    Several results stand side by side, each compared with the first; the checkpoints of one run become plots over time.
    What was not measured, such as the galleries of a run without diagnostics, the page says in a line.

    Args:
        results: a report, the file that ``Report.save`` wrote or its content as a dict; several of these, or folders of
            such files.
        path: the page; the file appears only when it is whole.
        as_: what several results are. ``auto`` takes them for checkpoints if their names, files or sources differ in
            one number that counts steps.
        names: what to call the results; None takes their files or sources.

    Raises:
        DependencyError: if matplotlib or jinja2 is not installed.
        UsageError: if there are no results, something is none, or the page would overwrite one.
        OutputError: if the page cannot be written.
    """
    target = Path(path)
    check_page(target)
    write_text(target, page_of(results, as_=as_, names=names))


def page_of(
    results: ResultLike | Sequence[ResultLike], *, as_: Layout = "auto", names: Sequence[str] | None = None
) -> str:
    """The page of ``write_page`` as text.

    Args:
        results: see there.
        as_: see there.
        names: see there.

    Raises:
        DependencyError: if matplotlib or jinja2 is not installed.
        UsageError: if there are no results, or something is none.
    """
    if as_ not in get_args(Layout):
        raise UsageError(f"as_={as_!r}: expected one of {', '.join(map(repr, get_args(Layout)))}")
    read = _read(results)
    _check_packages()
    from genmetrics.report.page.page import render

    return render(read, info_of, version_of("genmetrics"), as_=as_, names=names)


def check_page(path: str | Path, *, write: bool = True) -> None:
    """Whether a page can be made and written there, before anything is measured for it.

    Args:
        path: the page.
        write: whether this process is the one that writes it.

    Raises:
        DependencyError: if matplotlib or jinja2 is not installed.
        UsageError: if there is a result at that path.
        OutputError: if it cannot be written.
    """
    _check_packages()
    target = Path(path)
    if target.is_file() and is_result(target):
        raise UsageError(
            f"'{target}' is a result of 'eval', which the page would overwrite; name another file, such as "
            f"'{target.with_suffix('.html')}'"
        )
    if write:
        check_writable(target)


def _check_packages() -> None:
    missing = []
    for name in _PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError:
            missing.append(name)
    if missing:
        raise DependencyError(f"a page needs {' and '.join(missing)}; pip install 'genmetrics[report]'")


def _read(given: ResultLike | Sequence[ResultLike]) -> list[SavedResult]:
    alone = isinstance(given, (Report, Mapping, str, Path))
    entries: Sequence[ResultLike] = [given] if alone else given  # type: ignore[list-item, assignment]
    files: list[ResultLike] = []
    for entry in entries:
        files += results_in(Path(entry)) if isinstance(entry, (str, Path)) else [entry]
    if not files:
        raise UsageError("there is no result to make a page of; give a file that 'genmetrics eval … --json FILE' wrote")
    # A report is known by its source; of a dict the file is not known.
    return [
        read_result(entry, "" if isinstance(entry, Report) or len(files) == 1 else f"result {place}")
        for place, entry in enumerate(files, 1)
    ]
