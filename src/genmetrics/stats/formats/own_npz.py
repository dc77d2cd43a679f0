"""Our metadata in a file of another tool: a JSON text beside the arrays that the tool reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from genmetrics.accumulators.base import Accumulator
from genmetrics.stats.formats.checks import FileChecks
from genmetrics.stats.io import fingerprint_dict, from_fingerprint
from genmetrics.stats.stats import Stats
from genmetrics.types import Need

__all__ = ["METADATA", "metadata_of", "stats_of_own_npz"]

#: The array's name.
METADATA = "genmetrics"
_SCHEMA = 1
_WITHOUT = (
    "To read its mean and covariance without the record, save them alone: `numpy.savez(path, mu=mu, sigma=sigma)`"
)


def metadata_of(stats: Stats, need: Need, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """The record of one accumulator as an array of one text, with a checksum of it and the arrays beside it."""
    record = fingerprint_dict(stats)
    record["extractors"] = {name: entry for name, entry in record["extractors"].items() if name == need.extractor}
    header = {"schema": _SCHEMA, "need": asdict(need), "fingerprint": record, "versions": dict(stats.versions)}
    # As it will be read: JSON knows no tuples.
    header = json.loads(json.dumps(header))
    return np.array(json.dumps({**header, "sha256": _checksum(header, arrays)}, ensure_ascii=False, sort_keys=True))


def stats_of_own_npz(path: Path, arrays: Mapping[str, np.ndarray], checks: FileChecks) -> Stats:
    """The statistics of a file in which ``metadata_of`` stands beside the arrays, such as ``write_npz`` writes.

    Raises:
        StatisticsError: if it was altered, is of a newer version, or its metadata is not ours.
    """
    values = {name: array for name, array in arrays.items() if name != METADATA}
    try:
        header: dict[str, Any] = json.loads(str(arrays[METADATA][()]))
        schema, stored = int(header["schema"]), header.pop("sha256")
        if schema <= _SCHEMA:
            need = Need(
                **{**header["need"], "options": tuple((key, value) for key, value in header["need"]["options"])}
            )
            stats = from_fingerprint(header["fingerprint"], {}, None, header["versions"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        checks.fail(f"{METADATA!r} is no record of ours ({type(error).__name__}: {error}); {_WITHOUT}")
    if schema > _SCHEMA:
        checks.fail(
            f"it has layout {schema}, and this version of genmetrics reads up to {_SCHEMA}; install a newer one"
        )
    if stored != _checksum(header, values):
        checks.fail(f"it was altered after it was written (its checksum does not fit); copy it again. {_WITHOUT}")
    held: Accumulator
    if need.accumulator == "feature_bank":
        held = checks.features(values.get("feats"), "feats", indices=values.get("indices"))
    else:
        held = checks.moments(values.get("mu"), values.get("sigma"), stats.num_samples)
    return replace(stats, accumulators={need: held}, side=replace(stats.side, stats_file=str(path)))


def _checksum(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
