"""Which file names are images, and a tally of the others for people to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

__all__ = ["IMAGE_EXTENSIONS", "PassedOver", "count", "extension", "extensions_text", "is_hidden", "some"]

#: Lower-case; names are compared without regard to case.
IMAGE_EXTENSIONS = frozenset(
    (
        ".avif",
        ".bmp",
        ".gif",
        ".jfif",
        ".jpeg",
        ".jpg",
        ".pgm",
        ".png",
        ".pnm",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    )
)
_MOST_KINDS = 8
_MOST_NAMED = 10


def extension(name: str) -> str:
    """The lower-case extension with its dot; empty if there is none."""
    return PurePosixPath(name).suffix.lower()


def is_hidden(part: str) -> bool:
    """Whether one part of a path is not meant as content: ``.name``, AppleDouble ``._name``, ``__MACOSX``."""
    return (part.startswith(".") and part not in (".", "..")) or part == "__MACOSX"


def extensions_text(extensions: frozenset[str] = IMAGE_EXTENSIONS) -> str:
    """The extensions that are looked for."""
    return " ".join(sorted(extensions))


def count(number: int, noun: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def some(names: Sequence[str]) -> str:
    """The first ten of the names, and how many more there are."""
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


class PassedOver:
    """Files that were not taken for images, counted by extension."""

    def __init__(self) -> None:
        self.extensions: Counter[str] = Counter()
        self.hidden = 0

    def add(self, name: str) -> None:
        """Count one file that is no image."""
        self.extensions[extension(name) or "no extension"] += 1

    def take_back(self, name: str) -> None:
        """Count one file less, which has turned out to be of use."""
        self.extensions[extension(name)] -= 1
        self.extensions = +self.extensions

    def notes(self) -> tuple[str, ...]:
        """What to tell of a source; hidden files are no news."""
        if not self.extensions:
            return ()
        number = self.extensions.total()
        what = "file that is no image" if number == 1 else "files that are no images"
        return (f"passed over {number:,} {what}: {self._kinds()}",)

    def found_text(self) -> str:
        """What there is in place of images, for the message that there are none; empty if nothing."""
        parts = [self._kinds()] if self.extensions else []
        if self.hidden:
            parts.append(f"hidden files ({self.hidden:,})")
        return ", ".join(parts)

    def _kinds(self) -> str:
        kinds = sorted(self.extensions.items(), key=lambda kind: (-kind[1], kind[0]))
        text = ", ".join(f"{name} ({number:,})" for name, number in kinds[:_MOST_KINDS])
        return text if len(kinds) <= _MOST_KINDS else f"{text} and {len(kinds) - _MOST_KINDS} other kinds"
