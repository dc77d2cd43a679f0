"""The example page of docs/report.md and its pictures, of results that were measured.

    python tools/example_page.py RESULT.json… [--as auto|models|checkpoints] [--names A,B]

It writes docs/example-report.html, and pictures of its first screen beside it: report-light.png, report-dark.png and
report-narrow.png. It needs the browser of ``make browser``.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from genmetrics.engine.page import write_page

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from support.browser import ARGUMENTS, MISSING, browser_path, opened  # noqa: E402

DOCS = ROOT / "docs"
#: Width and height of the window, in pixels, and the colour scheme, by the picture's name.
WINDOWS = {"light": (1280, 1600, "light"), "dark": (1280, 1600, "dark"), "narrow": (390, 1600, "light")}
LARGEST = 300_000


def main() -> int:
    """Write the page and its pictures; 0 if they are there and small enough."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+")
    parser.add_argument("--as", dest="as_", default="auto", choices=("auto", "models", "checkpoints"))
    parser.add_argument("--names")
    asked = parser.parse_args()
    path = browser_path()
    if path is None:
        sys.stderr.write(f"the pictures: {MISSING}\n")
        return 1
    page = DOCS / "example-report.html"
    write_page(asked.results, page, as_=asked.as_, names=asked.names.split(",") if asked.names else None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        for name, window in WINDOWS.items():
            picture = screenshot(browser, page, *window)
            if len(picture) > LARGEST:
                sys.stderr.write(f"report-{name}.png has {len(picture):,} bytes, expected at most {LARGEST:,}\n")
                return 1
            (DOCS / f"report-{name}.png").write_bytes(picture)
        browser.close()
    return 0


def screenshot(browser: Browser, page: Path, width: int, height: int, scheme: str) -> bytes:
    """The top of the page as a PNG of 256 colours, which is a third of the bytes."""
    with opened(browser, page, width=width, scheme=scheme) as found:
        found.page.set_viewport_size({"width": width, "height": height})
        picture = Image.open(io.BytesIO(found.page.screenshot())).convert("RGB")
    file = io.BytesIO()
    picture.quantize(256, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()


if __name__ == "__main__":
    sys.exit(main())
