"""Telling a person something once, whatever the number of processes."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from genmetrics import distributed
from genmetrics.errors import GenmetricsWarning

__all__ = ["is_first", "tell", "unofficial"]


def is_first() -> bool:
    """Whether this process is the one that prints, of those that share a run."""
    return distributed.current_shard().index == 0


def unofficial(extractor: str, sha256: str | None) -> str:
    """What is told of weights that are not the published ones."""
    return (
        f"the weights of {extractor!r} are not the published ones (sha256 {str(sha256)[:12]}…): numbers from them do "
        "not compare with published ones"
    )


def tell(texts: Iterable[str]) -> None:
    """Warn of what a reader of a number or a file must know: on standard error, by the command and from Python."""
    if is_first():
        for text in dict.fromkeys(texts):
            warnings.warn(text, GenmetricsWarning, stacklevel=3)
