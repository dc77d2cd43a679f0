"""The example page of docs/report.md and its pictures, of results that were measured.

    python tools/example_page.py --measure [FOLDER]
    python tools/example_page.py RESULT.json… [--as auto|models|checkpoints] [--names A,B]

With ``--measure`` the sets of ``example_sets.py`` are written into a folder and measured first, some minutes on two
cores. It writes docs/example-report.html, and pictures of its first screen beside it: report-light.png,
report-dark.png and report-narrow.png. It needs the browser of ``make browser``.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from genmetrics.engine.page import write_page

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from example_sets import make_sets  # noqa: E402

from support.browser import ARGUMENTS, MISSING, browser_path, opened  # noqa: E402

DOCS = ROOT / "docs"
#: Width and height of the window, in pixels, and the colour scheme, by the picture's name.
WINDOWS = {"light": (1280, 1600, "light"), "dark": (1280, 1600, "dark"), "narrow": (390, 1600, "light")}
LARGEST = 300_000
NETWORK = "efficientnet-lite0.in1k"


def main() -> int:
    """Write the page and its pictures; 0 if they are there and small enough."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="*")
    parser.add_argument("--measure", metavar="FOLDER", type=Path, nargs="?", const=Path("example"))
    parser.add_argument("--as", dest="as_", default="auto", choices=("auto", "models", "checkpoints"))
    parser.add_argument("--names")
    asked = parser.parse_args()
    if bool(asked.results) == bool(asked.measure):
        parser.error("give results, or --measure, and not both")
    path = browser_path()
    if path is None:
        sys.stderr.write(f"the pictures: {MISSING}\n")
        return 1
    page = DOCS / "example-report.html"
    results = asked.results
    if asked.measure:
        results = [measure(asked.measure)]
        os.chdir(asked.measure)  # the page names the file as it is given
    write_page(results, page, as_=asked.as_, names=asked.names.split(",") if asked.names else None)
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


def measure(folder: Path) -> str:
    """The result of the example's sets, measured from within their folder, so that the page names no other."""
    gen, ref = make_sets(folder)
    result = "example.json"
    command = ["eval", gen.name, "--ref", ref.name, "-m", "fid,kid,isc,prc,prdc", "--extractor", NETWORK]
    command += ["--labels", "gen=folders", "--error-bars", "on", "--html", "example.html", "--json", result]
    subprocess.run([sys.executable, "-m", "genmetrics", *command], cwd=folder, check=True)
    return result


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
