"""What pytorch-fid takes for a set: the image files of a folder itself, or an ``.npz`` of a mean and covariance."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

from genmetrics.accumulators.moments import Moments
from genmetrics.compat.pytorch_fid.speaking import tell
from genmetrics.errors import SourceError, StatisticsError
from genmetrics.paths import require_path
from genmetrics.sources.folder import PathListSource
from genmetrics.sources.names import IMAGE_EXTENSIONS as KNOWN_EXTENSIONS
from genmetrics.sources.names import PassedOver, count, extension, is_hidden, some
from genmetrics.stats.stats import Stats

__all__ = ["IMAGE_EXTENSIONS", "STATISTICS_ENDING", "moments_of", "open_folder", "open_side"]

#: The files that are counted, whatever the case of their extension.
IMAGE_EXTENSIONS = {"bmp", "jpg", "jpeg", "pgm", "png", "ppm", "tif", "tiff", "webp"}

#: Of the files that hold a mean and covariance.
STATISTICS_ENDING = ".npz"
_READ_BY_US = "`genmetrics eval GEN --ref REF -m fid_pytorch` reads"
#: The layer of ADM's files that is not FID's.
_SPATIAL = "2023"


def open_side(path: str | Path) -> Stats | PathListSource:
    """One side of a comparison.

    Args:
        path: a folder, or an ``.npz``, whose ending may be left out.

    Raises:
        SourceError: if nothing is there, the folder holds no image, or it is a file of another kind.
        StatisticsError: if an ``.npz`` holds no mean and covariance, or what it holds cannot be one.
    """
    written = f"{path}{STATISTICS_ENDING}"
    if not Path(path).expanduser().exists() and Path(written).expanduser().is_file():
        # pytorch-fid's README saves under a name without the ending and says that the name can be given afterwards.
        tell([f"'{path}' does not exist and '{written}' does, which is where --save-stats puts it; that is read"])
        path = written
    found = require_path(path)
    if found.is_dir():
        return open_folder(path)
    if found.suffix.lower() != STATISTICS_ENDING:
        raise SourceError(
            f"'{path}' is a file, expected a folder of images or an .npz of 'mu' and 'sigma'; for one image give its "
            f"folder, '{Path(path).parent}'. {_READ_BY_US} archives and other statistics files"
        )
    stats = Stats.load(path)
    moments_of(stats)
    return stats


def moments_of(stats: Stats) -> Moments:
    """The mean and covariance of statistics.

    Raises:
        StatisticsError: if they hold none, or several.
    """
    held = [need for need in stats.accumulators if need.accumulator == "moments" and need.feature != _SPATIAL]
    if len(held) != 1:
        raise StatisticsError(
            f"statistics file '{stats.name}' holds {stats.holdings()}; expected 'mu' and 'sigma' of one feature. "
            f"{_READ_BY_US} other statistics files"
        )
    return cast(Moments, stats.accumulators[held[0]])


def open_folder(path: str | Path) -> PathListSource:
    """The images in a folder itself, in the order of their names, with notes of what else there is.

    Raises:
        SourceError: if the folder cannot be listed, or holds no image.
    """
    folder = Path(path).expanduser()
    images: list[str] = []
    subfolders: list[str] = []
    others = PassedOver()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.is_dir() and extension(entry.name)[1:] in IMAGE_EXTENSIONS:
                    images.append(entry.name)
                elif is_hidden(entry.name):  # .DS_Store, .git: nobody means them
                    others.hidden += 1
                elif entry.is_dir():
                    subfolders.append(entry.name)
                else:
                    others.add(entry.name)
    except OSError as error:
        raise SourceError(f"folder '{path}' cannot be listed: {error.strerror or error}; make it readable") from error
    notes = _notes(folder, sorted(images), sorted(subfolders), others)
    if not images:
        found = "; ".join(notes) or "the folder is empty"
        raise SourceError(
            f"folder '{path}' holds no image: looked in it, and not in its subfolders, for "
            f"{' '.join(sorted(IMAGE_EXTENSIONS))}; {found}"
        )
    source = PathListSource([folder / name for name in sorted(images)])
    source.description = str(path)
    source.notes = notes
    return source


def _notes(folder: Path, images: list[str], subfolders: list[str], others: PassedOver) -> tuple[str, ...]:
    """What a reader must know of a folder: what pytorch-fid would have passed over, and what is passed over here."""
    notes = []
    capitals = [name for name in images if Path(name).suffix != Path(name).suffix.lower()]
    if capitals:
        notes.append(
            f"{count(len(capitals), 'image')} whose extension is in capitals ({some(capitals)}) are counted, which "
            "pytorch-fid passes over"
        )
    deeper = [name for name in subfolders if _holds_image(folder / name)]
    if deeper:
        notes.append(
            f"images in subfolders ({some(deeper)}) are not counted, as in pytorch-fid; {_READ_BY_US} them too"
        )
    if others.extensions:
        notes.append(f"files of other kinds are not counted, as in pytorch-fid: {others.found_text()}")
    return tuple(notes)


def _holds_image(folder: Path) -> bool:
    """Whether an image is anywhere below; what cannot be listed is as if it were not there, as it is not counted."""
    return any(extension(name) in KNOWN_EXTENSIONS for _, _, names in os.walk(folder) for name in names)
