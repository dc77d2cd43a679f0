"""The images of a folder for the official scripts, and which of them these would not have counted."""

from __future__ import annotations

import warnings
from pathlib import Path

from genmetrics import distributed
from genmetrics.compat.is_fid_pytorch.folders import image_files
from genmetrics.errors import GenmetricsWarning, UsageError

__all__ = ["files_to_count", "tell_of_the_last_batch", "told_batch_size"]


def files_to_count(folder: str | Path, script: str, batch_size: int | None = None) -> list[Path]:
    """All images in a folder, with a warning of those that the script leaves out.

    Args:
        folder: where they are.
        script: the original, for messages.
        batch_size: of whose batches the script counts only full ones; None if it counts all.

    Raises:
        SourceError: if there is no such folder, or no image in it.
    """
    files = image_files(folder, script, misses=(".bmp",))
    if batch_size is not None:
        tell_of_the_last_batch(len(files), batch_size, f"'{folder}'", script)
    return files


def tell_of_the_last_batch(count: int, batch_size: int, what: str, script: str) -> None:
    """Warn where the script would have left images out: it drops the last batch unless that is full."""
    dropped = count % min(batch_size, count)
    if dropped:
        warnings.warn(
            f"{what}: all {count} images are counted; {script} leaves out the last {dropped}, which do not fill a "
            f"batch of {batch_size}",
            GenmetricsWarning,
            stacklevel=4,
        )


def told_batch_size(batch_size: int, count: int) -> int:
    """The batch size, at most the number of images, with the line that the script prints where it was more.

    Raises:
        UsageError: if it is less than 1.
    """
    if batch_size < 1:
        raise UsageError(f"batch_size={batch_size}: expected at least 1")
    if batch_size <= count:
        return batch_size
    if distributed.current_shard().index == 0:
        print("warning: batch size is bigger than the data size. setting batch size to data size")
    return count
