"""Image datasets as Hugging Face's tools keep them: on the hub, saved to disk, or as parquet and arrow files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from genmetrics.errors import SourceError
from genmetrics.paths import require_path
from genmetrics.sources.hub import HubName, hub_splits, load_from_hub
from genmetrics.sources.names import is_hidden, some
from genmetrics.sources.patterns import expand, is_pattern
from genmetrics.sources.table_source import TableSource
from genmetrics.sources.tables import ArrowTable, ParquetTable, Table

__all__ = ["HfSource", "is_saved_dataset"]

#: ``name``, ``user/name`` or ``user/name/configuration``, and perhaps ``@revision``.
_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*){0,2}(@[\w./-]+)?")
#: ``train-00000-of-00002.parquet``, ``train-00000-of-00002-0123456789abcdef.parquet``, ``train.parquet``.
_SPLIT_OF_FILE = re.compile(r"(.+?)(-\d+-of-\d+(-[0-9a-f]+)?)?\.(parquet|arrow)")
_STATE, _SPLITS = "state.json", "dataset_dict.json"


class HfSource(TableSource):
    """The images of one split and column of a dataset.

    The name is that of a dataset on the hub, perhaps with a configuration (``user/name/configuration``) and a
    revision (``@revision``), of a folder that ``save_to_disk``
    wrote, of a folder of parquet or arrow files, or of such files themselves. What lies on this machine comes
    first, and is read in place without the ``datasets`` library.
    """

    kind = "hf"

    def __init__(self, text: str) -> None:
        """Find the dataset and choose split and column.

        Args:
            text: ``NAME``, ``NAME:SPLIT``, ``NAME:COLUMN`` or ``NAME:SPLIT:COLUMN``; an empty split is the only
                one.

        Raises:
            DependencyError: if the packages of ``genmetrics[hf]`` are not installed.
            SourceError: if there is no such dataset, or it is not plain which split or column is meant.
        """
        self.description = text
        name, rest = _parts(text)
        if _is_local(name):
            splits = _local_splits(name)
            split, column = _choose(name, list(splits), rest)
            self._use(_open_files(splits[split]), column, f"hf:{name}:{split}:COLUMN")
            return
        if _HUB_NAME.fullmatch(name) is None:
            require_path(name)
        on_hub = HubName.read(name)
        split, column = _choose(name, hub_splits(on_hub), rest)
        self._use(load_from_hub(on_hub, split), column, f"hf:{name}:{split}:COLUMN")


def is_saved_dataset(folder: Path) -> bool:
    """Whether ``save_to_disk`` wrote the folder."""
    return (folder / _SPLITS).is_file() or ((folder / _STATE).is_file() and (folder / "dataset_info.json").is_file())


def _parts(text: str) -> tuple[str, list[str]]:
    """The name, which may hold colons if it is a path, and what follows it."""
    pieces = text.split(":")
    for used in range(len(pieces), 0, -1):
        name = ":".join(pieces[:used])
        if len(pieces) - used <= 2 and name and _is_local(name):
            return name, pieces[used:]
    if len(pieces) > 3:
        raise SourceError(
            f"'hf:{text}' has {len(pieces)} parts, expected hf:NAME, hf:NAME:SPLIT or hf:NAME:SPLIT:COLUMN"
        )
    return pieces[0], pieces[1:]


def _is_local(name: str) -> bool:
    return Path(name).expanduser().exists() or is_pattern(name)


def _local_splits(name: str) -> Mapping[str, Sequence[Path]]:
    """The files of each split; what has no splits is one without a name."""
    path = Path(name).expanduser()
    if not path.is_dir():
        # No address comes here, so that all of them are paths of this machine.
        return {"": [file for file in expand(name, "a parquet or arrow file") if isinstance(file, Path)]}
    if (path / _SPLITS).is_file():
        return {split: _saved_files(path / split) for split in _from_json(path / _SPLITS, "splits")}
    if is_saved_dataset(path):
        return {"": _saved_files(path)}
    splits: dict[str, list[Path]] = {}
    for file in sorted(path.rglob("*")):
        match = _SPLIT_OF_FILE.fullmatch(file.name)
        if match is not None and file.is_file() and not any(map(is_hidden, file.relative_to(path).parts)):
            splits.setdefault(match[1], []).append(file)
    if not splits:
        raise SourceError(
            f"'{name}' holds neither a dataset that `save_to_disk` wrote nor .parquet or .arrow files; for the images "
            f"in it give 'folder:{name}'"
        )
    return splits


def _saved_files(folder: Path) -> list[Path]:
    state = require_path(folder / _STATE)
    if _from_json(state, "_indices_data_files", required=False):
        raise SourceError(f"'{folder}' was written by an old version of `datasets`; load it and save it to disk again")
    entries = _from_json(state, "_data_files")
    names = [str(entry.get("filename")) if isinstance(entry, dict) else str(entry) for entry in entries]
    outside = [name for name in names if Path(name).name != name]
    if outside:
        raise SourceError(f"'{state}' names files in other folders, expected files beside it: {some(outside)}")
    return [require_path(folder / name) for name in names]


def _from_json(path: Path, key: str, required: bool = True) -> list:  # type: ignore[type-arg]
    try:
        content = json.loads(path.read_bytes())
        found = content[key] if required else content.get(key) or []
        if isinstance(found, list):
            return found
        raise ValueError(f"'{key}' is no list")
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise SourceError(
            f"'{path}' is not what `save_to_disk` writes, or damaged ({type(error).__name__}: {error}); save the set "
            "again"
        ) from error


def _choose(name: str, splits: Sequence[str], rest: Sequence[str]) -> tuple[str, str | None]:
    """The split and the column; None for the only one."""
    named = ", ".join(splits)
    split, column = (rest[0], rest[1] if len(rest) == 2 else None) if rest else ("", None)
    if split in splits and split:
        return split, column or None
    if split and len(rest) == 1 and len(splits) == 1:
        return splits[0], split  # no split of that name: a column
    if split and splits != [""]:
        raise SourceError(
            f"'{name}' has no split '{split}'; give one of them: {', '.join(f'hf:{name}:{s}' for s in splits)}"
        )
    if split:
        raise SourceError(
            f"'{name}' has no splits, but 'hf:{name}:{split}:{column}' asks for one; give 'hf:{name}:{column}'"
        )
    if len(splits) > 1:
        raise SourceError(f"'{name}' has several splits, {named}; give one of them: 'hf:{name}:{splits[0]}'")
    return splits[0], column or None


def _open_files(files: Sequence[Path]) -> Table:
    kinds = {_is_parquet(file) for file in files}
    if len(kinds) > 1:
        raise SourceError(
            f"parquet and arrow files are mixed: {some([str(file) for file in files])}; give those of one kind, such "
            f"as '{files[0].parent}/*.parquet'"
        )
    return ParquetTable(files) if kinds == {True} else ArrowTable(files)


def _is_parquet(path: Path) -> bool:
    if path.is_dir():
        raise SourceError(f"'{path}' is a folder, expected a parquet or arrow file")
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"
