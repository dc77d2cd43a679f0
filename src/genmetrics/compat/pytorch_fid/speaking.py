"""Telling a person something once, whatever the number of processes."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from genmetrics import distributed
from genmetrics.errors import GenmetricsWarning

__all__ = ["is_first", "tell"]


def is_first() -> bool:
    """Whether this process is the one that prints, of those that share a run."""
    return distributed.current_shard().index == 0


def tell(texts: Iterable[str]) -> None:
    """Warn of what a reader of a number or a file must know: on standard error, by the command and from Python."""
    if is_first():
        for text in dict.fromkeys(texts):
            warnings.warn(text, GenmetricsWarning, stacklevel=3)
