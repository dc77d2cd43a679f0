"""Images in the rows of parquet and arrow files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from genmetrics.errors import SourceError
from genmetrics.sources.columns import image_column, label_column, load_cell
from genmetrics.sources.file_state import SetDigest
from genmetrics.sources.loader import Item, ItemSource
from genmetrics.sources.names import count, some
from genmetrics.sources.patterns import expand
from genmetrics.sources.remote import shown
from genmetrics.sources.tables import ArrowTable, ParquetTable, Table
from genmetrics.types import Fingerprint

__all__ = ["ArrowSource", "ParquetSource", "TableSource"]


class TableSource(ItemSource):
    """One column of images, with the classes of a label column if there is one."""

    def _use(self, table: Table, column: str | None, example: str) -> None:
        """Choose the columns.

        Args:
            table: the rows.
            column: the column of images; None for the only one.
            example: what to type for another column, with ``COLUMN`` in it.

        Raises:
            SourceError: if the table holds no rows or no column of images.
        """
        self._table = table
        what = f"{self.kind} '{self.description}'"
        self._column = image_column(table.schema, column, what, example)
        if not len(self):
            raise SourceError(f"{what} has no rows, expected at least one image")
        self.notes = table.notes
        self._labels = self._read_labels()

    def __len__(self) -> int:
        return len(self._table)

    def fingerprint(self) -> Fingerprint:
        """What is known of the files without reading them, and the column."""
        digest = SetDigest()
        digest.add(self._column)
        if not self._table.add_to(digest, self._column):
            return Fingerprint(self.kind, self.description, None)
        return digest.fingerprint(self.kind, self.description)

    def identity(self) -> str | None:
        """Names and sizes of the files, some of their bytes, and the column."""
        digest = SetDigest()
        digest.add(self._column)
        return digest.hexdigest() if self._table.add_identity_to(digest, self._column) else None

    def names(self) -> Sequence[str]:
        """The file and row of each image."""
        return [self._table.name(row) for row in range(len(self))]

    def known_labels(self) -> Sequence[int] | None:
        """The class of each image, in their order."""
        return self._labels

    def items(self, wanted: Sequence[int]) -> Iterator[Item]:
        """The wanted images in order.

        Raises:
            SourceError: if a file is damaged or has changed.
        """
        folders = self._table.folders
        for row, cell in self._table.cells(self._column, wanted):
            label = None if self._labels is None else self._labels[row]
            yield Item(row, self._table.name(row), partial(load_cell, cell, folders), label)

    def _read_labels(self) -> tuple[int, ...] | None:
        found = label_column(self._table.schema)
        if found is None:
            return None
        name, names = found
        chunks = self._table.chunks(name, range(len(self)))
        # The library writes -1 where a class is not known, as for the images of a test set.
        values = [None if value == -1 and names else value for _, chunk in chunks for value in chunk.to_pylist()]
        missing = [row for row, value in enumerate(values) if value is None]
        if len(missing) == len(values):
            return None
        if missing:
            self.label_problem = (
                f"{len(missing):,} of {count(len(self), 'image')} have no label in column '{name}': "
                + some([self._table.name(row) for row in missing])
            )
            return None
        self.class_names = names
        return tuple(value for value in values if value is not None)


class ParquetSource(TableSource):
    """The images of parquet files."""

    kind = "parquet"

    def __init__(self, path: str | Path) -> None:
        """Read the heads and the labels.

        Args:
            path: a file, or a pattern of files.

        Raises:
            DependencyError: if pyarrow is not installed.
            SourceError: if files are missing, damaged or hold no single column of images.
        """
        self.description = shown(str(path))
        self._use(ParquetTable(expand(str(path), "a parquet file")), None, f"hf:{self.description}::COLUMN")


class ArrowSource(TableSource):
    """The images of arrow files, of the file or the stream format."""

    kind = "arrow"

    def __init__(self, path: str | Path) -> None:
        """Read the heads and the labels.

        Args:
            path: a file, or a pattern of files.

        Raises:
            DependencyError: if pyarrow is not installed.
            SourceError: if files are missing, damaged or hold no single column of images.
        """
        self.description = shown(str(path))
        self._use(ArrowTable(expand(str(path), "an arrow file")), None, f"hf:{self.description}::COLUMN")
