"""The figures of one result: the rows of its table, and the few that the page opens with."""

from __future__ import annotations

from dataclasses import dataclass

from genmetrics.report.compare import Lookup
from genmetrics.report.page.content import Shown
from genmetrics.report.page.numbers import figure, interval, plain, sure
from genmetrics.report.page.spans import Span, scale_of, span
from genmetrics.report.page.words import direction, meaning, title
from genmetrics.report.saved import SavedMetric

__all__ = ["Row", "label_of", "rows_of"]

#: Settings of an estimator that its protocol says as well.
_SETTINGS = ("num_subsets", "subset_size", "num_splits", "std")


@dataclass(frozen=True)
class Row:
    """One metric.

    Attributes:
        id: its id.
        label: what it is called in short.
        title: in full.
        meaning: what its number says.
        value: the main figure.
        exact: the same with every digit.
        better: which way is better, in words.
        arrow: the same as a sign.
        interval: the 95 % interval; empty if it is not known.
        se: the standard error; empty likewise.
        debiased: the value without the bias of few images; empty if there is none.
        extras: its other figures.
        protocol: what the number stands for.
        span: its bar.
    """

    id: str
    label: str
    title: str
    meaning: str
    value: str
    exact: str
    better: str
    arrow: str
    interval: str
    se: str
    debiased: str
    extras: tuple[tuple[str, str], ...]
    protocol: str
    span: Span

    @property
    def words(self) -> str:
        """The figure and its interval, for those who do not see the bar."""
        text = f"{self.label} {self.value}"
        if self.interval:
            text += f", 95 % interval {self.interval}"
        return f"{text}, debiased {self.debiased}" if self.debiased else text


def rows_of(result: Shown, lookup: Lookup) -> tuple[Row, ...]:
    """The metrics of a result, in their order."""
    return tuple(_row(result, metric, lookup) for metric in result.saved.metrics.values())


def label_of(metric: str) -> str:
    """A short name: the id without the network behind it, in capitals where it is an abbreviation."""
    base = metric.partition(".")[0]
    head, *rest = base.split("_")
    if head in (
        "fid",
        "fd",
        "kid",
        "isc",
        "prc",
        "prdc",
        "cmmd",
        "mind",
        "mifid",
        "ppl",
        "rke",
        "lpips",
        "sfid",
        "fdr",
    ):
        head = {"isc": "Inception Score", "prc": "Precision", "prdc": "Density", "sfid": "sFID"}.get(head, head.upper())
    elif head == "nearest":
        head = "Nearest distance"
    else:
        head = head[:1].upper() + head[1:]
    return " ".join([head, *rest])


def _row(result: Shown, metric: SavedMetric, lookup: Lookup) -> Row:
    info = lookup(metric.id)
    arrow = "" if info is None else "↑" if info.higher_is_better else "↓"
    extras = result.metrics[metric.id].extra
    width = None if metric.ci95 is None else metric.ci95[1] - metric.ci95[0]
    return Row(
        metric.id,
        label_of(metric.id),
        title(metric.id, info),
        meaning(metric.id, info),
        sure(metric.value, width),
        repr(metric.value),
        direction(info),
        arrow,
        "" if metric.ci95 is None else interval(*metric.ci95),
        "" if metric.se is None else figure(metric.se, 2),
        "" if metric.debiased is None else sure(metric.debiased, width),
        tuple(
            (name.replace("_", " "), plain(value, 3))
            for name, value in extras.items()
            if name not in _SETTINGS and value != metric.value
        ),
        metric.protocol,
        span(metric, scale_of([metric])),
    )
