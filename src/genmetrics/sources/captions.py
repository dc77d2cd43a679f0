"""What each image is said to show: captions from a file, a folder of texts, or a sequence."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from genmetrics.errors import SourceError, UsageError
from genmetrics.paths import require_path
from genmetrics.sources.base import ImageSource
from genmetrics.sources.names import count, some

__all__ = ["CaptionsLike", "captions_of"]

#: The path of a file or folder, one text for each image in order, or texts by the images' names.
CaptionsLike = str | Path | Sequence[str] | Mapping[str, str]

_NAME_KEYS = ("file_name", "filename", "image", "name", "path")
_TEXT_KEYS = ("caption", "text", "prompt")
_FORMATS = (
    '.json {"name.png": "text"}, .jsonl or .csv/.tsv with the columns file_name and text, .txt with one line for each '
    "image in order, or a folder with name.txt for each image"
)


def captions_of(source: ImageSource, given: CaptionsLike) -> list[str]:
    """The caption of each image of a source, in the order of its images.

    Args:
        source: the images.
        given: a sequence of texts, texts by name, or the path of a ``.json``, ``.jsonl``, ``.csv``, ``.tsv`` or
            ``.txt`` file or of a folder of texts. Images go by their names, their paths in the container, or these
            without extension.

    Raises:
        SourceError: if it cannot be read, or there is not one caption for each image.
        UsageError: if the source does not say which images it has.
    """
    try:
        total = len(source)
    except TypeError as error:
        raise UsageError(
            f"captions were given with {source.kind} '{source.description}', which does not say how many images it "
            "gives, so that they cannot be matched"
        ) from error
    if isinstance(given, Mapping):
        return _matched(source, _texts(given.items()), "the mapping of captions")
    if not isinstance(given, str | Path):
        sequence = list(given)
        wrong = next((text for text in sequence if not isinstance(text, str)), None)
        if wrong is not None:
            raise UsageError(f"a caption is a {type(wrong).__name__}, expected a str for each image")
        return _in_order(sequence, total, "the sequence of captions")
    path = require_path(str(given))
    where = f"captions in '{given}'"
    try:
        ordered = _lines(path) if path.is_file() and path.suffix == ".txt" else None
        texts = _read(path) if ordered is None else {}
    except (ValueError, OSError, csv.Error) as error:
        raise SourceError(f"{where}: {error}; expected {_FORMATS}") from error
    return _matched(source, texts, where) if ordered is None else _in_order(ordered, total, where)


def _matched(source: ImageSource, texts: Mapping[str, str], where: str) -> list[str]:
    """Texts by name in the order of the images."""
    names = source.names()
    if names is None:
        raise UsageError(
            f"{where} go by names, and the images of {source.kind} '{source.description}' have none; give a .txt with "
            "one line for each image in order"
        )
    return _by_name(texts, names, where)


def _in_order(texts: list[str], total: int, where: str) -> list[str]:
    if len(texts) != total:
        raise SourceError(f"{where}: {count(len(texts), 'text')} for {count(total, 'image')}, expected one for each")
    return texts


def _lines(path: Path) -> list[str]:
    """The lines of a text; characters that only some take for line breaks are none."""
    return path.read_text(encoding="utf-8-sig").replace("\r\n", "\n").rstrip("\n").split("\n")


def _by_name(texts: Mapping[str, str], names: Sequence[str], where: str) -> list[str]:
    found = [_lookup(texts, keys) for keys in zip(*_ways_to_name(names), strict=True)]
    missing = [name for name, text in zip(names, found, strict=True) if text is None]
    if missing:
        raise SourceError(
            f"{where}: {len(missing):,} of {count(len(names), 'image')} have no caption: {some(missing)}; give one for "
            "each"
        )
    return [text for text in found if text is not None]


def _ways_to_name(names: Sequence[str]) -> list[Sequence[str]]:
    """What images may go by, each way as one name for each image; only ways that tell all images apart."""
    paths = [PurePosixPath(name) for name in names]
    ways = [
        names,
        [str(path.with_suffix("")) for path in paths],
        [path.name for path in paths],
        [path.stem for path in paths],
    ]
    return [way for way in ways if len(set(way)) == len(way)] or [names]


def _lookup(texts: Mapping[str, str], keys: Sequence[str]) -> str | None:
    return next((texts[key] for key in keys if key in texts), None)


def _read(path: Path) -> dict[str, str]:
    if path.is_dir():
        files = sorted(path.rglob("*.txt"))
        if not files:
            raise ValueError("the folder has no .txt files")
        pairs = [
            (file.relative_to(path).with_suffix("").as_posix(), file.read_text(encoding="utf-8").strip())
            for file in files
        ]
    elif path.suffix == ".json":
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError(f"a {type(content).__name__} at the top")
        pairs = list(content.items())
    elif path.suffix == ".jsonl":
        pairs = [
            _fields(json.loads(line), f"line {number}") for number, line in enumerate(_lines(path), 1) if line.strip()
        ]
    elif path.suffix in (".csv", ".tsv"):
        with io.StringIO(path.read_text(encoding="utf-8-sig"), newline="") as text:
            rows = csv.DictReader(text, delimiter="," if path.suffix == ".csv" else "\t")
            pairs = [_fields(row, f"line {rows.line_num}") for row in rows]
    else:
        raise ValueError(f"a file of kind '{path.suffix}'")
    return _texts(pairs)


def _texts(pairs: Iterable[tuple[str, object]]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name, caption in pairs:
        if not isinstance(caption, str):
            raise SourceError(f"the caption of '{name}' is a {type(caption).__name__}, expected a text")
        if name in texts:
            raise ValueError(f"'{name}' has two captions")
        texts[name] = caption
    return texts


def _fields(row: object, where: str) -> tuple[str, str]:
    if isinstance(row, dict):
        name = next((row[key] for key in _NAME_KEYS if row.get(key)), None)
        text = next((row[key] for key in _TEXT_KEYS if row.get(key) is not None), None)
        if isinstance(name, str) and isinstance(text, str):
            return name, text
    raise ValueError(f"{where} has no pair of {_NAME_KEYS[0]} and {_TEXT_KEYS[1]}")
