"""Writing statistics in our own format or another tool's, by the name of the file."""

from __future__ import annotations

from pathlib import Path

from genmetrics.errors import UsageError
from genmetrics.stats.stats import Stats
from genmetrics.types import Need

__all__ = ["check_name", "save_as"]


def check_name(path: Path) -> None:
    """Raise a ``UsageError`` if a file of that name cannot be written."""
    if path.suffix != ".safetensors":
        raise UsageError(f"output '{path}': expected a name ending in .safetensors")


def save_as(stats: Stats, path: Path, need: Need | None = None) -> None:
    """Write statistics in the format that the file's name asks for."""
    check_name(path)
    stats.save(path)
