"""Parquet and arrow files as one table, of which single cells are read without holding the rest in memory.

The only file of the sources that imports pyarrow.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

from genmetrics.errors import DependencyError, SourceError
from genmetrics.sources.file_state import SetDigest, file_state, require_unchanged
from genmetrics.sources.patterns import short_names
from genmetrics.sources.remote import AnyPath, RemotePath
from genmetrics.sources.sampling import add_blocks

__all__ = ["ArrowTable", "FileTable", "ParquetTable", "Table", "import_optional"]

#: How many rows are decoded at once.
_ROWS = 32
#: How much of a parquet column is read at once.
_BUFFER = 2**20
_STREAM_END = b"\xff\xff\xff\xff\0\0\0\0"


def import_optional(module: str) -> Any:
    """``pyarrow`` or ``datasets``, or a part of them.

    Raises:
        DependencyError: if the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DependencyError(
            f"parquet, arrow and Hugging Face data need the package '{module.partition('.')[0]}' ({error}); "
            "install it with pip install 'genmetrics[hf]'"
        ) from error


class Table(ABC):
    """Rows that are read in ascending order.

    Attributes:
        schema: the ``pyarrow.Schema``.
        notes: what a reader must know of the files.
    """

    schema: Any
    notes: tuple[str, ...] = ()

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders in which files lie that rows may name in place of holding bytes; none for files from anywhere."""
        return ()

    @abstractmethod
    def __len__(self) -> int:
        """The number of rows."""

    @abstractmethod
    def name(self, row: int) -> str:
        """What a person finds the row by."""

    @abstractmethod
    def chunks(self, column: str, wanted: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """The first row and the values (``pyarrow.Array``) of consecutive chunks, at least those with wanted rows."""

    @abstractmethod
    def add_to(self, digest: SetDigest, column: str) -> bool:
        """Add the state of the files that the images of a column are in; False if a change might not show."""

    @abstractmethod
    def add_identity_to(self, digest: SetDigest, column: str) -> bool:
        """Add what a copy in another place keeps; False if there is too little of it."""

    def cells(self, column: str, wanted: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """Each wanted row, and its value as a ``pyarrow.Scalar``."""
        position = 0
        for first, values in self.chunks(column, wanted):
            while position < len(wanted) and wanted[position] < first + len(values):
                yield wanted[position], values[wanted[position] - first]
                position += 1


class FileTable(Table):
    """A table in files of the same columns, one after another."""

    what: str

    def __init__(self, paths: Sequence[AnyPath]) -> None:
        """Read the heads of the files.

        Raises:
            DependencyError: if pyarrow is not installed.
            SourceError: if files are no such files, are damaged or cut short, or have other columns than the
                first.
        """
        self._paths = tuple(paths)
        self._states = []
        #: For each file, the number of rows in each of its parts.
        self._parts: list[tuple[int, ...]] = []
        for path in self._paths:
            with self._errors(path):
                self._states.append(file_state(path))
                schema, parts = self._read_head(path)
            if self._parts and not schema.equals(self.schema, check_metadata=False):
                raise SourceError(
                    f"'{path}' has the columns {_columns(schema)}, but '{self._paths[0]}' has {_columns(self.schema)}; "
                    "give files of the same columns"
                )
            if not self._parts:
                self.schema = schema
            self._parts.append(parts)
        self._starts = tuple(accumulate(map(sum, self._parts), initial=0))
        self._names = short_names(self._paths)

    @abstractmethod
    def _read_head(self, path: AnyPath) -> tuple[Any, tuple[int, ...]]:
        """The schema, and the number of rows in each part of a file."""

    @abstractmethod
    def _read_parts(self, path: AnyPath, column: str, parts: Sequence[int]) -> Iterator[Any]:
        """The values of a column in some parts of a file, in chunks that do not cross parts."""

    def __len__(self) -> int:
        return self._starts[-1]

    def name(self, row: int) -> str:
        """The file and the row in it."""
        number = bisect_left(self._starts, row + 1) - 1
        return f"{self._names[number]}[{row - self._starts[number]}]"

    def chunks(self, column: str, wanted: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """The values in the parts of files that hold wanted rows.

        Raises:
            SourceError: if a file is damaged or has changed since it was opened.
        """
        for path, state, counts, start in zip(self._paths, self._states, self._parts, self._starts, strict=False):
            starts = tuple(accumulate(counts, initial=start))
            parts = [part for part in range(len(counts)) if _any_within(wanted, starts[part], starts[part + 1])]
            if not parts:
                continue
            with self._errors(path):
                require_unchanged(path, state)
                first, left = starts[parts[0]], list(parts)
                for values in self._read_parts(path, column, parts):
                    yield first, values
                    first += len(values)
                    if left and first == starts[left[0] + 1]:
                        del left[0]
                        first = starts[left[0]] if left else first

    def add_to(self, digest: SetDigest, column: str) -> bool:
        """Name, size and times of change of each file, and its rows."""
        for name, path, parts in zip(self._names, self._paths, self._parts, strict=True):
            digest.add(sum(parts))
            digest.add_file(name, path)
        return True

    def add_identity_to(self, digest: SetDigest, column: str) -> bool:
        """Name, size and rows of each file, and blocks of their bytes."""
        for name, state, parts in zip(self._names, self._states, self._parts, strict=True):
            digest.add(name, state.size, sum(parts))
        add_blocks(digest, self._paths)
        return True

    @contextmanager
    def _errors(self, path: AnyPath) -> Iterator[None]:
        arrow = import_optional("pyarrow")
        try:
            yield
        except (arrow.ArrowException, OSError) as error:
            raise SourceError(
                f"'{path}' is not {self.what} that can be read, or it is damaged or cut short ({error}); copy, "
                "download or save it again"
            ) from error


class ParquetTable(FileTable):
    """Parquet files; of a row group that holds wanted rows the column is decoded in small pieces."""

    what = "a parquet file"

    def _read_head(self, path: AnyPath) -> tuple[Any, tuple[int, ...]]:
        with import_optional("pyarrow.parquet").ParquetFile(_readable(path)) as file:
            groups = range(file.metadata.num_row_groups)
            return file.schema_arrow, tuple(file.metadata.row_group(group).num_rows for group in groups)

    def _read_parts(self, path: AnyPath, column: str, parts: Sequence[int]) -> Iterator[Any]:
        with import_optional("pyarrow.parquet").ParquetFile(_readable(path), buffer_size=_BUFFER) as file:
            for part in parts:
                for batch in file.iter_batches(_ROWS, row_groups=[part], columns=[column], use_threads=False):
                    yield batch.column(column)


class ArrowTable(FileTable):
    """Arrow files and streams, mapped into memory."""

    what = "an arrow file"

    def _read_head(self, path: AnyPath) -> tuple[Any, tuple[int, ...]]:
        with self._opened(path) as (schema, batches):
            counts = tuple(batch.num_rows for batch in batches)
        if not _is_file_format(path) and not _ends_with(path, _STREAM_END):
            self.notes += (f"'{path}' has no end mark; it may have been cut short between two batches",)
        return schema, counts

    def _read_parts(self, path: AnyPath, column: str, parts: Sequence[int]) -> Iterator[Any]:
        wanted = set(parts)
        with self._opened(path) as (_, batches):
            for number, batch in enumerate(batches):
                if number in wanted:
                    yield batch.column(column)

    @contextmanager
    def _opened(self, path: AnyPath) -> Iterator[tuple[Any, Iterator[Any]]]:
        arrow = import_optional("pyarrow")
        with arrow.PythonFile(path.open("rb")) if isinstance(path, RemotePath) else arrow.memory_map(str(path)) as file:
            if _is_file_format(path):
                reader = arrow.ipc.open_file(file)
                yield reader.schema, (reader.get_batch(number) for number in range(reader.num_record_batches))
            else:
                reader = arrow.ipc.open_stream(file)
                yield reader.schema, iter(reader)


def _readable(path: AnyPath) -> Any:
    """What pyarrow opens: a path of this machine, or an open file."""
    return path.open("rb") if isinstance(path, RemotePath) else path


def _any_within(wanted: Sequence[int], start: int, stop: int) -> bool:
    position = bisect_left(wanted, start)
    return position < len(wanted) and wanted[position] < stop


def _is_file_format(path: AnyPath) -> bool:
    with path.open("rb") as file:
        return file.read(6) == b"ARROW1"


def _ends_with(path: AnyPath, end: bytes) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(end)))
        return file.read() == end


def _columns(schema: Any) -> str:
    return ", ".join(f"{field.name} ({field.type})" for field in schema)
