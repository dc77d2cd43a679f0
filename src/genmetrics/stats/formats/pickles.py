"""Pickles: StyleGAN's and EDM2's statistics, and plain dicts of mean and covariance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from genmetrics.errors import StatisticsError
from genmetrics.stats.formats.objects import TODD_STATISTICS, ToddStatistics, stats_of_object
from genmetrics.stats.stats import Stats
from genmetrics.unpickle import RefusedPickleError, restricted_loads

__all__ = ["load_pickle", "loads"]


def load_pickle(path: Path) -> Stats:
    """Read a pickle file.

    Raises:
        StatisticsError: if it asks for anything but arrays and plain containers, or holds no statistics.
    """
    return stats_of_object(path, loads(path, path.read_bytes()), "pickle")


def loads(
    path: Path,
    data: bytes,
    allowed: Mapping[tuple[str, str], Any] | None = None,
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """What a pickle in a statistics file holds, without running anything of it.

    Args:
        path: the file, for messages.
        data: the pickle.
        allowed: see ``restricted_loads``.
        persistent: see ``restricted_loads``.

    Raises:
        StatisticsError: if it is refused or damaged.
    """
    try:
        # Texts are of Python 2 if they are not plain ones; its arrays are read so.
        return restricted_loads(data, {TODD_STATISTICS: ToddStatistics, **(allowed or {})}, persistent, "latin1")
    except RefusedPickleError as error:
        raise StatisticsError(
            f"statistics file '{path}' holds a pickle that is refused: {error}. Only arrays of numbers in plain "
            "containers are read, and nothing else of a pickle is run; save mean and covariance with "
            "`numpy.savez(path, mu=mu, sigma=sigma)`"
        ) from error
