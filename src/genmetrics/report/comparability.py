"""Whether the figures of two results compare: protocol, network, reference and number of images behind them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from genmetrics.errors import StatisticsError
from genmetrics.report.saved import SavedResult, SavedSide

__all__ = ["FORCED", "check_alike", "check_runs", "same_reference"]

#: How a note begins that stands for a refusal.
FORCED = "forced: "

_ANYWAY = "leave such metrics out with -m, or compare all the same with --force (force=True), which the output says"


@dataclass(frozen=True)
class _Mismatch:
    """A field that differs, what both say, and what to do."""

    field: str
    one: object
    other: object
    advice: str


def check_alike(
    one: SavedResult, other: SavedResult, metrics: Sequence[str], needs_ref: Callable[[str], bool], *, force: bool
) -> tuple[str, ...]:
    """Refuse two results of which a metric does not compare.

    Args:
        one: the first result.
        other: the second.
        metrics: the ids to look at, which both have.
        needs_ref: whether a metric is a distance from the reference.
        force: take them all the same.

    Returns:
        What a reader must know: what differs all the same, and what cannot be checked.

    Raises:
        StatisticsError: naming each metric and field, both values and what to do.
    """
    found: dict[_Mismatch, list[str]] = {}
    for metric in metrics:
        for mismatch in _mismatches(one, other, metric, needs_ref(metric)):
            found.setdefault(mismatch, []).append(metric)
    texts = [
        f"{', '.join(ids)}: {at.field} is {_shown(at.one)} in '{one.name}' and {_shown(at.other)} in '{other.name}'"
        for at, ids in found.items()
    ]
    if found and not force:
        advised = [f"{text}; {at.advice}" for text, at in zip(texts, found, strict=True)]
        raise StatisticsError(f"the results do not compare. {'. '.join(advised)}. Or {_ANYWAY}")
    notes = [f"{FORCED}{text}; the difference is not between the models alone" for text in texts]
    return (*notes, *_unchecked(one, other, [metric for metric in metrics if needs_ref(metric)]))


def check_runs(runs: Sequence[SavedResult], *, force: bool) -> tuple[str, ...]:
    """Refuse runs of one model of which two are the same.

    Raises:
        StatisticsError: if two have the same images, or are the same file: their spread would be too small.
    """
    notes = []
    for place, run in enumerate(runs):
        for earlier in runs[:place]:
            same_file = run.path is not None and earlier.path is not None and run.path.samefile(earlier.path)
            if not same_file and (run.gen.digest is None or run.gen.digest != earlier.gen.digest):
                continue
            what = "are the same file" if same_file else f"have the same images (gen.digest {_shown(run.gen.digest)})"
            text = f"the runs '{earlier.name}' and '{run.name}' of one model {what}, so that their spread is too small"
            if not force:
                raise StatisticsError(
                    f"{text}; give one of them, or generate with another seed for each run (--force takes them all the "
                    "same)"
                )
            notes.append(FORCED + text)
    return tuple(notes)


def same_reference(one: SavedResult, other: SavedResult) -> bool:
    """Whether both say that they have the same reference images."""
    return one.ref is not None and other.ref is not None and _equal(one.ref.digest, other.ref.digest)


def _mismatches(one: SavedResult, other: SavedResult, metric: str, needs_ref: bool) -> Iterator[_Mismatch]:
    protocols = [result.metrics[metric].protocol for result in (one, other)]
    if protocols[0] != protocols[1]:
        yield _Mismatch(
            f"metrics.{metric}.protocol",
            protocols[0],
            protocols[1],
            "evaluate both with the same options (--precision, --extractor, --crop) and the same version",
        )
    elif protocols[0].endswith("/forced"):
        yield _Mismatch(
            f"metrics.{metric}.protocol",
            protocols[0],
            protocols[1],
            "a forced number compares with no other: evaluate both without --force",
        )
    yield from _networks(one, other, protocols[0])
    if one.gen.num_samples != other.gen.num_samples:
        counts = [result.gen.num_samples for result in (one, other)]
        known = [count for count in counts if count is not None]
        advice = f"evaluate both with --num {min(known)}" if len(known) == 2 else "evaluate the images themselves"
        yield _Mismatch(
            "gen.num_samples", counts[0], counts[1], f"{advice}, since a metric depends on the number of images"
        )
    if needs_ref:
        yield from _references(one.ref, other.ref)


def _networks(one: SavedResult, other: SavedResult, protocol: str) -> Iterator[_Mismatch]:
    for name in one.networks.keys() & other.networks.keys():
        if name not in protocol:
            continue
        ours, theirs = one.networks[name], other.networks[name]
        weights = [record.get("weights_sha256") for record in (ours, theirs)]
        if None not in weights and weights[0] != weights[1]:
            yield _Mismatch(
                f"extractors.{name}.weights_sha256", weights[0], weights[1], "evaluate both with the same --weights"
            )
        specs = [record.get("preprocess") or {} for record in (ours, theirs)]
        for kind in sorted(specs[0].keys() & specs[1].keys()):
            if kind in protocol and _text(specs[0][kind]) != _text(specs[1][kind]):
                yield _Mismatch(
                    f"extractors.{name}.preprocess.{kind}",
                    _text(specs[0][kind]),
                    _text(specs[1][kind]),
                    "evaluate both with the same version",
                )


def _references(one: SavedSide | None, other: SavedSide | None) -> Iterator[_Mismatch]:
    advice = "evaluate both against the same --ref"
    if one is None or other is None:
        if one is not other:
            yield _Mismatch("ref", one and one.source, other and other.source, advice)
    elif one.digest is not None or other.digest is not None:
        if one.digest != other.digest:
            yield _Mismatch("ref.digest", one.digest, other.digest, advice)
    else:
        for field in ("stats_file", "source", "num_samples"):
            values = getattr(one, field), getattr(other, field)
            if values[0] != values[1]:
                yield _Mismatch(f"ref.{field}", values[0], values[1], advice)
                return


def _unchecked(one: SavedResult, other: SavedResult, metrics: Sequence[str]) -> tuple[str, ...]:
    """What neither result says, so that it is believed."""
    if not metrics or one.ref is None or other.ref is None or one.ref.digest or other.ref.digest:
        return ()
    return (
        f"'{one.ref.stats_file or one.ref.source}' does not say which images it is of; that both results have the same "
        "reference is told by its name alone",
    )


def _equal(one: str | None, other: str | None) -> bool:
    return one is not None and one == other


def _text(spec: object) -> str:
    return json.dumps(spec, sort_keys=True, default=list)


def _shown(value: object) -> str:
    """A value for people; of a digest enough to tell it from another."""
    if value is None:
        return "not said"
    text = str(value)
    hexadecimal = len(text) == 64 and all(letter in "0123456789abcdef" for letter in text)
    return f"{text[:12]}…" if hexadecimal else repr(value)
