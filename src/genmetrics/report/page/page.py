"""Put together a page of results: one HTML file that needs nothing beside it and asks for nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files

import jinja2

from genmetrics.errors import UsageError
from genmetrics.report.compare import Lookup
from genmetrics.report.diagnostics import Diagnostics, Section
from genmetrics.report.page.classes import ClassTable, class_tables
from genmetrics.report.page.content import Shown, shown
from genmetrics.report.page.figures import Row, rows_of
from genmetrics.report.page.galleries import GALLERIES, GallerySection, GalleryView, gallery_view, pictures_that_fit
from genmetrics.report.page.numbers import counted
from genmetrics.report.page.plots import draw_curve, draw_projection, draw_spectra
from genmetrics.report.page.provenance import Provenance, provenance_of
from genmetrics.report.page.several import checkpoints_of, models_of
from genmetrics.report.page.steps import Layout, Steps, guess_steps, numbered_steps
from genmetrics.report.page.svg import Drawing
from genmetrics.report.page.unusual import Remark, remarks
from genmetrics.report.page.words import sentence
from genmetrics.report.saved import SavedResult

__all__ = ["SECTION_IDS", "render"]

#: The sections of every page, which are also its anchors.
SECTION_IDS = (
    *("figures", "meaning", "advice", "curve", "projection", "spectra", "classes", "raises", "unrealistic"),
    *("uncovered", "copied", "checkpoints", "models", "provenance"),
)

#: A page stays below this many bytes, so that it goes by mail.
_LARGEST = 4_500_000
_MOST_ALONE, _MOST_OF_SEVERAL = 30, 12
_NOT_ASKED = "The result holds no diagnostics; evaluate again with --html FILE."
_NOT_THERE = "The result does not have it."
_NO_CLASSES = "No metric has figures of single classes; evaluate with --labels."
_DRAWINGS: tuple[Section, ...] = ("curve", "projection", "spectra")


@dataclass(frozen=True)
class _View:
    """One result as the page shows it.

    Attributes:
        number: from 1; ends the anchors of what belongs to it.
        label: what the page calls it.
        gen: what the generated images are.
        ref: what the reference is; empty if there is none.
        rows: its metrics.
        remarks: what is unusual.
        advice: what to do about it.
        drawings: its plots, by section.
        curve: the rows of the curve's table: size, value, least and largest.
        classes: its tables of classes.
        galleries: its galleries, by section.
        absent: by section, why it is not there.
        provenance: how it came about.
    """

    number: int
    label: str
    gen: str
    ref: str
    rows: tuple[Row, ...]
    remarks: tuple[Remark, ...]
    advice: tuple[str, ...]
    drawings: Mapping[str, Drawing]
    curve: tuple[tuple[int, float, float, float], ...]
    classes: tuple[ClassTable, ...]
    galleries: Mapping[str, GalleryView]
    absent: Mapping[str, str]
    provenance: Provenance

    @property
    def doubts(self) -> int:
        """How many things put its figures in doubt."""
        return sum(remark.level == "doubt" for remark in self.remarks) + len(self.advice)


def render(
    results: Sequence[SavedResult],
    lookup: Lookup,
    version: str,
    *,
    as_: Layout = "auto",
    names: Sequence[str] | None = None,
) -> str:
    """The page of one or more results as HTML.

    Args:
        results: at least one.
        lookup: what is known of the metric of an id; None if nothing is.
        version: of genmetrics, which the page names.
        as_: what several results are.
        names: what to call them; None takes their own names.

    Raises:
        UsageError: if there are no results, as many names as results are not given, or a result is damaged.
    """
    if not results:
        raise UsageError("there is no result to make a page of; give a file that 'genmetrics eval … --json FILE' wrote")
    if names is not None and (len(names) != len(results) or len(set(names)) != len(names)):
        raise UsageError(
            f"names {', '.join(map(repr, names)) or 'are empty'} for {counted(len(results), 'result')}; expected a "
            "name for each, all different"
        )
    steps = _steps(results, as_, names)
    labels = _labels(results, names)
    if steps is not None and names is None:
        labels = [f"{steps.unit} {text}" for text in steps.texts]
    all_shown = [shown(result, label) for result, label in zip(results, labels, strict=True)]
    # Of a run's checkpoints the last is the model; the others are there for how it came to be.
    detailed = all_shown if steps is None else [all_shown[steps.order[-1]]]
    views = [_view(of, number, lookup, alone=len(detailed) == 1) for number, of in enumerate(detailed, 1)]
    models = models_of(all_shown, lookup) if steps is None and len(results) > 1 else None
    checkpoints = None if steps is None else checkpoints_of(all_shown, steps, lookup)
    others = [provenance_of(all_shown[place]) for place in steps.order[:-1]] if steps is not None else []
    other_labels = [all_shown[place].label for place in steps.order[:-1]] if steps is not None else []

    def page(most: int) -> str:
        filled = [_with_galleries(view, of, most) for view, of in zip(views, detailed, strict=True)]
        return _template().render(
            views=filled,
            models=models,
            checkpoints=checkpoints,
            earlier=list(zip(other_labels, others, strict=True)),
            titles={name: kind.title for name, kind in GALLERIES.items()},
            intros={name: kind.intro for name, kind in GALLERIES.items()},
            style=_file("page.css"),
            version=version,
        )

    diagnostics = [of.saved.diagnostics for of in detailed if of.saved.diagnostics is not None]
    without = page(0)
    most = _MOST_ALONE if len(detailed) == 1 else _MOST_OF_SEVERAL
    fitting = pictures_that_fit(diagnostics, _LARGEST - len(without.encode("utf-8", "backslashreplace")), most)
    return page(fitting) if fitting else without


def _steps(results: Sequence[SavedResult], as_: Layout, names: Sequence[str] | None) -> Steps | None:
    if as_ == "models" or len(results) == 1:
        return None
    found = guess_steps(results, names, sure=as_ == "checkpoints")
    return numbered_steps(len(results)) if found is None and as_ == "checkpoints" else found


def _labels(results: Sequence[SavedResult], names: Sequence[str] | None) -> list[str]:
    """A name for each result that no other has: as short as that allows."""
    if names is not None:
        return list(names)
    files = [result.path for result in results]
    choices = [[_last(result.gen.source) for result in results], [result.gen.source for result in results]]
    choices += [[file.stem if file is not None else "" for file in files], [result.name for result in results]]
    for texts in choices:
        if len(set(texts)) == len(texts) and all(texts):
            return texts
    return [f"{place}: {text}" for place, text in enumerate(choices[0], 1)]


def _last(source: str) -> str:
    """The last part of a path; all of what is none."""
    return re.split(r"[\\/]", source.rstrip("\\/"))[-1] or source


def _view(of: Shown, number: int, lookup: Lookup, *, alone: bool) -> _View:
    saved = of.saved
    diagnostics = saved.diagnostics
    absent: dict[str, str] = {}
    drawings: dict[str, Drawing] = {}
    for section in (*_DRAWINGS, "classes", *GALLERIES):
        absent[section] = _NOT_ASKED if diagnostics is None else sentence(diagnostics.absent.get(section) or _NOT_THERE)
    if diagnostics is not None:
        drawings = _drawings(diagnostics, number, absent)
    tables = class_tables(of)
    if diagnostics is None and not tables:
        absent["classes"] = _NO_CLASSES
    curve = diagnostics.curve if diagnostics is not None else None
    return _View(
        number,
        of.label,
        _set_in_words(saved.gen.source, saved.gen.num_samples),
        "" if saved.ref is None else _set_in_words(saved.ref.source, saved.ref.num_samples),
        rows_of(of, lookup),
        remarks(of, lookup),
        of.advice,
        drawings,
        () if curve is None else tuple(zip(curve.sizes, curve.values, curve.low, curve.high, strict=True)),
        tables,
        {},
        absent,
        provenance_of(of),
    )


def _drawings(diagnostics: Diagnostics, number: int, absent: dict[str, str]) -> dict[str, Drawing]:
    parts: tuple[tuple[Section, Drawing | None], ...] = (
        (
            "curve",
            None if diagnostics.curve is None else draw_curve(diagnostics.curve, diagnostics.metric, f"curve-{number}"),
        ),
        (
            "projection",
            None if diagnostics.projection is None else draw_projection(diagnostics.projection, f"projection-{number}"),
        ),
        ("spectra", None if diagnostics.spectra is None else draw_spectra(diagnostics.spectra, f"spectra-{number}")),
    )
    for section, drawing in parts:
        if drawing is None and getattr(diagnostics, section) is not None:
            absent[section] = "The numbers that the result holds cannot be drawn."
    return {section: drawing for section, drawing in parts if drawing is not None}


def _with_galleries(view: _View, of: Shown, most: int) -> _View:
    diagnostics = of.saved.diagnostics
    if diagnostics is None:
        return view
    sections: tuple[GallerySection, ...] = tuple(GALLERIES)
    held = {section: gallery for section in sections if (gallery := getattr(diagnostics, section)) is not None}
    return replace(view, galleries={section: gallery_view(section, held[section], most) for section in held})


def _set_in_words(source: str, count: int | None) -> str:
    return f"{'an unknown number of images' if count is None else counted(count, 'image')} of {source}"


def _file(name: str) -> str:
    return files(__package__).joinpath("templates", name).read_text(encoding="utf-8")


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_file),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")
