"""The statistics file of todd and vq.fid, written where todd need not be installed, with our record beside it.

It is an archive of ``torch.save``, of which todd reads one member. Ours stands beside that and says what the statistics
are of, which the format itself does not.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Float64

from genmetrics.accumulators.moments import Moments
from genmetrics.errors import UsageError
from genmetrics.files import write_atomically
from genmetrics.stats.formats.build import inception
from genmetrics.stats.formats.checks import FileChecks
from genmetrics.stats.formats.objects import TODD_STATISTICS, ToddStatistics
from genmetrics.stats.formats.own_npz import METADATA, metadata_of, stats_of_own_npz
from genmetrics.stats.stats import Stats
from genmetrics.types import Need

__all__ = ["RECORD", "is_todds", "save_todd", "stats_of_own_todd", "write_todd"]

#: The member of the archive that holds our record.
RECORD = "genmetrics.json"
#: How todd brings images to its network.
PREPROCESS = "torch-bilinear-299"

#: What every NumPy from 1.24 on finds an array's rebuilding function under; NumPy 2 has it elsewhere and keeps this.
_ARRAYS = ("numpy.core.multiarray", "_reconstruct")
_rebuild = np.empty(0).__reduce__()[0]


class _Statistics(NamedTuple):
    """What is pickled, under todd's name."""

    mu: np.ndarray
    sigma: np.ndarray


# The one that is written in Python: how it writes down a class can be changed, and that need not be importable.
_PythonPickler: Any = pickle._Pickler


class _Pickler(_PythonPickler):  # type: ignore[misc]
    """Writes our named tuple as todd's, and arrays as every NumPy reads them."""

    def save_global(self, obj: object, name: str | None = None) -> None:
        found = TODD_STATISTICS if obj is _Statistics else _ARRAYS if obj is _rebuild else None
        if found is None:
            super().save_global(obj, name)
            return
        module, qualified = found
        self.write(pickle.GLOBAL + f"{module}\n{qualified}\n".encode("ascii"))
        self.memoize(obj)


def is_todds(need: Need) -> bool:
    """Whether statistics are of what a reader of such a file takes them for, whatever crop the images had before."""
    return need == replace(inception("2048", "moments", PREPROCESS), preprocess=need.preprocess) and (
        need.preprocess.rpartition("+")[2] == PREPROCESS
    )


def save_todd(stats: Stats, path: Path, need: Need) -> None:
    """Write a mean and covariance of statistics, and what they are of.

    Args:
        stats: the statistics.
        path: the file, which ends in ``.pth``.
        need: of which network and layer.

    Raises:
        StatisticsError: if the statistics hold no such thing, or are of fewer than two images.
        UsageError: if the name ends in anything else.
        OutputError: if it cannot be written; a file that stood there stays as it was.
    """
    held = stats.get(need)
    assert isinstance(held, Moments)
    mu, sigma = held.mean().cpu().numpy().astype(np.float32), held.covariance().cpu().numpy()
    write_todd(path, mu, sigma, str(metadata_of(stats, need, {"mu": mu, "sigma": sigma})))


def write_todd(
    path: Path, mu: Float32[np.ndarray, " d"], sigma: Float64[np.ndarray, "d d"], record: str | None = None
) -> None:
    """Write ``todd.tasks.image_generation.fid.Statistics(mu, sigma)`` as ``torch.save`` does.

    Equal statistics are equal files.

    Args:
        path: the file, which ends in ``.pth``.
        mu: the mean, (d,) float32.
        sigma: the sample covariance, (d, d) float64.
        record: what they are of, for ``stats_of_own_todd``; None for what todd itself writes.

    Raises:
        UsageError: if the name ends in anything else.
        OutputError: if it cannot be written; a file that stood there stays as it was.

    Matches: what todd 0.6.1 loads; tests/stats/formats/test_todd.py.
    """
    if path.suffix != ".pth":
        raise UsageError(f"statistics file '{path}': expected a name ending in .pth, which is what vq.fid looks for")
    # A named file would put its name into the archive, and so the temporary one's.
    buffer = io.BytesIO()
    statistics = _Statistics(np.ascontiguousarray(mu), np.ascontiguousarray(sigma))
    torch.save(statistics, buffer, pickle_module=SimpleNamespace(__name__="pickle", Pickler=_Pickler))
    if record is not None:
        with zipfile.ZipFile(buffer, "a") as archive:
            folder = archive.namelist()[0].partition("/")[0]
            archive.writestr(zipfile.ZipInfo(f"{folder}/{RECORD}"), record)  # of no date, so that equal is equal

    def write(temporary: Path) -> None:
        temporary.write_bytes(buffer.getbuffer())

    write_atomically(path, write)


def stats_of_own_todd(path: Path, loaded: ToddStatistics, record: bytes) -> Stats:
    """The statistics of a file that ``save_todd`` wrote.

    Args:
        path: the file.
        loaded: mean and covariance.
        record: the member ``RECORD``.

    Raises:
        StatisticsError: if it was altered, or the record is not ours.
    """
    mu, sigma = loaded
    text = np.array(record.decode("utf-8", "replace"))
    return stats_of_own_npz(path, {METADATA: text, "mu": mu, "sigma": sigma}, FileChecks(path))
