"""``genmetrics cache``: what is kept of earlier runs."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated

import typer

from genmetrics.cli import resuming
from genmetrics.cli.console import reporting_errors

if TYPE_CHECKING:
    from genmetrics.stats.cache import CacheEntry, StatsCache

__all__ = ["cache_app"]

cache_app = typer.Typer(
    help="Show and clear the statistics that are kept of earlier runs.", no_args_is_help=True, rich_markup_mode=None
)


@cache_app.command("show")
def show_command(as_json: Annotated[bool, typer.Option("--json", help="The same as JSON.")] = False) -> None:
    """Show the folder, its size and its entries, the one used last first, and what --resume can go on from."""
    with reporting_errors():
        cache = _cache()
        entries = [] if cache is None else cache.entries()
        size = sum(entry.size for entry in entries)
        runs = resuming.unfinished()
        if as_json:
            record = {
                "folder": None if cache is None else str(cache.folder),
                "bytes": size,
                "max_bytes": None if cache is None else cache.max_bytes,
                "entries": [_as_dict(entry) for entry in entries],
                "unfinished": [{"folder": str(run.folder), "bytes": run.size} for run in runs],
            }
            print(json.dumps(record, indent=2, ensure_ascii=False))
            return
        if cache is None:
            print("the cache is switched off (GENMETRICS_CACHE=off)")
            return
        number = f"{len(entries)} {'entry' if len(entries) == 1 else 'entries'}"
        print(f"{cache.folder}: {number}, {_megabytes(size)} of at most {_megabytes(cache.max_bytes)}")
        if entries:
            from genmetrics.cli.table import print_rows

            rows = [
                (entry.source, _what(entry), f"{entry.num_samples:,}", _megabytes(entry.size), _when(entry.used))
                for entry in entries
            ]
            print_rows(("source", "statistics", "images", "size", "last used"), rows, right=("images", "size"))
        if runs:
            number = f"{len(runs)} unfinished {'run' if len(runs) == 1 else 'runs'}"
            print(
                f"and checkpoints of {number} in {runs[0].folder.parent}, "
                f"{_megabytes(sum(run.size for run in runs))}; the same commands with --resume "
                "go on from them, 'genmetrics cache clear --unfinished' removes them"
            )


@cache_app.command("clear")
def clear_command(
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Remove the checkpoints of 'eval --resume' as well; none may run.")
    ] = False,
) -> None:
    """Remove all entries."""
    with reporting_errors():
        cache = _cache()
        count, size = (0, 0) if cache is None else cache.clear()
        if unfinished:
            for run in resuming.unfinished():
                resuming.forget(run.folder)
                count, size = count + 1, size + run.size
        print(f"removed {count} file{'' if count == 1 else 's'}, {_megabytes(size)}")


def _cache() -> StatsCache | None:
    from genmetrics.stats.cache import StatsCache, cache_folder

    folder = cache_folder()
    return None if folder is None else StatsCache(folder)


def _as_dict(entry: CacheEntry) -> dict[str, object]:
    return {
        "id": entry.path.stem,
        "path": str(entry.path),
        "bytes": entry.size,
        "last_used": entry.used,
        "source": entry.source,
        "num_samples": entry.num_samples,
        "key": dict(entry.key),
    }


def _what(entry: CacheEntry) -> str:
    need = entry.key["need"]
    return f"{need['accumulator'].replace('_', ' ')} of {need['extractor']}/{need['feature']}/{need['preprocess']}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
