"""A cache of statistics that is keyed by what they were made from, never by a name.

An entry is one accumulator of one image set, in a statistics file of its own. Its key is everything that its
numbers depend on; the file's name is a hash of the key, and the key stands in the file and is compared. Files
appear whole or not at all, so that any number of processes may read and write one folder at the same time: two that
make the same entry write the same, and the later one's takes the place of the other's.

``GENMETRICS_CACHE`` names another folder than ``~/.cache/genmetrics``, or is ``off``; ``GENMETRICS_CACHE_SIZE``
bounds its size (``20GB``).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from genmetrics.errors import CacheWarning, OutputError, StatisticsError, UsageError
from genmetrics.stats.io import load_with_header, save_stats
from genmetrics.stats.stats import Stats

__all__ = ["CacheEntry", "StatsCache", "cache_folder"]

FOLDER = "GENMETRICS_CACHE"
SIZE = "GENMETRICS_CACHE_SIZE"
OFF = "off"
_DEFAULT_BYTES = 10 * 10**9
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_KEY = "cache_key"
#: What a process that was killed left of a write is removed when nothing was added to it for this long.
_ABANDONED_SECONDS = 3600


@dataclass(frozen=True)
class CacheEntry:
    """One entry, as its header describes it.

    Attributes:
        path: its file.
        size: in bytes.
        used: when it was last used, in seconds since 1970.
        key: what it was made from.
        source: the description of the source when it was made.
        num_samples: how many images it is of.
    """

    path: Path
    size: int
    used: float
    key: Mapping[str, Any]
    source: str
    num_samples: int


def cache_folder() -> Path | None:
    """Where entries are kept; None if the cache is switched off.

    Raises:
        UsageError: if ``GENMETRICS_CACHE`` names a file.
    """
    given = os.environ.get(FOLDER, "")
    if given.lower() == OFF:
        return None
    if given:
        folder = Path(given).expanduser()
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{FOLDER}='{given}' is a file; expected a folder, or '{OFF}'")
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genmetrics"
    return folder / "stats"


class StatsCache:
    """The entries in one folder."""

    def __init__(self, folder: Path, max_bytes: int | None = None) -> None:
        """Look at no file yet.

        Args:
            folder: where the entries are; it is made when the first one is written.
            max_bytes: how much all entries together may take; None takes ``GENMETRICS_CACHE_SIZE`` or 10 GB.

        Raises:
            UsageError: if ``GENMETRICS_CACHE_SIZE`` is no size.
        """
        self.folder = folder
        self.max_bytes = _size_limit() if max_bytes is None else max_bytes

    def get(self, key: Mapping[str, Any]) -> Stats | None:
        """The statistics that were made from exactly this; None if there are none."""
        text = _key_text(key)
        path = self._path(text)
        try:
            stats, header = load_with_header(path)
            if header.get(_KEY) != text:
                raise StatisticsError(f"'{path}' is the entry of another key")
        except FileNotFoundError:
            return None
        except StatisticsError as error:
            warnings.warn(
                f"the cache entry '{path}' is damaged ({error}); it is removed and computed again",
                CacheWarning,
                stacklevel=2,
            )
            with suppress(OSError):
                path.unlink()
            return None
        # The time of use decides what goes first when room is needed; in a shared folder it may not be ours to set.
        with suppress(OSError):
            os.utime(path)
        return stats.with_side(replace(stats.side, stats_file=""))

    def put(self, key: Mapping[str, Any], stats: Stats) -> None:
        """Keep statistics under a key, and remove what was not used for longest if room is needed.

        A cache that cannot be written does not stop a run; it is warned about.
        """
        text = _key_text(key)
        path = self._path(text)
        try:
            size = sum(value.nbytes for held in stats.accumulators.values() for value in held.state().values())
            if size > self.max_bytes:
                raise OutputError(f"they are {size:,} bytes, and the cache holds at most {self.max_bytes:,} ({SIZE})")
            path.parent.mkdir(parents=True, exist_ok=True)
            save_stats(stats, path, {_KEY: text})
        except (OSError, OutputError) as error:
            warnings.warn(
                f"the statistics of '{stats.name}' could not be kept in the cache: {error}. Give another folder with "
                f"{FOLDER}, or --no-cache",
                CacheWarning,
                stacklevel=2,
            )
            return
        self._make_room(path)

    def entries(self) -> list[CacheEntry]:
        """All entries, the one used last first."""
        found = [entry for path in self._files() if (entry := _read_entry(path)) is not None]
        return sorted(found, key=lambda entry: entry.used, reverse=True)

    def clear(self) -> tuple[int, int]:
        """Remove every entry and what is left of interrupted writes.

        Returns:
            How many files, and how many bytes.

        Raises:
            OutputError: if a file cannot be removed.
        """
        count = size = 0
        for path in [*self._files(), *self._abandoned()]:
            try:
                length = path.stat().st_size
                path.unlink()
            except FileNotFoundError:  # another process was faster
                continue
            except OSError as error:
                raise OutputError(f"cannot remove '{path}': {error.strerror or error}") from error
            count, size = count + 1, size + length
        return count, size

    def _path(self, key: str) -> Path:
        name = hashlib.sha256(key.encode()).hexdigest()
        return self.folder / name[:2] / f"{name}.safetensors"

    def _files(self) -> Iterator[Path]:
        return self.folder.glob("??/*.safetensors")

    def _abandoned(self) -> Iterator[Path]:
        """What is left of writes that were interrupted; those that still go on are let alone."""
        now = time.time()
        for path in self.folder.glob("??/.*"):
            with suppress(OSError):
                if now - path.stat().st_mtime > _ABANDONED_SECONDS:
                    yield path

    def _make_room(self, newest: Path) -> None:
        """Remove the entries that were not used for longest until the rest fits; the newest one goes last."""
        for path in self._abandoned():
            with suppress(OSError):
                path.unlink()
        states = []
        for path in self._files():
            with suppress(OSError):
                state = path.stat()
                states.append((path == newest, state.st_mtime, state.st_size, path))
        total = sum(size for _, _, size, _ in states)
        for _, _, size, path in sorted(states):
            if total <= self.max_bytes:
                break
            with suppress(OSError):
                path.unlink()
            total -= size


def _key_text(key: Mapping[str, Any]) -> str:
    return json.dumps(key, sort_keys=True)


def _read_entry(path: Path) -> CacheEntry | None:
    """What an entry's header says; None if it has gone, or is none."""
    try:
        state = path.stat()
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
        fingerprint = json.loads(header["fingerprint"])
        key = json.loads(header[_KEY])
        return CacheEntry(path, state.st_size, state.st_mtime, key, fingerprint["source"], fingerprint["num_samples"])
    except (OSError, SafetensorError, KeyError, ValueError):
        return None


def _size_limit() -> int:
    given = os.environ.get(SIZE, "")
    if not given:
        return _DEFAULT_BYTES
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?B?)\s*", given.upper())
    if match is None:
        raise UsageError(f"{SIZE}='{given}': expected a size such as '20GB' or '500MB'")
    return int(float(match[1]) * _UNITS[match[2].removesuffix("B")])
