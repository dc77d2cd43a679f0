"""``.npz`` files: mean and covariance in the layout that most tools share, features, and our own."""

from __future__ import annotations

import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import numpy as np

from genmetrics.errors import StatisticsError
from genmetrics.stats.formats.build import foreign_stats, inception, unknown
from genmetrics.stats.formats.checks import FileChecks, listed
from genmetrics.stats.formats.names import clean_fid_note
from genmetrics.stats.formats.own_npz import METADATA, stats_of_own_npz
from genmetrics.stats.formats.recognise import array_header, parts_of_zip
from genmetrics.stats.stats import Stats

__all__ = ["load_npz"]

_EXPECTED = "expected 'mu' and 'sigma', or features as 'feats' or 'pool_3'"
_ADM_NOTE = (
    "in ADM's reference files, 'mu' and 'sigma' are of the whole training set; the images of 'arr_0' are not what "
    "these statistics are of"
)


def load_npz(path: Path) -> Stats:
    """Read an ``.npz`` file; images in it are not loaded.

    Raises:
        StatisticsError: if it holds no statistics, or is damaged.
    """
    checks = FileChecks(path)
    with _npz_errors(path):
        names = parts_of_zip(path)
    if METADATA in names:
        wanted = names & {METADATA, "mu", "sigma", "feats", "indices"}
        return stats_of_own_npz(path, {name: _read(path, name, checks) for name in wanted}, checks)
    note = clean_fid_note(path.name)
    notes = [] if note is None else [note]
    if {"mu", "sigma"} <= names:
        if "mu_s" in names or "sigma_s" in names:
            return _adm(path, names, checks)
        moments = checks.moments(_read(path, "mu", checks), _read(path, "sigma", checks), None)
        return foreign_stats(path, "mu-sigma npz", {unknown("moments"): moments}, None, notes)
    for key in ("feats", "pool_3"):
        if key in names:
            bank = checks.features(_read(path, key, checks), key)
            return foreign_stats(path, f"{key} npz", {unknown("feature_bank"): bank}, bank.num_samples, notes)
    if "arr_0" in names:
        checks.fail(
            f"it holds {listed(names)}, which are images, and no statistics; {_EXPECTED}. Give it as a source, "
            f"'npz:{path}'"
        )
    checks.fail(f"it holds {listed(names)}; {_EXPECTED}")


def _adm(path: Path, names: set[str], checks: FileChecks) -> Stats:
    for key in sorted({"mu_s", "sigma_s"} - names):
        checks.fail(f"it holds {listed(names)} and lacks {key!r}; ADM's reference files hold both")
    accumulators = {}
    for feature, suffix in (("2048", ""), ("2023", "_s")):
        keys = (f"mu{suffix}", f"sigma{suffix}")
        mu, sigma = (_read(path, key, checks) for key in keys)
        accumulators[inception(feature, "moments")] = checks.moments(mu, sigma, None, keys, int(feature))
    notes = (_ADM_NOTE,) if "arr_0" in names else ()
    return foreign_stats(path, "ADM reference npz", accumulators, None, notes)


def _read(path: Path, key: str, checks: FileChecks) -> np.ndarray:
    """One array, after a look at its type."""
    with _npz_errors(path), zipfile.ZipFile(path) as archive:
        member = next(name for name in archive.namelist() if name.removesuffix(".npy") == key)
        with _open(archive, member) as file:
            shape, dtype = array_header(file, archive.getinfo(member).file_size)
        if dtype.hasobject:
            checks.fail(
                f"{key!r} is {dtype} of shape {shape}: pickled Python objects, which are never loaded; save "
                "mean and covariance as arrays of floats"
            )
        with _open(archive, member) as file:
            return np.lib.format.read_array(file, allow_pickle=False)


def _open(archive: zipfile.ZipFile, member: str) -> zipfile.ZipExtFile:
    return cast("zipfile.ZipExtFile", archive.open(member))


@contextmanager
def _npz_errors(path: Path) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            # Published files of Python 2 have headers that numpy reads and warns of.
            warnings.filterwarnings("ignore", "Reading `.npy` or `.npz` file required additional", UserWarning)
            yield
    except StatisticsError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise StatisticsError(
            f"statistics file '{path}' is damaged or cut short ({error}); copy or download it again"
        ) from error
