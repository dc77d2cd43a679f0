"""Statistics of a foreign file, with a record that says no more than the file does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from genmetrics.accumulators.base import Accumulator
from genmetrics.stats.parts import part_of_statistics
from genmetrics.stats.stats import Stats
from genmetrics.types import UNKNOWN, ExtractorRecord, Need, SideRecord

__all__ = ["INCEPTION", "NO_COUNT", "UNSTATED", "foreign_stats", "inception", "unknown"]

INCEPTION = "inception-v3.tf2015"
UNSTATED = "the file does not say which network and preprocessing its statistics are of"
NO_COUNT = "the file does not say how many images its statistics are of"
_NO_WEIGHTS = "the file does not say with which weights and precision its features were made"


def unknown(accumulator: str) -> Need:
    """The need that statistics meet whose file does not say what they are of."""
    return Need(UNKNOWN, UNKNOWN, UNKNOWN, accumulator)


def inception(feature: str, accumulator: str, preprocess: str = "tf1-bilinear-299") -> Need:
    """The need of a layer of the network that the published FID is of."""
    return Need(INCEPTION, preprocess, feature, accumulator)


def foreign_stats(
    path: Path,
    kind: str,
    accumulators: Mapping[Need, Accumulator],
    num_samples: int | None,
    notes: Sequence[str] = (),
) -> Stats:
    """The statistics of a file of another tool.

    Args:
        path: the file.
        kind: the format's name.
        accumulators: the statistics, by what the file says that they are of.
        num_samples: how many images they are of; None if the file does not say.
        notes: what else a reader must know of them; what the file does not say is added.
    """
    said = list(notes)
    if any(need.extractor == UNKNOWN for need in accumulators):
        said.append(UNSTATED)
    else:
        said.append(_NO_WEIGHTS)
    if num_samples is None:
        said.append(NO_COUNT)
    records: dict[str, ExtractorRecord] = {}
    for name in dict.fromkeys(need.extractor for need in accumulators):
        used = {need.preprocess for need in accumulators if need.extractor == name} - {UNKNOWN}
        records[name] = ExtractorRecord(None, None, None, {preprocess: {} for preprocess in sorted(used)})
    side = SideRecord(
        source=str(path),
        kind=kind,
        num_samples=num_samples,
        digest=None,
        notes=tuple(said),
        parts=() if num_samples is None else (part_of_statistics(str(path), kind, num_samples, accumulators.values()),),
        stats_file=str(path),
    )
    return Stats(accumulators, side, records, seed=None, versions={})
