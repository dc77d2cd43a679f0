"""Paths that must exist, with an error that helps to find the one that was meant."""

from __future__ import annotations

import difflib
from pathlib import Path

from genmetrics.errors import SourceError

__all__ = ["require_file", "require_path"]

_MOST_NAMES = 100_000


def require_path(path: str | Path) -> Path:
    """The path, with ``~`` expanded.

    Raises:
        SourceError: if nothing is there; the message names the nearest names and the closest folder that
            exists.
    """
    given = Path(path).expanduser()
    try:
        if given.exists():
            return given
    except OSError as error:
        raise SourceError(f"'{given}' cannot be looked at: {error.strerror or error}") from error
    absolute = given.absolute()
    message = f"'{path}' does not exist (as an absolute path: {absolute})"
    if absolute.is_symlink():
        raise SourceError(f"'{path}' is a link to {absolute.readlink()}, which does not exist")
    parent = absolute.parent
    if not parent.is_dir():
        while not parent.exists():
            parent = parent.parent
        raise SourceError(f"{message}; the closest folder that exists is {parent}")
    near = _near_names(absolute.name, parent)
    if near:
        names = " or ".join(f"'{Path(path).parent / name}'" for name in near)
        raise SourceError(f"{message}; did you mean {names}?")
    raise SourceError(f"{message}; its folder exists but holds no such name")


def require_file(path: str | Path, what: str) -> Path:
    """The path of an existing file that is not a folder.

    Args:
        path: as given.
        what: what is expected there, for the message: ``a zip archive``.

    Raises:
        SourceError: if nothing is there, or a folder.
    """
    found = require_path(path)
    if found.is_dir():
        raise SourceError(f"'{path}' is a folder, expected {what}; for the images in it, give 'folder:{path}'")
    return found


def _near_names(name: str, folder: Path) -> list[str]:
    names: list[str] = []
    try:
        for entry in folder.iterdir():
            names.append(entry.name)
            if len(names) == _MOST_NAMES:
                break
    except OSError:
        return []
    by_lower = {entry.lower(): entry for entry in sorted(names)}
    return [by_lower[match] for match in difflib.get_close_matches(name.lower(), list(by_lower), n=3, cutoff=0.6)]
