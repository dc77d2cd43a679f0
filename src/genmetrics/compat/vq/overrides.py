"""``--override .dataloader.batch_size:1024``: the keys of the original's configuration that mean something here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from genmetrics.errors import UsageError

__all__ = ["BATCH_SIZE", "FID_PATH", "NUM_WORKERS", "SUFFIX", "Overrides", "parse_overrides"]

BATCH_SIZE = ".dataloader.batch_size"
NUM_WORKERS = ".dataloader.num_workers"
FID_PATH = ".dataset.fid_path"
SUFFIX = ".dataset.access_layer.suffix"
#: todd of 2024 separates key and value by one colon, todd of 2026 by two.
_PAIR = re.compile(r"\.?([A-Za-z_][A-Za-z0-9_.]*)(?:::|:|=)(.*)", re.DOTALL)


@dataclass(frozen=True)
class Overrides:
    """What was overridden.

    Attributes:
        option: what it was given with, for messages.
        given: values by key, as they were typed.
    """

    option: str
    given: Mapping[str, str]

    def number(self, key: str, least: int) -> int | None:
        """A whole number; None if it was not overridden.

        Raises:
            UsageError: if it is none, or below ``least``.
        """
        value = self.given.get(key)
        if value is not None and (not value.isdecimal() or int(value) < least):
            raise UsageError(f"{self.option} {key}:{value}: expected a whole number of at least {least}")
        return None if value is None else int(value)

    def text(self, key: str) -> str | None:
        """A text, perhaps in quotes; None if it was not overridden.

        Raises:
            UsageError: if it is empty.
        """
        value = self.given.get(key)
        if value is None:
            return None
        bare = value.strip("'\"")
        if not bare:
            raise UsageError(f"{self.option} {key}:{value}: expected a text behind the colon")
        return bare


def parse_overrides(texts: Sequence[str], known: Sequence[str], option: str = "--override") -> Overrides:
    """The overrides of a command.

    Args:
        texts: ``.dataloader.batch_size:1024`` and the like; with or without the first dot, and with ``:``, ``::``
            or ``=`` before the value.
        known: the keys that the command knows.
        option: what they were given with, for messages.

    Raises:
        UsageError: if a text is none, or its key is unknown or given twice.
    """
    given: dict[str, str] = {}
    for text in texts:
        match = _PAIR.fullmatch(text)
        if match is None:
            raise UsageError(f"{option} {text!r}: expected KEY:VALUE, where KEY is one of {', '.join(known)}")
        key, value = f".{match[1]}", match[2]
        if key not in known:
            raise UsageError(
                f"{option} {text!r}: no such key here; known: {', '.join(known)}. Images are always read as vq reads "
                "them for FID, and what else its configuration holds cannot be changed"
            )
        if key in given:
            raise UsageError(f"{option}: '{key}' is given twice ({given[key]!r} and {value!r}); give it once")
        given[key] = value
    return Overrides(option, given)
