"""What the user gave for a side of a run: statistics, images, or a file that holds both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genmetrics.engine.options import Options
from genmetrics.errors import SourceError, UsageError
from genmetrics.paths import require_path
from genmetrics.sources.base import ImageSource, SeededSource
from genmetrics.sources.labels import label_source
from genmetrics.sources.parse import open_source
from genmetrics.stats.formats import holds_images, is_statistics
from genmetrics.stats.stats import Stats
from genmetrics.types import Stage

__all__ = ["Side", "SourceLike", "open_side"]

#: A path or prefixed string, a sequence of paths, an (n, 3, h, w) uint8 tensor, an (n, h, w, 3) uint8 array, a
#: torch Dataset or DataLoader, or an ``ImageSource``.
SourceLike = Any

_PREFIX = "stats:"


@dataclass(frozen=True)
class Side:
    """A side of a run, found but not read.

    Attributes:
        stats: statistics that were given.
        source: images, from which the rest is computed. Both are there for an ADM reference file, whose
            ``arr_0`` holds images beside ``mu`` and ``sigma``.
    """

    stats: Stats | None = None
    source: ImageSource | None = None


def open_side(given: SourceLike | Stats, stage: Stage, options: Options) -> Side:
    """Find what was given for a side.

    Args:
        given: statistics, a statistics file of any known format, or anything that ``open_source`` takes.
        stage: which side it is: the two sides' generators get different seeds.
        options: how sources are opened.

    Raises:
        SourceError: if it does not exist, is damaged or of the wrong kind.
        StatisticsError: if it is a statistics file that is damaged.
    """
    labels = options.labels_of(stage)
    if isinstance(given, Stats):
        return _without_labels(Side(stats=given), labels)
    if isinstance(given, str) and given.startswith(_PREFIX):
        return _without_labels(_open_forced(given), labels)
    if isinstance(given, str | Path):
        path = Path(given).expanduser()
        if path.is_file() and is_statistics(path):
            return _open_stats(path, labels)
    source = open_source(given)
    if isinstance(source, SeededSource):
        source = source.seeded(options.seed if stage == "gen" else (options.seed + 1) % 2**32)
    return Side(source=label_source(source, labels))


def _open_forced(given: str) -> Side:
    text = given.removeprefix(_PREFIX)
    if Path(given).exists():
        raise SourceError(
            f"'{given}' is both a path that exists and '{text}' as a statistics file; give './{given}' for the first "
            f"or '{_PREFIX}./{text}' for the second"
        )
    if not text:
        raise UsageError(f"'{_PREFIX}' has nothing behind it, expected a statistics file such as '{_PREFIX}ref.npz'")
    return Side(stats=Stats.load(require_path(text)))


def _open_stats(path: Path, labels: str | Path) -> Side:
    stats = Stats.load(path)
    if holds_images(path):
        return Side(stats, open_source(path, kind="npz", labels=labels))
    return _without_labels(Side(stats), labels)


def _without_labels(side: Side, labels: str | Path) -> Side:
    assert side.stats is not None
    if labels != "auto":
        raise UsageError(
            f"labels '{labels}' were given for '{side.stats.name}', which is statistics already; give them when the "
            "statistics are built, or for the other side alone: gen=… or ref=…"
        )
    return side
