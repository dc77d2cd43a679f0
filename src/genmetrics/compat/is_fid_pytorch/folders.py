"""The images of a folder as lzhbrian's scripts list them: those in it, and none in its subfolders."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from genmetrics.errors import GenmetricsWarning, SourceError
from genmetrics.paths import require_path
from genmetrics.sources.names import IMAGE_EXTENSIONS, count, extension, is_hidden, some

__all__ = ["image_files"]

_READ = (".bmp", ".jpeg", ".jpg", ".png")


def image_files(folder: str | Path, script: str, misses: Sequence[str] = ()) -> list[Path]:
    """The image files of a folder, in the order of their names; warnings tell what is not as in the original.

    Args:
        folder: where they are.
        script: the original, for messages.
        misses: extensions that the original means to read and does not.

    Raises:
        SourceError: if there is no such folder, or no image in it.
    """
    path = require_path(folder)
    if not path.is_dir():
        raise SourceError(f"'{folder}' is a file; {script} takes a folder of images, or an .npz file of statistics")
    entries = sorted((entry for entry in path.iterdir() if not is_hidden(entry.name)), key=lambda entry: entry.name)
    folders = [entry.name for entry in entries if entry.is_dir()]
    images = [entry for entry in entries if not entry.is_dir() and extension(entry.name) in IMAGE_EXTENSIONS]
    read = [image for image in images if extension(image.name) in _READ]
    others = [image.name for image in images if extension(image.name) not in _READ]
    left_out = []
    if others:
        left_out.append(f"{count(len(others), 'image')} of other types than {' '.join(_READ)}: {some(others)}")
    if folders:
        left_out.append(f"what is in {count(len(folders), 'subfolder')}: {some(folders)}")
    if not read:
        beside = f"; in it is {' and '.join(left_out)}" if left_out else ""
        raise SourceError(f"folder '{folder}' holds no image: looked in it for {' '.join(_READ)}{beside}")
    added = [image.name for image in read if image.suffix != image.suffix.lower() or image.suffix in misses]
    for what in left_out:
        _warn(f"'{folder}': left out, as {script} does, is {what}; `genmetrics eval` reads it")
    if added:
        _warn(f"'{folder}': counted, though {script} misses them, are {count(len(added), 'image')}: {some(added)}")
    return read


def _warn(text: str) -> None:
    warnings.warn(text, GenmetricsWarning, stacklevel=4)
