"""What zip and tar archives have in common: which members are images, under which names, and of what size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from genmetrics.errors import SourceError
from genmetrics.sources.decode import BadImage
from genmetrics.sources.names import IMAGE_EXTENSIONS, PassedOver, count, extension, extensions_text, is_hidden

__all__ = [
    "MAX_MEMBER_BYTES",
    "check_size",
    "is_image",
    "last_of_each_name",
    "outside_note",
    "plain_name",
    "repeated_notes",
    "require_images",
]

#: A single image of more bytes than this is taken for a damaged or malicious archive.
MAX_MEMBER_BYTES = 2**30


@runtime_checkable
class _Named(Protocol):
    @property
    def name(self) -> str: ...


_Entry = TypeVar("_Entry", bound=_Named)


def is_image(name: str, is_folder: bool, passed_over: PassedOver) -> bool:
    """Whether a member is an image by its name; what is none is counted."""
    if is_folder:
        return False
    if any(is_hidden(part) for part in name.split("/")):
        passed_over.hidden += 1
        return False
    if extension(name) in IMAGE_EXTENSIONS:
        return True
    passed_over.add(name)
    return False


def plain_name(name: str) -> str:
    """Without the ``./`` of an archive packed from within its folder, so that it sorts as the folder does."""
    return name.removeprefix("./")


def last_of_each_name(entries: Iterable[_Entry]) -> tuple[tuple[_Entry, ...], int]:
    """The entries in the order of their names, each name once, and how many were replaced by a later one."""
    by_name: dict[str, _Entry] = {}
    repeated = 0
    for entry in entries:
        repeated += entry.name in by_name
        by_name[entry.name] = entry
    return tuple(by_name[name] for name in sorted(by_name)), repeated


def repeated_notes(repeated: int) -> tuple[str, ...]:
    """What to tell of members of the same name."""
    if not repeated:
        return ()
    return (f"{count(repeated, 'image')} replaced by a later one of the same name, as unpacking would do",)


def outside_note(entries: Iterable[_Named]) -> tuple[str, ...]:
    """A note if names would lead out of the folder into which the archive is unpacked."""
    outside = [entry.name for entry in entries if entry.name.startswith("/") or ".." in entry.name.split("/")]
    if not outside:
        return ()
    return (
        f"{count(len(outside), 'image')} with a name that leads out of the archive, such as '{outside[0]}'; nothing "
        "is unpacked, all are read in place",
    )


def require_images(entries: Sequence[object], what: str, path: str | Path, passed_over: PassedOver) -> None:
    """Raise a ``SourceError`` if there is no image.

    Args:
        entries: the images.
        what: what was opened: ``zip archive``.
        path: which one.
        passed_over: what it holds instead.
    """
    if entries:
        return
    found = passed_over.found_text()
    raise SourceError(
        f"{what} '{path}' holds no image: looked for {extensions_text()}; "
        + (f"found only {found}" if found else "the archive is empty")
    )


def check_size(size: int) -> None:
    """Raise ``BadImage`` for a member that is too large to be an image."""
    if size > MAX_MEMBER_BYTES:
        raise BadImage(f"its size in the archive is {size:,} bytes, expected at most {MAX_MEMBER_BYTES:,}")
