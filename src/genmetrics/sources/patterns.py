"""Patterns that name many files, as a shell expands them: ``{000..146}``, ``{a,b}``, ``*`` and ``?``."""

from __future__ import annotations

import glob
from collections import Counter
from pathlib import Path

import bracex

from genmetrics.errors import SourceError
from genmetrics.paths import require_file
from genmetrics.sources.names import count, some
from genmetrics.sources.remote import AnyPath, RemotePath, is_remote, remote_glob, remote_path, shown

__all__ = ["expand", "is_pattern", "short_names"]

_MOST_FILES = 1_000_000


def is_pattern(text: str) -> bool:
    """Whether the text holds braces, ``*`` or ``?`` and is not the path of something that exists."""
    if is_remote(text):
        # Of a web address '?' begins the query.
        return any(character in text for character in ("{*" if text.lower().startswith("http") else "{*?"))
    return any(character in text for character in "{*?") and not Path(text).expanduser().exists()


def expand(text: str, what: str) -> tuple[AnyPath, ...]:
    """The files that a path or pattern names, in the order of its braces; what ``*`` matches is sorted.

    Args:
        text: a path or a pattern. ``[`` stands for itself.
        what: what is expected there, for messages: ``a tar archive``.

    Raises:
        SourceError: if files are missing (ten of them are named), occur twice or are folders, or the pattern
            cannot be read.
    """
    if is_remote(text):
        return _expand_remote(text, what)
    if not is_pattern(text):
        return (require_file(text, what),)
    try:
        alternatives = bracex.expand(text, limit=_MOST_FILES)
    except bracex.ExpansionLimitException as error:
        raise SourceError(f"'{text}' stands for more than {_MOST_FILES:,} files; give a narrower pattern") from error
    found: list[str] = []
    missing: list[str] = []
    for alternative in alternatives:
        path = str(Path(alternative).expanduser())
        if "*" in path or "?" in path:
            matches = sorted(glob.glob(path.replace("[", "[[]")))  # noqa: PTH207  # Path.glob takes no absolute pattern
            found += matches
        else:
            matches = [path] if Path(path).exists() else []
            found.append(path)
        if not matches:
            missing.append(alternative)
    if missing == [text]:
        raise SourceError(f"'{text}' matches no file; look at the folder and the name, as `ls {text}` would")
    if missing:
        raise SourceError(
            f"{len(missing):,} of {count(len(alternatives), 'file')} that '{text}' stands for do not exist: "
            f"{some(missing)}; bring them here, or leave them out of the pattern"
        )
    repeated = sorted(path for path, times in Counter(found).items() if times > 1)
    if repeated:
        raise SourceError(f"'{text}' stands for the same file more than once: {some(repeated)}; name each once")
    return tuple(require_file(path, what) for path in found)


def _expand_remote(text: str, what: str) -> tuple[RemotePath, ...]:
    """The same of an address."""
    try:
        alternatives = bracex.expand(text, limit=_MOST_FILES) if is_pattern(text) else [text]
    except bracex.ExpansionLimitException as error:
        raise SourceError(f"'{shown(text)}' stands for more than {_MOST_FILES:,} files; give fewer") from error
    found: list[RemotePath] = []
    missing: list[str] = []
    try:
        for alternative in alternatives:
            matches = remote_glob(alternative) if is_pattern(alternative) else [alternative]
            paths = [remote_path(match) for match in matches]
            if not paths or (not is_pattern(alternative) and not paths[0].exists()):
                missing.append(shown(alternative))
            found += paths
    except OSError as error:
        raise SourceError(str(error)) from error
    if missing:
        raise SourceError(
            f"{len(missing):,} of {count(len(alternatives), 'file')} that '{shown(text)}' stands for do not exist: "
            f"{some(missing)}; expected {what}: look at the store and the name, and at who may read it"
        )
    repeated = sorted(str(path) for path, times in Counter(found).items() if times > 1)
    if repeated:
        raise SourceError(f"'{shown(text)}' stands for the same file more than once: {some(repeated)}; name each once")
    return tuple(found)


def short_names(paths: tuple[AnyPath, ...]) -> tuple[str, ...]:
    """A name for each file that tells it from the others: without its folder, if that is enough."""
    names = tuple(path.name for path in paths)
    return names if len(set(names)) == len(names) else tuple(map(str, paths))
