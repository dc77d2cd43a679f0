"""Datasets of the Hugging Face hub, through the ``datasets`` library."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from genmetrics.errors import SourceError
from genmetrics.sources.file_state import SetDigest
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

    def add_to(self, digest: SetDigest) -> bool:
        """The addresses of the files, with their revision, and the state of the library's own files."""
        digest.add(
            self._name, len(self), self._dataset.info.version, *sorted(self._dataset.info.download_checksums or ())
        )
        digest.add(self._dataset.info.builder_name, self._dataset.info.config_name)
        for cached in self._dataset.cache_files:
            digest.add_file(Path(cached["filename"]).name, Path(cached["filename"]))
        return bool(self._dataset.cache_files)


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
