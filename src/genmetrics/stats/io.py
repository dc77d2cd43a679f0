"""Our own statistics files: safetensors, with a header that says what the statistics are of.

Tensors are named ``<extractor>/<feature>/<accumulator>/<field>``. Where one file holds several accumulators of
that name, of other preprocessings or settings, all but the first have those behind it in brackets. The header's
``fingerprint`` maps each to its need, and holds the record of images, networks and settings; ``sha256`` is of all
that, so that a file that was altered or cut off is noticed.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from genmetrics.accumulators.base import Accumulator
from genmetrics.accumulators.build import ACCUMULATORS, PAIRS, PATHS
from genmetrics.accumulators.composition import formats_from, sizes_from
from genmetrics.accumulators.image_keys import ImageKeys
from genmetrics.accumulators.labels import Labels
from genmetrics.accumulators.moments import Moments
from genmetrics.errors import StatisticsError, UsageError
from genmetrics.files import write_atomically
from genmetrics.stats.stats import Stats, describe_need
from genmetrics.types import ExtractorRecord, Need, Part, Selection, SideRecord, SkippedImage

__all__ = [
    "SCHEMA",
    "fingerprint_dict",
    "from_fingerprint",
    "load_own",
    "load_with_header",
    "save_stats",
]

SCHEMA = 1
_LABELS, _KEYS = "labels", "keys"


def save_stats(stats: Stats, path: Path, extra: Mapping[str, str] = MappingProxyType({})) -> None:
    """Write statistics; see ``Stats.save``.

    Args:
        stats: the statistics.
        path: the file.
        extra: further texts for the header.
    """
    if path.suffix != ".safetensors":
        raise UsageError(f"statistics file '{path}': expected a name ending in .safetensors")
    prefixes = _prefixes(list(stats.accumulators))
    tensors = {
        f"{prefixes[need]}/{field}": value.detach().cpu().contiguous()
        for need, held in stats.accumulators.items()
        for field, value in held.state().items()
    }
    for name, beside in ((_LABELS, stats.labels), (_KEYS, stats.keys)):
        if beside is not None:
            tensors |= {f"{name}/{field}": value.contiguous() for field, value in beside.state().items()}
    fingerprint = fingerprint_dict(stats)
    fingerprint["accumulators"] = [{"name": prefixes[need], **asdict(need)} for need in stats.accumulators]
    header = {
        "schema": str(SCHEMA),
        "fingerprint": json.dumps(fingerprint, sort_keys=True),
        "versions": json.dumps(dict(stats.versions), sort_keys=True),
        **extra,
    }
    header["sha256"] = _checksum(tensors, header)

    def write(temporary: Path) -> None:
        try:
            save_file(_unshared(tensors), temporary, metadata=header)
            _put_header_in_order(temporary)
        except SafetensorError as error:  # also of a full disk
            raise OSError(str(error)) from error

    write_atomically(path, write)


def _put_header_in_order(path: Path) -> None:
    """The header in one order, so that equal statistics are equal files: the library writes its texts in any."""
    with path.open("rb+") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        metadata = header.pop("__metadata__")
        ordered = {"__metadata__": dict(sorted(metadata.items())), **header}
        text = json.dumps(ordered, ensure_ascii=False, separators=(",", ":")).encode()
        if len(text) <= size:  # spaces at the end belong to the format
            file.seek(8)
            file.write(text.ljust(size))


def _unshared(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same values, a copy of each tensor that shares its memory with one before it: those cannot be written."""
    seen: set[int] = set()
    unshared = {}
    for name, value in tensors.items():
        memory = value.untyped_storage().data_ptr()
        unshared[name] = value.clone() if memory in seen else value
        seen.add(memory)
    return unshared


def load_own(path: Path) -> Stats:
    """Read a statistics file in our format.

    Raises:
        FileNotFoundError: if it has gone.
        StatisticsError: if it is damaged, altered, of a newer version, or something else.
    """
    return load_with_header(path)[0]


def load_with_header(path: Path) -> tuple[Stats, dict[str, str]]:
    """The same with the texts of its header, from one and the same state of the file."""
    try:
        with safe_open(path, framework="pt") as file:
            header = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    except (SafetensorError, OSError, RuntimeError) as error:
        # The library opens a file twice, the second time through torch, which tells that it has gone in a RuntimeError.
        if isinstance(error, FileNotFoundError) or "No such file or directory" in str(error):
            raise FileNotFoundError(str(path)) from error
        raise StatisticsError(
            f"statistics file '{path}' is damaged or cut off ({error}); make it again with `genmetrics stats build`, "
            "or copy it again"
        ) from error
    if not {"schema", "fingerprint", "versions", "sha256"} <= header.keys():
        raise StatisticsError(
            f"'{path}' is a safetensors file, but not one of statistics (its header lacks 'fingerprint'); expected "
            "what `genmetrics stats build` writes"
        )
    if not header["schema"].isdigit() or int(header["schema"]) > SCHEMA:
        raise StatisticsError(
            f"statistics file '{path}' has layout {header['schema']}, and this version of genmetrics reads up to "
            f"{SCHEMA}; install a newer one"
        )
    if header.pop("sha256") != _checksum(tensors, header):
        raise StatisticsError(
            f"statistics file '{path}' was altered after it was written (its checksum does not fit); make it again "
            "with `genmetrics stats build`, or copy it again"
        )
    try:
        stats = _from_header(header, tensors)
    except StatisticsError as error:
        raise StatisticsError(f"statistics file '{path}' cannot be used: {error}") from error
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise StatisticsError(
            f"statistics file '{path}' was written by another version of genmetrics in a layout that this one does not "
            f"know ({type(error).__name__}: {error}); make it again with `genmetrics stats build`"
        ) from error
    return stats.with_side(replace(stats.side, stats_file=str(path))), header


def _from_header(header: Mapping[str, str], tensors: Mapping[str, Tensor]) -> Stats:
    fingerprint = json.loads(header["fingerprint"])
    accumulators: dict[Need, Accumulator] = {}
    for entry in fingerprint.pop("accumulators"):
        name = entry.pop("name")
        need = Need(**{**entry, "options": tuple((key, int(value)) for key, value in entry["options"])})
        if need.accumulator not in ACCUMULATORS:
            raise StatisticsError(
                f"it holds {need.accumulator!r}, which this version of genmetrics does not know; install a newer one"
            )
        accumulators[need] = ACCUMULATORS[need.accumulator].from_state(_under(name, tensors))
    labels, keys = _under(_LABELS, tensors), _under(_KEYS, tensors)
    held = Labels.from_state(labels) if labels else None
    stats = from_fingerprint(fingerprint, accumulators, held, json.loads(header["versions"]))
    if keys:  # which came later
        stats = replace(stats, keys=ImageKeys.from_state(keys))
    for need, accumulator in accumulators.items():
        counted = need.accumulator not in (PAIRS, PATHS)  # these are of pairs and steps
        counted = counted and (not isinstance(accumulator, Moments) or accumulator.counted)
        if counted and stats.num_samples is not None and accumulator.num_samples != stats.num_samples:
            raise StatisticsError(
                f"its {describe_need(need)} are of {accumulator.num_samples} images, and its header says "
                f"{stats.num_samples}"
            )
    return stats


def fingerprint_dict(stats: Stats) -> dict[str, Any]:
    """The record of images, networks and settings as plain values."""
    side = asdict(stats.side)
    # Where the file is, is no property of what is in it.
    del side["stats_file"]
    return {
        **side,
        "seed": stats.seed,
        "class_names": list(stats.class_names),
        "extractors": {name: record.as_dict() for name, record in stats.extractors.items()},
    }


def from_fingerprint(
    record: Mapping[str, Any],
    accumulators: Mapping[Need, Accumulator],
    labels: Labels | None,
    versions: Mapping[str, str],
) -> Stats:
    """The statistics whose ``fingerprint_dict`` this is."""
    selection = record["selection"]
    side = SideRecord(
        source=record["source"],
        kind=record["kind"],
        num_samples=record["num_samples"],
        digest=record["digest"],
        skipped=tuple(SkippedImage(**image) for image in record["skipped"]),
        notes=tuple(record["notes"]),
        selection=None if selection is None else Selection(**selection),
        alpha=record["alpha"],
        num_transparent=record["num_transparent"],
        # These came later.
        num_by_device=record.get("num_by_device", 0),
        formats=formats_from(record.get("formats")),
        sizes=sizes_from(record.get("sizes")),
        parts=tuple(
            Part(**{**part, "covered": tuple((start, stop) for start, stop in part["covered"])})
            for part in record["parts"]
        ),
    )
    extractors = {name: ExtractorRecord(**entry) for name, entry in record["extractors"].items()}
    return Stats(accumulators, side, extractors, record["seed"], labels, tuple(record["class_names"]), dict(versions))


def _prefixes(needs: list[Need]) -> dict[Need, str]:
    """A name for each accumulator, none twice."""
    names: dict[Need, str] = {}
    for need in needs:
        name = f"{need.extractor}/{need.feature}/{need.accumulator}"
        if name in names.values():
            options = "".join(f",{key}={value}" for key, value in need.options)
            name += f"[{need.preprocess}{options}]"
        names[need] = name
    return names


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(f"{prefix}/"): value for name, value in tensors.items() if name.rpartition("/")[0] == prefix
    }


def _checksum(tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> str:
    """Of names, types, shapes and bytes of all tensors, and of the header's texts."""
    digest = hashlib.sha256()
    for key in sorted(header):
        digest.update(f"{key}\0{header[key]}\0".encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name}\0{value.dtype}\0{tuple(value.shape)}\0".encode())
        if value.numel():
            digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
