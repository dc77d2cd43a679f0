"""Several results: models side by side with verdicts, or the checkpoints of one run over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from genmetrics.errors import GenmetricsError
from genmetrics.report.compare import Lookup, compare_results
from genmetrics.report.page.content import Shown
from genmetrics.report.page.figures import label_of
from genmetrics.report.page.numbers import interval, signed, sure
from genmetrics.report.page.plots import draw_steps
from genmetrics.report.page.spans import Span, scale_of, span
from genmetrics.report.page.steps import Steps
from genmetrics.report.page.svg import Drawing
from genmetrics.report.page.words import direction, title
from genmetrics.report.saved import SavedMetric

__all__ = ["Checkpoints", "ModelCell", "ModelRow", "Models", "StepPlot", "checkpoints_of", "models_of"]

_SIGNS = {"better": "▲", "worse": "▼", "inconclusive": "≈", "unknown": "?"}


@dataclass(frozen=True)
class ModelCell:
    """One model's figure in one metric, with the verdict against the first model.

    Attributes:
        value: the figure; empty if the model does not have it.
        interval: its 95 % interval, of the debiased value where there is one; empty if it is not known.
        debiased: the value without the bias of few images; empty if there is none.
        span: its bar, on a line that all models share.
        verdict: ``better``, ``worse``, ``inconclusive`` or ``unknown``; empty for the first model, and where there is
            none.
        sign: of the verdict.
        difference: from the first model, with its interval; empty likewise.
    """

    value: str
    interval: str
    debiased: str
    span: Span | None
    verdict: str
    sign: str
    difference: str


@dataclass(frozen=True)
class ModelRow:
    """One metric of all models."""

    id: str
    label: str
    title: str
    better: str
    cells: tuple[ModelCell, ...]


@dataclass(frozen=True)
class Models:
    """Models side by side.

    Attributes:
        labels: of the models, the one that the others are compared with first.
        rows: the metrics.
        summaries: for each other model, the verdicts in a sentence.
        refusals: models that do not compare with the first, and why.
        notes: what a reader of the verdicts must know.
    """

    labels: tuple[str, ...]
    rows: tuple[ModelRow, ...]
    summaries: tuple[str, ...]
    refusals: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class StepPlot:
    """A metric over the checkpoints.

    Attributes:
        label: the metric's name.
        better: which way is better.
        drawing: the plot; None if it cannot be drawn.
        words: what it shows.
        rows: step, value and interval of each checkpoint that has the metric, and whether it is the best.
    """

    label: str
    better: str
    drawing: Drawing | None
    words: str
    rows: tuple[tuple[str, str, str, bool], ...]


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run, ascending."""

    unit: str
    labels: tuple[str, ...]
    plots: tuple[StepPlot, ...]
    summary: str


def models_of(results: Sequence[Shown], lookup: Lookup) -> Models:
    """The models of several results, each compared with the first."""
    first = results[0]
    verdicts: list[dict[str, tuple[str, str]]] = [{}]
    summaries: list[str] = []
    refusals: list[tuple[str, str]] = []
    notes: list[str] = []
    for other in results[1:]:
        try:
            comparison = compare_results([first.saved], [other.saved], lookup)
        except GenmetricsError as error:
            refusals.append((other.label, str(error)))
            verdicts.append({})
            continue
        found: dict[str, tuple[str, str]] = {}
        for name, of in comparison.metrics.items():
            known = of.ci95_low is not None and of.ci95_high is not None
            reach = f" ({interval(of.ci95_low, of.ci95_high)})" if known else ""  # type: ignore[arg-type]
            found[name] = of.verdict, of.reason or f"{signed(of.difference, 3)}{reach}"
        verdicts.append(found)
        summaries.append(_summary(other.label, first.label, {name: verdict for name, (verdict, _) in found.items()}))
        notes += comparison.warnings
    ids = list(dict.fromkeys(name for result in results for name in result.saved.metrics))
    rows = tuple(_row(name, results, verdicts, lookup) for name in ids)
    return Models(
        tuple(result.label for result in results),
        rows,
        tuple(summaries),
        tuple(refusals),
        tuple(dict.fromkeys(notes)),
    )


def _row(
    name: str, results: Sequence[Shown], verdicts: Sequence[dict[str, tuple[str, str]]], lookup: Lookup
) -> ModelRow:
    held = [result.saved.metrics.get(name) for result in results]
    scale = scale_of(metric for metric in held if metric is not None)
    info = lookup(name)
    cells = tuple(
        _cell(metric, scale, *found.get(name, ("", ""))) for metric, found in zip(held, verdicts, strict=True)
    )
    return ModelRow(name, label_of(name), title(name, info), direction(info), cells)


def _cell(metric: SavedMetric | None, scale: tuple[float, float], verdict: str, difference: str) -> ModelCell:
    if metric is None:
        return ModelCell("", "", "", None, "", "", "")
    return ModelCell(
        sure(metric.value, _width(metric)),
        "" if metric.ci95 is None else interval(*metric.ci95),
        "" if metric.debiased is None else sure(metric.debiased, _width(metric)),
        span(metric, scale),
        verdict,
        _SIGNS.get(verdict, ""),
        difference,
    )


def _width(metric: SavedMetric) -> float | None:
    return None if metric.ci95 is None else metric.ci95[1] - metric.ci95[0]


def _summary(other: str, first: str, verdicts: dict[str, str]) -> str:
    parts = []
    for verdict, words in (
        ("better", "better in"),
        ("worse", "worse in"),
        ("inconclusive", "not told apart in"),
        ("unknown", "without a verdict in"),
    ):
        names = [label_of(name) for name, found in verdicts.items() if found == verdict]
        if names:
            parts.append(f"{words} {_listed(names)}")
    return f"{other} against {first}: {'; '.join(parts)}."


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def checkpoints_of(results: Sequence[Shown], steps: Steps, lookup: Lookup) -> Checkpoints:
    """The checkpoints of several results, whose steps are given in the results' order."""
    order = steps.order
    ids = list(dict.fromkeys(name for place in order for name in results[place].saved.metrics))
    plots = tuple(_plot(name, number, results, steps, lookup) for number, name in enumerate(ids))
    texts = [steps.texts[place] for place in order]
    summary = f"{len(results)} checkpoints, {steps.unit} {texts[0]} to {texts[-1]}."
    if plots:
        summary += f" {plots[0].words}"
    return Checkpoints(steps.unit, tuple(results[place].label for place in order), plots, summary)


def _plot(name: str, number: int, results: Sequence[Shown], steps: Steps, lookup: Lookup) -> StepPlot:
    held = [
        (steps.of[place], steps.texts[place], results[place].saved.metrics[name])
        for place in steps.order
        if name in results[place].saved.metrics
    ]
    info, label = lookup(name), label_of(name)
    # The interval is that of the debiased value, where there is one.
    corrected = all(metric.debiased is not None for _, _, metric in held)
    values = [metric.debiased if corrected and metric.debiased is not None else metric.value for _, _, metric in held]
    shown_values = [sure(value, _width(metric)) for value, (_, _, metric) in zip(values, held, strict=True)]
    label = f"Debiased {label}" if corrected else label
    best = None
    if info is not None and len(held) > 1:
        best = values.index(max(values) if info.higher_is_better else min(values))
    unit = steps.unit
    words = f"{label} is {shown_values[0]} at {unit} {held[0][1]}"
    if len(held) > 1:
        words += f" and {shown_values[-1]} at {unit} {held[-1][1]}"
    if best is not None and info is not None:
        extreme = "largest" if info.higher_is_better else "least"
        words += f"; the {extreme} is {shown_values[best]} at {unit} {held[best][1]}"
    words += "."
    drawing = draw_steps(
        [step for step, _, _ in held],
        values,
        [metric.ci95 for _, _, metric in held],
        best,
        unit,
        label,
        words,
        f"steps-{number}",
    )
    rows = tuple(
        (text, shown_values[place], "" if metric.ci95 is None else interval(*metric.ci95), place == best)
        for place, (_, text, metric) in enumerate(held)
    )
    return StepPlot(label, direction(info), drawing, words, rows)
