"""Statistics files of every known format: our own, and those of other tools.

A file is recognised by its content. No code in it is ever run, and what it does not say is marked as unknown. torch
is imported when a file is read or written, and not before.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genmetrics.errors import StatisticsError, UsageError
from genmetrics.paths import require_file
from genmetrics.stats.formats.recognise import Container, container, holds_images, is_statistics
from genmetrics.stats.formats.table import FORMATS, StatsFormat

if TYPE_CHECKING:
    from genmetrics.stats.stats import Stats
    from genmetrics.types import Need

__all__ = [
    "FORMATS",
    "StatsFormat",
    "check_can_hold",
    "check_name",
    "holds_images",
    "is_statistics",
    "load_stats",
    "save_as",
    "usual_metrics",
    "write_npz",
]

_EXPECTED = "expected an .npz of 'mu' and 'sigma', or one of the formats of docs/stats-formats.md"
_REFUSED: dict[Container, str] = {
    "empty": "it is empty (0 bytes); copy or download it again",
    "html": "it is a web page, such as the error page of a failed download; download it again",
    "git-lfs": "it is a pointer of Git LFS and not the file itself; fetch it with `git lfs pull`",
    "image": f"it is an image, and no statistics; {_EXPECTED}. For images, give their folder as a source",
    "torchscript": "it is a TorchScript network, and no statistics; give it as a generator or extractor",
    "zip": f"it is a zip archive of other files; {_EXPECTED}. For images in it, give it as a source, 'zip:PATH'",
    "damaged zip": "it is an archive that is damaged or cut short; copy or download it again",
    "text": f"it is a text; {_EXPECTED}",
    "unknown": f"it is of no known format, or damaged; {_EXPECTED}",
}


def load_stats(path: str | Path) -> Stats:
    """Read a statistics file; see ``Stats.load``."""
    found = require_file(path, "a statistics file")
    try:
        return _load(found, container(found))
    except OSError as error:
        raise StatisticsError(
            f"statistics file '{path}' cannot be read: {error.strerror or error}; make it readable"
        ) from error


def check_name(path: Path) -> None:
    """Raise a ``UsageError`` if no statistics can be written under a name of that ending."""
    if path.suffix not in (".safetensors", ".npz", ".pth"):
        raise UsageError(
            f"statistics file '{path}': expected a name ending in .safetensors (everything, to be read by "
            "genmetrics), .npz (mean and covariance, to be read by pytorch-fid, clean-fid and others), _kid.npz "
            "(features, to be read by clean-fid) or .pth (mean and covariance, to be read by todd and vq.fid)"
        )


def check_can_hold(path: Path, needs: Sequence[Need]) -> None:
    """Raise, before anything is computed, if a file of that name could not hold these; see ``write.check_can_hold``."""
    from genmetrics.stats.formats import write

    write.check_can_hold(path, needs)


def usual_metrics(path: Path) -> str:
    """For which metrics a file of that name is made, if nothing is said; see ``write.usual_metrics``."""
    from genmetrics.stats.formats import write

    return write.usual_metrics(path)


def save_as(stats: Stats, path: str | Path, need: Need | None = None) -> None:
    """Write statistics in the format that the ending of the name asks for; see ``write.save_as``."""
    from genmetrics.stats.formats import write

    write.save_as(stats, path, need)


def write_npz(stats: Stats, path: Path, need: Need | None = None) -> None:
    """Write mean and covariance, or features, as other tools read them; see ``write.write_npz``."""
    from genmetrics.stats.formats import write

    write.write_npz(stats, path, need)


def _load(path: Path, kind: Container) -> Stats:
    if kind in _REFUSED:
        raise StatisticsError(f"statistics file '{path}': {_REFUSED[kind]}")
    if kind == "safetensors":
        from genmetrics.stats.io import load_own

        return load_own(path)
    if kind == "npz":
        from genmetrics.stats.formats.npz import load_npz

        return load_npz(path)
    if kind == "npy":
        from genmetrics.stats.formats.npy import load_npy

        return load_npy(path)
    if kind == "pickle":
        from genmetrics.stats.formats.pickles import load_pickle

        return load_pickle(path)
    from genmetrics.stats.formats.torch_files import load_torch

    return load_torch(path, legacy=kind == "torch legacy")
