"""A folder of images as torch-fidelity finds them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from genmetrics.compat.torch_fidelity.helpers import vprint
from genmetrics.errors import SourceError, UsageError
from genmetrics.sources.crop import Crop
from genmetrics.sources.decode import Decoded, decode_file
from genmetrics.sources.folder import PathListSource
from genmetrics.sources.loader import Item
from genmetrics.sources.names import IMAGE_EXTENSIONS, count, some
from genmetrics.types import AlphaPolicy, Fingerprint

__all__ = ["SamplesFolder", "glob_samples_paths"]


def glob_samples_paths(
    path: str | Path,
    samples_find_deep: bool,
    samples_find_ext: str,
    samples_ext_lossy: str | None = None,
    verbose: bool = True,
) -> list[str]:
    """The real paths of the images in a folder, sorted.

    Args:
        path: the folder.
        samples_find_deep: whether its subfolders are searched, but for linked ones.
        samples_find_ext: the extensions of images, with commas between them, in any case.
        samples_ext_lossy: those that are lossy, of which a line says that they may affect metrics; None for none.
        verbose: write to standard error what was found.

    Raises:
        UsageError: if no extension is given.
    """
    found = _find(path, samples_find_deep, samples_find_ext, samples_ext_lossy)
    vprint(verbose, f"'{path}': {count(len(found.files), 'sample')}")
    for note in found.notes:
        vprint(verbose, f"'{path}': {note}")
    return found.files


class SamplesFolder(PathListSource):
    """The images that torch-fidelity finds in a folder, resized and cropped as it does it if that is wanted."""

    def __init__(
        self,
        path: str | Path,
        find_deep: bool = False,
        find_ext: str = "png,jpg,jpeg",
        ext_lossy: str | None = "jpg,jpeg",
        resize_and_crop: int = 0,
    ) -> None:
        """Find them.

        Args:
            path: the folder.
            find_deep: see ``glob_samples_paths``.
            find_ext: likewise.
            ext_lossy: likewise.
            resize_and_crop: the shorter side is brought to this by Pillow's bilinear filter, and the centred square is
                kept; 0 leaves images as they are.

        Raises:
            UsageError: if an option cannot be meant.
            SourceError: if there is no image.
        """
        if resize_and_crop < 0:
            raise UsageError(f"samples_resize_and_crop is {resize_and_crop}; expected 0 (leave them) or a side")
        found = _find(path, find_deep, find_ext, ext_lossy)
        if not found.files:
            where = "it and its subfolders" if find_deep else "it, and not in its subfolders"
            raise SourceError(
                f"no samples found in '{path}': looked in {where} for {find_ext}"
                + "".join(f"; {note}" for note in found.notes)
            )
        super().__init__(found.files)
        self._crop = Crop("pil-bilinear", resize_and_crop) if resize_and_crop else None
        self.description = str(path) + (f" ({self._crop.id})" if self._crop else "")
        self.notes += found.notes

    def fingerprint(self) -> Fingerprint:
        """Path, size and times of change of each image, and what is done with them."""
        files = super().fingerprint()
        digest = None if files.digest is None else self._with_crop(files.digest)
        return Fingerprint(files.kind, self.description, digest)

    def identity(self) -> str:
        """Name and size of each image, the beginnings of some, and what is done with them."""
        return self._with_crop(super().identity())

    def _with_crop(self, digest: str) -> str:
        return digest if self._crop is None else hashlib.sha256(f"{self._crop.id} {digest}".encode()).hexdigest()

    def items(self, wanted: Sequence[int]) -> Iterator[Item]:
        """The wanted images in order."""
        if self._crop is None:
            yield from super().items(wanted)
            return
        for index in wanted:
            load = partial(_cropped, self._files[index], self._crop)
            yield Item(index, str(self._paths[index]), load)


def _cropped(path: Path, crop: Crop, alpha: AlphaPolicy) -> Decoded:
    decoded = decode_file(path, alpha)
    return replace(decoded, pixels=crop(decoded.pixels))


@dataclass(frozen=True)
class _Found:
    """What is in a folder.

    Attributes:
        files: the images, by their real paths.
        notes: what was passed over, and what to mind.
    """

    files: list[str]
    notes: tuple[str, ...]


def _find(path: str | Path, deep: bool, find_ext: str, ext_lossy: str | None) -> _Found:
    wanted, lossy = _extensions(find_ext), _extensions(ext_lossy or "")
    if not wanted:
        raise UsageError(f"samples_find_ext is {find_ext!r}; expected extensions such as 'png,jpg,jpeg'")
    files: list[str] = []
    below, others, links = 0, [], []
    num_lossy = 0
    for place, folders, names in os.walk(path):
        folder = Path(place)
        top = os.path.realpath(folder) == os.path.realpath(path)
        links += [name for name in folders if deep and (folder / name).is_symlink()]
        for name in names:
            ending = Path(name).suffix.lower()
            extension = ending.removeprefix(".")
            if extension not in wanted:
                if ending in IMAGE_EXTENSIONS and (top or deep):
                    others.append(name)
            elif top or deep:
                files.append(os.path.realpath(folder / name))
                num_lossy += extension in lossy
            else:
                below += 1
    notes = []
    if num_lossy:
        notes.append(f"{num_lossy:,} of them are lossy-compressed, which may affect metrics")
    if below:
        notes.append(f"passed over {count(below, 'image')} in subfolders; samples_find_deep reads them")
    if others:
        notes.append(
            f"passed over {count(len(others), 'image')} of other extensions ({some(sorted(others))}); name those in "
            "samples_find_ext"
        )
    if links:
        notes.append(f"passed over {count(len(links), 'linked folder')} ({some(sorted(links))})")
    return _Found(sorted(files), tuple(notes))


def _extensions(text: str) -> set[str]:
    return {part.strip().lower().removeprefix(".") for part in text.split(",") if part.strip()}
