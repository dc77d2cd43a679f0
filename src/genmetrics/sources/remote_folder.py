"""A folder of images at an address, listed once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from genmetrics.errors import SourceError
from genmetrics.sources.decode import BadImage, Decoded, decode_bytes
from genmetrics.sources.file_state import SetDigest
from genmetrics.sources.label_files import DATASET_JSON
from genmetrics.sources.names import IMAGE_EXTENSIONS, PassedOver, extension, extensions_text, is_hidden
from genmetrics.sources.remote import RemotePath, remote_path, shown
from genmetrics.sources.tree import ImageTree
from genmetrics.types import AlphaPolicy, Fingerprint

__all__ = ["RemoteFolderSource"]


class RemoteFolderSource(ImageTree):
    """All image files below an address, in the order of their relative paths, as ``FolderSource`` has them."""

    def __init__(self, address: str) -> None:
        """List the folder.

        Raises:
            DependencyError: if a package is missing for the scheme.
            SourceError: if it cannot be listed, or holds no image.
        """
        self.description = shown(address)
        passed_over = PassedOver()
        try:
            found = remote_path(address).find()
        except OSError as error:
            raise SourceError(f"folder '{self.description}' cannot be listed: {error}") from error
        data = b""
        self._files = {}
        for name in sorted(found):
            if any(map(is_hidden, name.split("/"))):
                passed_over.hidden += 1
            elif extension(name) in IMAGE_EXTENSIONS:
                self._files[name] = found[name]
            else:
                passed_over.add(name)
        self._names = list(self._files)
        if not self._names:
            here = passed_over.found_text()
            raise SourceError(
                f"'{self.description}' holds no image: looked below it for {extensions_text()}; "
                + (f"found only {here}" if here else "nothing is there, or it may not be listed")
            )
        if DATASET_JSON in found:
            try:
                data = found[DATASET_JSON][0].read_bytes()
            except OSError as error:
                raise SourceError(str(error)) from error
        self._take_labels(data, passed_over)
        self.notes = passed_over.notes()

    def fingerprint(self) -> Fingerprint:
        """Path and size of each image, and the tag or time that the store has of it."""
        return self._digest().fingerprint(self.kind, self.description)

    def identity(self) -> str:
        """The same: two machines see the same listing."""
        return self._digest().hexdigest()

    def _loader(self, name: str) -> Callable[[AlphaPolicy], Decoded]:
        return partial(_load, self._files[name][0])

    def _digest(self) -> SetDigest:
        digest = SetDigest()
        for name, (_, state) in self._files.items():
            digest.add(name, state.st_size, state.st_ino)
        self._add_labels(digest)
        return digest


def _load(path: RemotePath, alpha: AlphaPolicy) -> Decoded:
    try:
        data = path.read_bytes()
    except OSError as error:
        # A store that does not answer is no image that is damaged, and is never skipped.
        if isinstance(error, FileNotFoundError):
            raise BadImage("cannot be opened: it is gone") from error
        raise SourceError(str(error)) from error
    return decode_bytes(data, alpha)
