"""A real browser for tests that open a page, and what is asked of the page in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["ARGUMENTS", "MISSING", "Opened", "browser_path", "opened"]

#: The names of the Makefile's target ``browser``. Read when tests are collected, before the environment is cleared.
_NAMES = (os.environ.get("GENMETRICS_BROWSER", ""), "chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
MISSING = "needs a browser; `make browser` installs one where it may, or set GENMETRICS_BROWSER to its path"


def browser_path() -> str | None:
    """Where a Chromium is; None if there is none."""
    return next((found for name in _NAMES if name and (found := shutil.which(name))), None)


@dataclass
class Opened:
    """A page in a browser, and all that it did beside showing itself.

    Attributes:
        page: the browser's page.
        console: what it wrote to the console, and errors in it.
        requests: what it asked for, but for the document itself and data: addresses.
    """

    page: Any
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def opened(browser: Any, path: Path, *, width: int = 1280, scheme: str = "light") -> Iterator[Opened]:
    """Open a file in a new window.

    Args:
        browser: playwright's.
        path: the file.
        width: of the window, in pixels.
        scheme: ``light`` or ``dark``.
    """
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    try:
        page = context.new_page()
        found = Opened(page)
        address = path.resolve().as_uri()
        page.on("console", lambda message: found.console.append(message.text))
        page.on("pageerror", lambda error: found.console.append(str(error)))
        page.on(
            "request",
            lambda request: (
                None
                if request.url == address or request.url.startswith("data:")
                else found.requests.append(request.url)
            ),
        )
        page.goto(address, wait_until="load")
        yield found
    finally:
        context.close()
