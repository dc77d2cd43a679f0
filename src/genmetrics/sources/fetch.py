"""Official archives of datasets: where they are looked for, how they are fetched and unpacked."""

from __future__ import annotations

import os
import secrets
import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch

from genmetrics.download import DownloadError, download
from genmetrics.errors import OutputError, SourceError
from genmetrics.files import file_digest

__all__ = ["FOLDER", "Archive", "dataset_folders", "find_or_fetch"]

FOLDER = "GENMETRICS_DATASETS"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Archive:
    """A published tar archive of one folder.

    Attributes:
        dataset: the name of the dataset.
        url: its official address.
        md5: of the archive, as published.
        folder: the folder in it.
        files: those of the folder that are needed, and unpacked; all others are left in the archive.
        optional: files that are unpacked too, and may be missing in a folder that somebody else made.
    """

    dataset: str
    url: str
    md5: str
    folder: str
    files: tuple[str, ...]
    optional: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The archive's file name."""
        return PurePosixPath(self.url).name


def dataset_folders() -> list[Path]:
    """Where datasets are looked for, first to last; fetched ones go to the first of them that is genmetrics' own.

    ``GENMETRICS_DATASETS`` if it is set, the folder where torch-fidelity keeps its datasets, and a cache folder.

    Raises:
        SourceError: if ``GENMETRICS_DATASETS`` names a file.
    """
    return [*_own_folders()[:-1], Path(torch.hub.get_dir()).parent / "fidelity_datasets", _own_folders()[-1]]


def _own_folders() -> list[Path]:
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folders = [Path(cache).expanduser() / "genmetrics" / "datasets"]
    if os.environ.get(FOLDER):
        given = Path(os.environ[FOLDER]).expanduser()
        if given.is_file():
            raise SourceError(f"{FOLDER}='{given}' is a file, expected the folder in which datasets are kept")
        folders.insert(0, given)
    return folders


def find_or_fetch(archive: Archive, needed: Sequence[str], root: Path | None = None, download: bool = True) -> Path:
    """The unpacked folder; if there is none, the archive is unpacked, and fetched first where need be.

    Args:
        archive: what is wanted.
        needed: the files that must be there.
        root: the one folder where it is looked for and put; None for those of ``dataset_folders``.
        download: whether it may be fetched.

    Raises:
        SourceError: if it is nowhere and cannot be fetched, is damaged, or files are missing in it.
        OutputError: if it cannot be written.
    """
    folders = dataset_folders() if root is None else [root]
    for folder in folders:
        found = folder / archive.folder
        if found.is_dir():
            missing = [name for name in needed if not (found / name).is_file()]
            if missing:
                raise SourceError(
                    f"'{found}' is not the whole of dataset '{archive.dataset}': {', '.join(missing)} missing; delete "
                    "the folder to have it fetched again, or complete it"
                )
            return found
    packed = next((folder / archive.name for folder in folders if (folder / archive.name).is_file()), None)
    target = _own_folders()[0] if root is None else root
    if packed is None and not download:
        raise _missing(archive, "", root)
    try:
        target.mkdir(parents=True, exist_ok=True)
        if packed is not None:
            md5 = file_digest(packed, "md5")
            if md5 != archive.md5:
                raise SourceError(
                    f"'{packed}' is not the published archive of dataset '{archive.dataset}' (md5 {md5}, "
                    f"published {archive.md5}); it may be a broken download: delete it, or copy it again"
                )
            _unpack(archive, packed, target)
        else:
            with tempfile.TemporaryDirectory(dir=target, prefix=".fetching-") as temporary:
                part = Path(temporary) / archive.name
                _download(archive, part, root)
                _unpack(archive, part, target)
    except OSError as error:
        raise OutputError(
            f"cannot write dataset '{archive.dataset}' to '{target}': {error.strerror or error}; "
            + (f"set {FOLDER} to a folder that can be written" if root is None else "make that folder writable")
        ) from error
    return target / archive.folder


def _download(archive: Archive, part: Path, root: Path | None) -> None:
    try:
        download(archive.url, part, "md5", archive.md5)
    except DownloadError as error:
        raise _missing(archive, str(error), root) from error


def _unpack(archive: Archive, packed: Path, target: Path) -> None:
    """Unpack the files that are wanted and nothing else; the folder appears when it is whole."""
    wanted = {f"{archive.folder}/{name}": name for name in (*archive.files, *archive.optional)}
    temporary = target / f".{archive.folder}.{secrets.token_hex(8)}.part"
    try:
        temporary.mkdir()
        with tarfile.open(packed) as tar:
            for member in tar:
                name = wanted.pop(member.name.removeprefix("./"), None)
                content = tar.extractfile(member) if name is not None and member.isreg() else None
                if name is None or content is None:
                    continue
                with content, (temporary / name).open("wb") as file:
                    shutil.copyfileobj(content, file, _CHUNK)
        missing = [name for name in archive.files if name in wanted.values()]
        if missing:
            raise SourceError(f"'{packed}' has no {', '.join(missing)} in it, expected the archive of {archive.url}")
        _move(temporary, target / archive.folder)
    except (tarfile.TarError, EOFError) as error:
        raise SourceError(f"'{packed}' cannot be unpacked ({error}); delete it, or copy it again") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _move(temporary: Path, target: Path) -> None:
    try:
        temporary.rename(target)
    except OSError:
        # Another process was first, with the same content.
        if not target.is_dir():
            raise


def _missing(archive: Archive, reason: str, root: Path | None) -> SourceError:
    """The error that it is nowhere; without a reason because it was not to be fetched."""
    folders = " and ".join(f"'{folder}'" for folder in (dataset_folders() if root is None else [root]))
    own = _own_folders()[0] if root is None else root
    where = f"dataset '{archive.dataset}' is not here: looked for the folder '{archive.folder}' in {folders}; "
    if not reason:
        return SourceError(f"{where}it was not to be fetched: put {archive.name} into '{own}', or allow the download")
    return SourceError(
        f"{where}downloading {archive.url} failed: {reason}\n"
        f"  copy the archive:     put {archive.name} into '{own}', where it is unpacked\n"
        f"  or the folder:        put '{archive.folder}' there, as torchvision lays it out\n"
        + (f"  or say where it is:   {FOLDER}=FOLDER, the folder that holds '{archive.folder}'" if root is None else "")
    )
