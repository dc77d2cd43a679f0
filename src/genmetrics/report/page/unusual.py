"""What is unusual in a result: rules that look at it, and what each says to a reader."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from genmetrics.report.compare import Lookup
from genmetrics.report.page.content import Shown
from genmetrics.report.page.numbers import counted, figure, interval, percent
from genmetrics.report.page.words import family_of, sentence

__all__ = ["Remark", "remarks"]

#: ``doubt``: the figures may not mean what they seem to. ``note``: to be known when they are read or quoted.
Level = Literal["doubt", "note"]

#: From so many images on a Fréchet distance is what papers state.
_MANY = 10_000
#: A bias, or half an interval, of this part of the value is worth a word.
_BIAS, _WIDE = 0.05, 0.1
_GAP = 0.2
#: AuthPct of sets without copies is well above this.
_FEW_AUTHENTIC = 50.0


@dataclass(frozen=True)
class Remark:
    """One thing that is unusual.

    Attributes:
        level: how much it weighs.
        about: the metrics, or the side, that it is about; empty if it is about all.
        text: what it is.
    """

    level: Level
    about: str
    text: str


def remarks(result: Shown, lookup: Lookup) -> tuple[Remark, ...]:
    """All that is unusual in a result, what puts figures in doubt first; each text once.

    Args:
        result: what to look at.
        lookup: what is known of the metric of an id; None if nothing is.
    """
    found = [remark for rule in _RULES for remark in rule(result)]
    found += _intervals(result, lookup)
    found += _said(result)
    merged: dict[tuple[Level, str], list[str]] = {}
    for remark in found:
        about = merged.setdefault((remark.level, remark.text), [])
        if remark.about and remark.about not in about:
            about.append(remark.about)
    all_of_them = [Remark(level, ", ".join(about), text) for (level, text), about in merged.items()]
    return tuple(sorted(all_of_them, key=lambda remark: remark.level != "doubt"))


def _same_images(result: Shown) -> Iterator[Remark]:
    gen, ref = result.saved.gen, result.saved.ref
    if ref is not None and gen.digest is not None and gen.digest == ref.digest:
        yield Remark(
            "doubt",
            "",
            "Both sets are the same images (equal digests). A distance of a set from itself says nothing of a model.",
        )


def _forced(result: Shown) -> Iterator[Remark]:
    for name, metric in result.saved.metrics.items():
        if metric.protocol.endswith("/forced"):
            yield Remark(
                "doubt", name, "The two sets do not compare, and were compared by force. This number equals no other."
            )


def _networks(result: Shown) -> Iterator[Remark]:
    for name, network in result.saved.networks.items():
        if network.get("official") is False:
            yield Remark(
                "doubt",
                name,
                "The weights of this network are not the published ones, so that its numbers compare only with those "
                "of the same file.",
            )
        precision = network.get("precision")
        if precision not in (None, "exact"):
            yield Remark(
                "note", name, f"The network ran in {precision}, not in float32; compare with numbers of that precision."
            )


def _skipped(result: Shown) -> Iterator[Remark]:
    for name, side in (("gen", result.gen), ("ref", result.ref)):
        if side is not None and side.skipped:
            number = counted(len(side.skipped), "image")
            yield Remark("doubt", name, f"{number} could not be read and were left out; provenance lists them.")


def _copies(result: Shown) -> Iterator[Remark]:
    for name, shown in result.metrics.items():
        share = shown.extra.get("share_of_copies", 0.0)
        if share > 0:
            yield Remark(
                "doubt",
                name,
                f"{percent(share)} of the generated images are copies of reference images, or nearly so. A model that "
                "repeats its training set gets good numbers in most metrics; look at the pairs below.",
            )
        if name.partition(".")[0] == "authpct" and result.saved.metrics[name].value < _FEW_AUTHENTIC:
            value = figure(result.saved.metrics[name].value, 3)
            yield Remark("doubt", name, f"Only {value} % of the generated images count as no copies of the reference.")


def _bias(result: Shown) -> Iterator[Remark]:
    for name, metric in result.saved.metrics.items():
        if metric.debiased is None or metric.value <= 0:
            continue
        bias = metric.value - metric.debiased
        if bias > _BIAS * metric.value:
            yield Remark(
                "note",
                name,
                f"{figure(bias, 2)} of the {figure(metric.value)} come from the number of images; without that bias it "
                f"is about {figure(metric.debiased)}. Compare it only with values of as many images.",
            )


def _few_images(result: Shown) -> Iterator[Remark]:
    count = result.saved.gen.num_samples
    if count is None:
        yield Remark("note", "gen", "The result does not say how many generated images there are.")
        return
    for name, metric in result.saved.metrics.items():
        family = family_of(name)
        width = _width(metric.protocol)
        if family is None or not family.is_frechet:
            continue
        if width is not None and count <= width:
            yield Remark(
                "doubt",
                name,
                f"{counted(count, 'generated image')} in {width:,} dimensions: the number says as much of how many "
                "images there are as of the model.",
            )
        elif count < _MANY:
            yield Remark(
                "note",
                name,
                f"{counted(count, 'generated image')}: a Fréchet distance of so few comes out larger than that of the "
                "50,000 of most papers. Compare it only with values of as many images.",
            )


def _width(protocol: str) -> int | None:
    """The number of feature dimensions, where the feature is called by it."""
    found = re.match(r"[^/]+/(\d+)/", protocol)
    return int(found[1]) if found else None


def _intervals(result: Shown, lookup: Lookup) -> Iterator[Remark]:
    for name, metric in result.saved.metrics.items():
        if metric.ci95 is None:
            continue
        low, high = metric.ci95
        half, middle = (high - low) / 2, metric.value if metric.debiased is None else metric.debiased
        info = lookup(name)
        is_distance = info is not None and not info.unary and not info.higher_is_better
        if low <= 0 <= high and high > low:
            if not is_distance:
                continue
            yield Remark(
                "note",
                name,
                f"The 95 % interval, {interval(low, high)}, has zero in it: this metric cannot tell the sets apart "
                "with so many images.",
            )
        elif middle and half > _WIDE * abs(middle):
            yield Remark(
                "note",
                name,
                f"The 95 % interval, {interval(low, high)}, is wide: it reaches {percent(half / abs(middle))} of the "
                "value to either side. Smaller differences between models cannot be told with so many images.",
            )


def _precision_recall(result: Shown) -> Iterator[Remark]:
    for name, shown in result.metrics.items():
        precision, recall = shown.extra.get("precision"), shown.extra.get("recall")
        if precision is None or recall is None:
            continue
        if precision - recall > _GAP:
            yield Remark(
                "note",
                name,
                f"Precision {figure(precision, 3)} is high beside recall {figure(recall, 3)}: the images are like the "
                "reference, and parts of the reference are missing among them. A truncated sampler does that.",
            )
        if recall - precision > _GAP:
            yield Remark(
                "note",
                name,
                f"Recall {figure(recall, 3)} is high beside precision {figure(precision, 3)}: the reference is "
                "covered, and many of the generated images are unlike it.",
            )


def _said(result: Shown) -> Iterator[Remark]:
    """What the run itself says."""
    for text in result.notes:
        yield Remark("note", "", sentence(text))
    for name, side in (("gen", result.gen), ("ref", result.ref)):
        for text in () if side is None else side.notes:
            yield Remark("note", name, sentence(text))
    for name, shown in result.metrics.items():
        for text in shown.warnings:
            yield Remark("note", name, sentence(text))


_RULES: Sequence[Callable[[Shown], Iterator[Remark]]] = (
    _same_images,
    _forced,
    _networks,
    _skipped,
    _copies,
    _bias,
    _few_images,
    _precision_recall,
)
