"""The demonstration: image sets whose order of quality is plain to see, and what the metrics say of them.

The pictures are crops of the photographs that scikit-image and scikit-learn ship, and scikit-learn's
handwritten digits. Nothing is downloaded.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from genmetrics.engine.options import Options
from genmetrics.engine.page import check_page, write_page
from genmetrics.engine.run import iter_evaluate
from genmetrics.errors import DependencyError, OutputError
from genmetrics.files import write_text
from genmetrics.report.report import SCHEMA, Report
from genmetrics.types import Progress
from genmetrics.versions import versions

__all__ = ["DemoResult", "DemoSet", "make_sets", "run_demo"]

EXTRACTOR = "efficientnet-lite0.in1k"
METRICS = ("fid", "kid", "isc")
_SIDE = 128
_PER_SET = 200
_SEED = 2020
_MARKER = ".made-by-genmetrics-demo"
_PHOTOS = ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "immunohistochemistry", "retina")


@dataclass(frozen=True)
class DemoSet:
    """A folder of pictures and what they are, in words."""

    name: str
    summary: str
    folder: Path


@dataclass(frozen=True)
class DemoResult:
    """What the demonstration wrote and found.

    Attributes:
        reference: the set that all others are compared with.
        sets: the compared sets, best first as a person sees it.
        reports: their reports, in the same order.
        json_file: all reports.
        table_file: the figures as a Markdown table.
        picture_file: samples of every set.
        page_file: all of it as a page, with plots and the images that stand out.
    """

    reference: DemoSet
    sets: tuple[DemoSet, ...]
    reports: tuple[Report, ...]
    json_file: Path
    table_file: Path
    picture_file: Path
    page_file: Path


def run_demo(folder: Path) -> Generator[Progress, None, DemoResult]:
    """Make the sets in a folder, measure them, and write JSON, table, picture and page beside them.

    Raises:
        DependencyError: if the packages with the photographs, or those for the page, are missing.
        OutputError: if the folder holds something else, or cannot be written.
    """
    page_file = folder / "demo.html"
    reference, sets = make_sets(folder)
    check_page(page_file)
    reports: list[Report] = []
    # The pictures are made anew each time: in the cache of a person nothing would be found again.
    with TemporaryDirectory() as cache:
        options = Options(extractor=EXTRACTOR, seed=_SEED, cache=Path(cache), diagnostics=True)
        for entry in sets:
            report = yield from iter_evaluate(entry.folder, reference.folder, METRICS, options)
            reports.append(report)
    json_file, table_file, picture_file = (folder / f"demo.{kind}" for kind in ("json", "md", "png"))
    write_text(json_file, json.dumps(_as_dict(reference, sets, reports), indent=2, allow_nan=False) + "\n")
    write_text(table_file, _as_markdown(reference, sets, reports))
    _draw_samples(picture_file, (reference, *sets))
    write_page(reports, page_file, as_="models", names=[entry.name for entry in sets])
    return DemoResult(reference, tuple(sets), tuple(reports), json_file, table_file, picture_file, page_file)


def make_sets(folder: Path) -> tuple[DemoSet, list[DemoSet]]:
    """Write the reference and the compared sets as PNG files, the same ones on every run."""
    photos, digits = _packaged_pictures()
    pictures = _fresh_folder(folder)
    rng = np.random.default_rng(_SEED)
    noise = np.random.default_rng(_SEED + 1)

    reference = _write(pictures, "reference", "crops of photographs", lambda: _crop(photos, rng))
    others = [_crop(photos, rng) for _ in range(_PER_SET)]

    def changed(change: Callable[[Image.Image], Image.Image]) -> Callable[[], Image.Image]:
        remaining = iter(others)
        return lambda: change(next(remaining))

    def blurred(radius: float) -> Callable[[Image.Image], Image.Image]:
        return lambda image: image.filter(ImageFilter.GaussianBlur(radius))

    def noisy(image: Image.Image) -> Image.Image:
        pixels = np.asarray(image) + noise.normal(0, 40, (_SIDE, _SIDE, 3))
        return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))

    digit = iter(digits)
    sets = [
        _write(pictures, "other-crops", "other crops of the same photographs", changed(lambda image: image)),
        _write(pictures, "slight-blur", "the other crops, slightly blurred", changed(blurred(1.0))),
        _write(pictures, "strong-noise", "the other crops under strong noise", changed(noisy)),
        _write(pictures, "strong-blur", "the other crops, strongly blurred", changed(blurred(3.0))),
        _write(pictures, "digits", "handwritten digits, another kind of picture", lambda: next(digit)),
    ]
    return reference, sets


def _packaged_pictures() -> tuple[list[Image.Image], list[Image.Image]]:
    try:
        from skimage import data
        from sklearn import datasets
    except ImportError as error:
        raise DependencyError(
            f"the demonstration uses photographs from scikit-image and scikit-learn, and {error.name!r} is not "
            "installed; install them with: pip install 'genmetrics[demo]'"
        ) from error
    photos = [Image.fromarray(getattr(data, name)()) for name in _PHOTOS]
    photos += [Image.fromarray(photo) for photo in datasets.load_sample_images().images]
    digits = [
        Image.fromarray(((16 - pixels) * (255 / 16)).round().astype(np.uint8))
        .resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
        .convert("RGB")
        for pixels in datasets.load_digits().images[:_PER_SET]
    ]
    return photos, digits


def _crop(photos: list[Image.Image], rng: np.random.Generator) -> Image.Image:
    photo = photos[rng.integers(len(photos))].convert("RGB")
    side = int(rng.integers(_SIDE, min(photo.size) + 1))
    left, top = (int(rng.integers(length - side + 1)) for length in photo.size)
    return photo.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))


def _fresh_folder(folder: Path) -> Path:
    """An empty folder for the pictures; only what an earlier demonstration made is removed."""
    pictures = folder / "images"
    try:
        if pictures.exists():
            if not (pictures / _MARKER).is_file():
                raise OutputError(
                    f"'{pictures}' exists and was not made by the demonstration; choose another folder with '-o DIR'"
                )
            shutil.rmtree(pictures)
        pictures.mkdir(parents=True)
        (pictures / _MARKER).touch()
    except OSError as error:
        raise OutputError(f"cannot write '{pictures}': {error.strerror or error}") from error
    return pictures


def _write(pictures: Path, name: str, summary: str, draw: Callable[[], Image.Image]) -> DemoSet:
    target = pictures / name
    target.mkdir()
    for number in range(_PER_SET):
        draw().save(target / f"{number:03d}.png")
    return DemoSet(name, summary, target)


def _as_dict(reference: DemoSet, sets: list[DemoSet], reports: list[Report]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "genmetrics": versions()["genmetrics"],
        "reference": {"name": reference.name, "summary": reference.summary},
        "sets": [
            # What the page shows is on the page.
            {"name": entry.name, "summary": entry.summary, "report": replace(report, diagnostics=None).to_dict()}
            for entry, report in zip(sets, reports, strict=True)
        ],
    }


def _as_markdown(reference: DemoSet, sets: list[DemoSet], reports: list[Report]) -> str:
    ids = list(reports[0].metrics)
    lines = [
        f"Compared with {_PER_SET} {reference.summary}:",
        "",
        "| set | " + " | ".join(ids) + " |",
        "|---|" + "---:|" * len(ids),
    ]
    for entry, report in zip(sets, reports, strict=True):
        figures = " | ".join(f"{report[name].value:.4g}" for name in ids)
        lines.append(f"| {entry.summary} | {figures} |")
    return "\n".join(lines) + "\n"


def _draw_samples(path: Path, sets: tuple[DemoSet, ...]) -> None:
    """A row of samples for each set, under its description."""
    count, label, gap = 8, 18, 4
    row = label + _SIDE + gap
    sheet = Image.new("RGB", (count * (_SIDE + gap) + gap, len(sets) * row + gap), "white")
    draw = ImageDraw.Draw(sheet)
    for line, entry in enumerate(sets):
        draw.text((gap, line * row + 4), f"{entry.name}: {entry.summary}", fill="black")
        for column in range(count):
            with Image.open(entry.folder / f"{column:03d}.png") as image:
                sheet.paste(image, (gap + column * (_SIDE + gap), line * row + label))
    sheet.save(path)
