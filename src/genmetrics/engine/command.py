"""The command line that repeats a run."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from genmetrics.engine.options import Options
from genmetrics.engine.sides import SourceLike
from genmetrics.stats.stats import Stats
from genmetrics.types import MetricsLike

__all__ = ["command_of"]

#: Options that are written as they are, where they are not the default.
_PLAIN = (
    *("extractor", "device", "precision", "backend", "batch_size", "num", "seed", "alpha", "on_bad_image", "crop"),
    *("decode", "error_bars"),
)
#: Where the page goes that a run with diagnostics is for.
_PAGE = "report.html"


def command_of(
    gen: SourceLike | Stats, ref: SourceLike | Stats | None, metrics: MetricsLike | None, options: Options
) -> str | None:
    """``genmetrics eval …`` with all that decides on the figures, quoted for a shell.

    What changes no number, such as the cache and decoding threads, is not in it, nor is how many processes there were.

    Args:
        gen: what was given for the generated set.
        ref: likewise for the reference.
        metrics: what was asked for.
        options: how it was carried out.

    Returns:
        None where something was given that no command line can say: images or statistics in memory, a list of paths, a
        metric that is described and not named, captions that are no file.
    """
    sides = [_named(given) for given in (gen, ref)]
    asked = [metrics] if isinstance(metrics, str) else metrics
    names = None if asked is None else [name for name in asked if isinstance(name, str)]
    unnamed = names is not None and asked is not None and len(names) < len(asked)
    spoken = options.captions is None or isinstance(options.captions, str | Path)
    if sides[0] is None or (ref is not None and sides[1] is None) or unnamed or not spoken:
        return None
    words = ["genmetrics", "eval", sides[0]]
    if sides[1] is not None:
        words += ["--ref", sides[1]]
    if names is not None:
        words += ["-m", ",".join(names)]
    words += _options(options)
    if options.diagnostics:
        words += ["--html", _PAGE]
    return shlex.join(words)


def _named(given: SourceLike | Stats | None) -> str | None:
    """A side as it is typed; None of one that only Python has."""
    if not isinstance(given, str | Path):
        return None
    # What begins with a dash would be taken for an option.
    return f"./{given}" if str(given).startswith("-") else str(given)


def _options(options: Options) -> Iterator[str]:
    """The options that differ from their defaults."""
    defaults = Options()
    for name in _PLAIN:
        value = getattr(options, name)
        if value != getattr(defaults, name):
            yield from (f"--{name.replace('_', '-')}", str(value))
    for extractor, path in options.weights.items():
        yield from ("--weights", f"{extractor}={path}")
    if isinstance(options.labels, Mapping):
        for side, labels in options.labels.items():
            yield from ("--labels", f"{side}={labels}")
    elif options.labels != defaults.labels:
        yield from ("--labels", str(options.labels))
    if options.captions is not None:
        yield from ("--captions", str(options.captions))
    if options.force:
        yield "--force"
