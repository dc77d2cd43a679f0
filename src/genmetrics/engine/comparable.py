"""Whether the features of two sides compare: the same weights, precision and preprocessing behind them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path

from genmetrics.engine.options import Options
from genmetrics.engine.plan import Plan, as_typed
from genmetrics.errors import GenmetricsWarning, StatisticsError
from genmetrics.extractors.base import locate_weights
from genmetrics.extractors.weights import file_sha256
from genmetrics.types import ExtractorRecord, Need, SideRecord, joined_backends, same_features

__all__ = ["FORCED", "check_comparable", "check_weights", "decode_note"]

#: How a caution begins that stands for a refusal.
FORCED = "forced: "

_FIELDS = ("weights_sha256", "precision")


def decode_note(gen: SideRecord, ref: SideRecord | None) -> tuple[str, ...]:
    """What to say, and to warn of, where images of one side only were not decoded by Pillow."""
    if ref is None or (gen.num_by_device > 0) == (ref.num_by_device > 0):
        return ()
    which, other = ("generated", "reference") if gen.num_by_device else ("reference", "generated")
    note = (
        f"images of the {which} side were decoded on a GPU and none of the {other} side, so that part of the distance "
        "is that of two decoders; use the same --decode on both"
    )
    warnings.warn(note, GenmetricsWarning, stacklevel=2)
    return (note,)


def check_comparable(
    plan: Plan, gen: Mapping[Need, ExtractorRecord], ref: Mapping[Need, ExtractorRecord], *, force: bool
) -> dict[Need, tuple[str, ...]]:
    """Refuse two sides whose features come from unlike networks.

    Args:
        plan: the metrics and their needs.
        gen: the network behind each need of the generated side.
        ref: likewise of the reference side.
        force: take unlike ones, with a caution.

    Returns:
        What a reader of a number must know, by need: what differs, or what a side does not say.

    Raises:
        StatisticsError: naming the field that differs.
    """
    cautions: dict[Need, tuple[str, ...]] = {}
    for need in plan.ref_needs:
        theirs = ref[need]
        # A metric may read one statistic of the generated set and another of the reference, of the same features.
        ours = gen.get(need) or next(record for other, record in gen.items() if same_features(other, need))
        texts = []
        for field, of_gen, of_ref in _stated(need, ours, theirs):
            if of_gen is None or of_ref is None:
                side = "generated" if of_gen is None else "reference"
                if field == "weights_sha256":
                    texts.append(
                        f"the {side} statistics do not say with which weights of {need.extractor!r} they were made; "
                        "that both sides have the same is not checked"
                    )
            elif of_gen != of_ref:
                what = f"different {field} of {need.extractor!r} (generated {of_gen}, reference {of_ref})"
                if not force:
                    metric = as_typed(plan.asking_for(need))
                    raise StatisticsError(
                        f"the two sides have {what}; the number would mean nothing. Compute both with the same: build "
                        f"the statistics again (`genmetrics stats build SRC -o FILE -m {metric}`), or "
                        "give the options with which they were built; --force computes it all the same, with a warning"
                    )
                texts.append(f"{FORCED}the two sides have {what}; the number compares with no other")
        cautions[need] = (*texts, *_rounded_otherwise(need, ours, theirs))
    return cautions


def _rounded_otherwise(need: Need, gen: ExtractorRecord, ref: ExtractorRecord) -> tuple[str, ...]:
    """What to say where features are rounded, and not by the same code: with ``exact`` they agree to 1e-5 or so."""
    backends = joined_backends((gen, ref))
    inexact = [record.precision for record in (gen, ref) if record.precision not in (None, "exact")]
    if not inexact or backends is None or ", " not in backends:
        return ()
    return (
        f"features of {need.extractor!r} were computed in {inexact[0]} on more than one backend (generated "
        f"{gen.backend or 'unknown'}, reference {ref.backend or 'unknown'}), each of which rounds in its own way, so "
        "that part of the number is rounding; compute both sides with the same --backend, or with --precision exact",
    )


def check_weights(records: Mapping[Need, ExtractorRecord], options: Options) -> None:
    """Refuse a weight file that given statistics were not made with.

    Raises:
        StatisticsError: if it is another.
        WeightsError: if it cannot be read.
    """
    for need, record in records.items():
        path = options.weights.get(need.extractor)
        if path is None or record.weights_sha256 is None:
            continue
        # Of some extractors the file is a part of the weights only.
        located = locate_weights(need.extractor, Path(path))
        found = file_sha256(Path(path).expanduser()) if located is None else located.sha256
        if found != record.weights_sha256 and not options.force:
            raise StatisticsError(
                f"the given statistics have different weights_sha256 of {need.extractor!r} ({record.weights_sha256}) "
                f"than the file '{path}' ({found}); leave out --weights, or give the file that they were made with "
                "(--force computes it all the same)"
            )


def _stated(need: Need, gen: ExtractorRecord, ref: ExtractorRecord) -> list[tuple[str, object, object]]:
    """Each field with what both sides say of it."""
    return [
        *((field, getattr(gen, field), getattr(ref, field)) for field in _FIELDS),
        ("preprocess", _text(gen.preprocess.get(need.preprocess)), _text(ref.preprocess.get(need.preprocess))),
    ]


def _text(spec: Mapping[str, object] | None) -> str | None:
    """A preprocessing as text: out of a file come lists where the code has tuples."""
    return json.dumps(dict(spec), sort_keys=True) if spec else None
