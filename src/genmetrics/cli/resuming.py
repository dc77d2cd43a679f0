"""Where the commands keep the checkpoints of ``--resume``, and when they are removed."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Unfinished", "folder_beside", "folder_in_cache", "forget", "unfinished"]

_FOLDER = "resume"


@dataclass(frozen=True)
class Unfinished:
    """The checkpoints of an evaluation that has not ended.

    Attributes:
        folder: where they are.
        size: in bytes.
    """

    folder: Path
    size: int


def folder_beside(output: Path) -> Path:
    """The folder of a run that writes this file."""
    return output.with_name(f"{output.name}.resume")


def folder_in_cache(asked: Mapping[str, object]) -> Path:
    """The folder of a run that may write no file: the same for the same command in the same place.

    Args:
        asked: everything that was asked for and decides on the result.

    Raises:
        UsageError: if the cache is switched off.
    """
    from genmetrics.errors import UsageError
    from genmetrics.stats.cache import FOLDER, cache_folder

    cache = cache_folder()
    if cache is None:
        raise UsageError(
            f"'--resume' keeps its checkpoints in the cache folder, and {FOLDER}=off switches it off; name a folder "
            f"with {FOLDER}, or use 'genmetrics stats build --resume', which keeps them beside its file"
        )
    key = json.dumps([str(Path.cwd()), *sorted((name, str(value)) for name, value in asked.items())])
    return cache.parent / _FOLDER / hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:24]


def unfinished() -> list[Unfinished]:
    """The evaluations in the cache folder that have not ended; those that run now are among them."""
    from genmetrics.stats.cache import cache_folder

    cache = cache_folder()
    if cache is None or not (cache.parent / _FOLDER).is_dir():
        return []
    folders = sorted(path for path in (cache.parent / _FOLDER).iterdir() if path.is_dir())
    return [
        Unfinished(folder, sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))
        for folder in folders
    ]


def forget(folder: Path) -> None:
    """Remove the checkpoints of a run whose result is written."""
    shutil.rmtree(folder, ignore_errors=True)
