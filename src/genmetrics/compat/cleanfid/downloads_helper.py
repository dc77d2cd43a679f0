"""Fetching clean-fid's files so that they appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

from genmetrics.compat.cleanfid.images import PathLike
from genmetrics.compat.cleanfid.statistics import fetch_stats
from genmetrics.download import DownloadError
from genmetrics.errors import StatisticsError

__all__ = ["check_download_url"]


def check_download_url(local_folder: PathLike, url: str) -> str:
    """The path of a file of statistics in a folder, fetched if it is not there.

    Args:
        local_folder: the folder, which is made.
        url: the file's address, the end of which is its name.

    Raises:
        StatisticsError: if it cannot be had, or is no file of statistics.
        OutputError: if it cannot be written.
    """
    path = Path(local_folder).expanduser() / url.rpartition("/")[2]
    if not path.is_file():
        try:
            fetch_stats(url, path)
        except DownloadError as error:
            raise StatisticsError(
                f"downloading {url} failed: {error}; fetch it elsewhere and put it to '{path}'"
            ) from error
    return str(path)
