"""Plain values out of a JSON file, each checked, with the field in the message where it is not as it should be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from genmetrics.errors import UsageError

__all__ = ["PlainReader"]

_LONGEST = 60


class PlainReader:
    """Reads the values of one file."""

    def __init__(self, name: str) -> None:
        """Name what is read.

        Args:
            name: what a person knows it by, such as the file's path.
        """
        self._name = name

    def mapping(self, read: object, where: str) -> Mapping[str, Any]:
        """An object."""
        if not isinstance(read, Mapping):
            raise self.damaged(where, "an object", read)
        return read

    def sequence(self, read: object, where: str) -> Sequence[Any]:
        """A list."""
        if not isinstance(read, (list, tuple)):
            raise self.damaged(where, "a list", read)
        return read

    def number(self, read: object, where: str) -> float:
        """A finite number."""
        if isinstance(read, bool) or not isinstance(read, (int, float)) or not math.isfinite(read):
            raise self.damaged(where, "a finite number", read)
        return float(read)

    def numbers(self, read: object, where: str, count: int | None = None) -> tuple[float, ...]:
        """A list of numbers, of so many if ``count`` is given."""
        found = tuple(self.number(value, where) for value in self.sequence(read, where))
        if count not in (None, len(found)):
            raise self.damaged(where, f"{count} numbers", read)
        return found

    def text(self, read: object, where: str) -> str:
        """A text."""
        if not isinstance(read, str):
            raise self.damaged(where, "a text", read)
        return read

    def damaged(self, where: str, expected: str, found: object) -> UsageError:
        """The error that names a field.

        Args:
            where: the field.
            expected: what it should be.
            found: what it is.
        """
        shown = repr(found)
        return UsageError(
            f"'{self._name}': {where} is {shown if len(shown) <= _LONGEST else shown[:_LONGEST] + '…'}, expected "
            f"{expected}; the file was changed, or another program wrote it. Evaluate again with --json"
        )
