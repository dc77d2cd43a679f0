"""Datasets of the Hugging Face hub, through the ``datasets`` library."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from genmetrics.errors import SourceError
from genmetrics.sources.columns import file_within, named_files
from genmetrics.sources.file_state import SetDigest
from genmetrics.sources.sampling import add_blocks, add_files
from genmetrics.sources.tables import Table, import_optional

__all__ = ["HubName", "HubTable", "hub_splits", "load_from_hub"]

#: How many rows are looked at together.
_ROWS = 32
Found = TypeVar("Found")


@dataclass(frozen=True)
class HubName:
    """What a dataset is called on the hub.

    Attributes:
        repository: ``name`` or ``user/name``.
        configuration: which of its configurations; None for the only one.
        revision: a branch, tag or commit; None for the newest.
    """

    repository: str
    configuration: str | None
    revision: str | None

    @classmethod
    def read(cls, text: str) -> HubName:
        """From ``user/name/configuration@revision``, of which all but the name may be left out."""
        path, _, revision = text.partition("@")
        parts = path.split("/")
        return cls("/".join(parts[:2]), parts[2] if len(parts) == 3 else None, revision or None)

    def __str__(self) -> str:
        path = self.repository if self.configuration is None else f"{self.repository}/{self.configuration}"
        return path if self.revision is None else f"{path}@{self.revision}"


class HubTable(Table):
    """A dataset that the library has brought to this machine and mapped into memory."""

    def __init__(self, dataset: Any, name: str) -> None:
        """Take a ``datasets.Dataset``.

        Args:
            dataset: the dataset.
            name: what it was called: name, revision and split.
        """
        self._dataset = dataset.with_format("arrow")
        self._name = name
        self.schema = dataset.features.arrow_schema
        self._files = tuple(Path(cached["filename"]) for cached in dataset.cache_files)

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where the library keeps what it brings to this machine; a row may name no file anywhere else."""
        library, hub = import_optional("datasets").config, import_optional("huggingface_hub").constants
        caches = (
            library.HF_DATASETS_CACHE,
            library.DOWNLOADED_DATASETS_PATH,
            library.EXTRACTED_DATASETS_PATH,
            hub.HF_HUB_CACHE,
            *(path.parent for path in self._files),
        )
        return tuple(dict.fromkeys(Path(folder).expanduser().resolve() for folder in caches))

    def __len__(self) -> int:
        return len(self._dataset)

    def name(self, row: int) -> str:
        """The dataset's name and the row."""
        return f"{self._name}[{row}]"

    def chunks(self, column: str, wanted: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """The values in runs of rows that hold wanted ones."""
        alone = self._dataset.select_columns([column])
        done = 0
        for row in wanted:
            if row < done:
                continue
            done = min(row + _ROWS, len(self))
            yield row, alone[row:done].column(column)

    def add_to(self, digest: SetDigest, column: str) -> bool:
        """The addresses of the files, with their revision, and the state of the library's files and those in rows."""
        self._add_addresses(digest)
        for path in self._files:
            digest.add_file(path.name, path)
        for name, file in self._named(column):
            digest.add(name) if file is None else digest.add_file(name, file)
        return bool(self._files)

    def add_identity_to(self, digest: SetDigest, column: str) -> bool:
        """The addresses, and some bytes: of the files in rows if there are any, else of the library's files."""
        self._add_addresses(digest)
        named = self._named(column)
        if not named:
            digest.add(*(path.name for path in self._files))
            add_blocks(digest, self._files)
        # Each machine has them in a folder of its own, which is written in the library's files as well.
        add_files(digest, [(Path(name).name, file) for name, file in named if file is not None])
        return bool(self._files)

    def _add_addresses(self, digest: SetDigest) -> None:
        info = self._dataset.info
        digest.add(self._name, len(self), info.version, *sorted(info.download_checksums or ()))
        digest.add(info.builder_name, info.config_name)

    def _named(self, column: str) -> list[tuple[str, Path | None]]:
        """The files that rows name, as written and where they are; None for those that are not followed."""
        folders = self.folders
        chunks = self._dataset.data.column(column).chunks
        return [(name, file_within(name, folders)) for chunk in chunks for name in named_files(chunk)]


def hub_splits(name: HubName) -> list[str]:
    """The splits of a dataset on the hub.

    Raises:
        DependencyError: if the ``datasets`` package is not installed.
        SourceError: if there is no such dataset or it cannot be reached.
    """
    datasets = import_optional("datasets")

    def ask() -> list[str]:
        return list(datasets.get_dataset_split_names(name.repository, name.configuration, revision=name.revision))

    return _asking(str(name), ask)


def load_from_hub(name: HubName, split: str) -> HubTable:
    """A dataset of the hub, downloaded by the library if it is not in its cache. No code of the hub is run.

    Raises:
        DependencyError: if the ``datasets`` package is not installed.
        SourceError: if it cannot be loaded.
    """
    datasets = import_optional("datasets")

    def ask() -> Any:
        return datasets.load_dataset(name.repository, name.configuration, split=split, revision=name.revision)

    return HubTable(_asking(str(name), ask), f"{name}:{split}")


def _asking(name: str, ask: Callable[[], Found]) -> Found:
    try:
        return ask()
    except Exception as error:
        # The library raises errors of the network, of the file system and of its own for what is wrong there.
        raise SourceError(
            f"'{name}' is no folder or file on this machine, and cannot be loaded from the Hugging Face hub: "
            f"{type(error).__name__}: {error}"
        ) from error
