"""``.npy`` files: features, or a pickled dict of mean and covariance."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from genmetrics.errors import StatisticsError
from genmetrics.stats.formats.checks import FileChecks
from genmetrics.stats.formats.objects import stats_of_object
from genmetrics.stats.formats.pickles import loads
from genmetrics.stats.formats.recognise import array_header
from genmetrics.stats.stats import Stats

__all__ = ["load_npy"]

_EXPECTED = "expected floats (n, d), the features of n images, or a dict of 'mu' and 'sigma'"


def load_npy(path: Path) -> Stats:
    """Read an ``.npy`` file of features or of a dict.

    Raises:
        StatisticsError: if it holds something else, or is damaged.
    """
    checks = FileChecks(path)
    try:
        with path.open("rb") as file:
            shape, dtype = array_header(file, path.stat().st_size)
            rest = file.read() if dtype.hasobject else b""
    except ValueError as error:
        raise StatisticsError(f"statistics file '{path}' is damaged or cut short ({error}); copy it again") from error
    if dtype.hasobject:
        if shape != ():
            checks.fail(f"it holds Python objects of shape {shape}, which are never loaded; {_EXPECTED}")
        return stats_of_object(path, loads(path, rest), "npy")
    if len(shape) == 4 and dtype == np.uint8:
        checks.fail(f"it holds images, uint8 of shape {shape}, and no statistics; give it as a source, 'npy:{path}'")
    if len(shape) != 2 or dtype.kind != "f":
        checks.fail(f"it holds {dtype} of shape {shape}; {_EXPECTED}")
    try:
        with path.open("rb") as file:
            rows = np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise StatisticsError(f"statistics file '{path}' is damaged or cut short ({error}); copy it again") from error
    return stats_of_object(path, rows, "npy")
