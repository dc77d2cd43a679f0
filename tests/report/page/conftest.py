"""A browser for the whole session, where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.browser import ARGUMENTS, MISSING, browser_path


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    path = browser_path()
    if path is None:
        pytest.skip(MISSING)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield started
        started.close()


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes the page of results, which are dicts: ``written([result, …], as_=…, names=…)``."""
    from genmetrics.engine.page import write_page

    def write(results: list[dict[str, Any]], **options: Any) -> Path:
        path = tmp_path_factory.mktemp("page") / "report.html"
        write_page(results, path, **options)
        return path

    return write
