"""Statistics files of every known format."""

from __future__ import annotations

from pathlib import Path

from genmetrics.errors import StatisticsError
from genmetrics.paths import require_file
from genmetrics.stats.io import is_stats_file, load_own
from genmetrics.stats.stats import Stats

__all__ = ["load_stats"]


def load_stats(path: str | Path) -> Stats:
    """Read a statistics file; see ``Stats.load``."""
    found = require_file(path, "a statistics file")
    if is_stats_file(found) or found.suffix == ".safetensors":
        return load_own(found)
    raise StatisticsError(f"'{path}' is no statistics file that is known")


def is_statistics(path: Path) -> bool:
    """Whether a file is to be taken for statistics and not for images."""
    return path.suffix == ".safetensors" or is_stats_file(path)


def holds_images(path: Path) -> bool:
    """Whether a statistics file holds images too, as an ADM reference does."""
    return False
