"""Where the figures of a result come from, in full."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from genmetrics.report.page.content import Shown, ShownSide, as_text
from genmetrics.report.saved import SavedSide

__all__ = ["Group", "Provenance", "provenance_of"]

#: So many skipped images are listed; the JSON has all.
_MOST_SKIPPED = 200
#: Fields that have a group of their own, or stand elsewhere on the page.
_PLACED = (
    *("schema", "genmetrics", "metrics", "gen", "ref", "extractors", "versions", "seconds", "notes", "advice"),
    *("command", "diagnostics", "device", "num_processes", "seed", "reused"),
)
_UNSAID = "not said"


@dataclass(frozen=True)
class Group:
    """A heading and what is said under it, as names and texts."""

    title: str
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Provenance:
    """How a result came about.

    Attributes:
        groups: all that is known.
        skipped: the first images that were left out, each with its set and the reason.
        num_skipped: how many there are.
        command: what repeats the run; empty if nothing does.
        file: the JSON file; empty if the result came as an object.
    """

    groups: tuple[Group, ...]
    skipped: tuple[tuple[str, str, str], ...]
    num_skipped: int
    command: str
    file: str


def provenance_of(result: Shown) -> Provenance:
    """What a result says of its run."""
    saved = result.saved
    groups = [Group("Generated set", tuple(_side(saved.gen, result.gen)))]
    if saved.ref is not None and result.ref is not None:
        groups.append(Group("Reference", tuple(_side(saved.ref, result.ref))))
    groups.append(Group("Run", tuple(_run(result))))
    for name, network in saved.networks.items():
        groups.append(Group(f"Network {name}", tuple(_network(network))))
    groups.append(Group("Protocols", tuple((name, metric.protocol) for name, metric in saved.metrics.items())))
    groups.append(
        Group(
            "Versions", (("genmetrics", as_text(result.content["genmetrics"])), *_pairs(result.content.get("versions")))
        )
    )
    sides = (("generated", result.gen), ("reference", result.ref))
    skipped = tuple((of, *image) for of, side in sides if side is not None for image in side.skipped)
    file = "" if saved.path is None else str(saved.path)
    return Provenance(tuple(groups), skipped[:_MOST_SKIPPED], len(skipped), result.command, file)


def _side(side: SavedSide, beside: ShownSide) -> Iterator[tuple[str, str]]:
    yield "source", side.source
    yield "kind", side.kind
    yield "images", _UNSAID if side.num_samples is None else f"{side.num_samples:,}"
    yield "digest (sha256)", side.digest or _UNSAID
    if side.stats_file:
        yield "statistics file", side.stats_file
    yield "selection", beside.others.get("selection", "all images")
    yield "skipped images", f"{len(beside.skipped):,}" if beside.skipped else "none"
    for name, text in beside.others.items():
        if name != "selection":
            yield name, text
    for note in beside.notes:
        yield "note", note


def _run(result: Shown) -> Iterator[tuple[str, str]]:
    content = result.content
    for name in ("device", "num_processes", "seed"):
        yield name.replace("num_", ""), as_text(content[name]) if content.get(name) is not None else _UNSAID
    seconds = content.get("seconds")
    if isinstance(seconds, Mapping):
        yield "seconds", ", ".join(f"{name} {as_text(value)}" for name, value in seconds.items())
    reused = content.get("reused")
    yield (
        "kept from an earlier run",
        ", ".join(map(as_text, reused)) if isinstance(reused, list) and reused else "nothing",
    )
    for note in result.notes:
        yield "note", note
    for name, value in content.items():
        if name not in _PLACED and value not in (None, [], {}, ""):
            yield name, as_text(value)


def _network(network: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    official = network.get("official")
    yield "weights (sha256)", as_text(network.get("weights_sha256") or _UNSAID)
    yield "published weights", _UNSAID if official is None else "yes" if official else "no"
    yield "precision", as_text(network.get("precision") or _UNSAID)
    yield "backend", as_text(network.get("backend") or _UNSAID)
    preprocess = network.get("preprocess")
    if isinstance(preprocess, Mapping):
        for name, spec in preprocess.items():
            yield f"preprocess {name}", json.dumps(spec, ensure_ascii=False, default=str)
    for name, value in network.items():
        if name not in ("weights_sha256", "official", "precision", "backend", "preprocess"):
            yield name, as_text(value)


def _pairs(read: object) -> tuple[tuple[str, str], ...]:
    return tuple((name, as_text(value)) for name, value in read.items()) if isinstance(read, Mapping) else ()
