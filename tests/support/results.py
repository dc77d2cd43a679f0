"""Results of ``genmetrics eval`` as dicts, made up; in the layout that ``Report.to_dict`` writes."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

__all__ = ["FID", "GEN_A", "GEN_B", "ISC", "KID", "REF", "result", "save", "with_blocks", "with_field"]

FID = "inception-v3.tf2015/2048/tf1-bilinear-299"
KID = f"{FID}/poly3-100x1000"
ISC = "inception-v3.tf2015/logits_unbiased/tf1-bilinear-299/splits10"
#: Replicates of two generated sets and of a reference.
GEN_A = [10.0, 10.2, 9.9, 10.1]
GEN_B = [9.0, 9.2, 9.1, 8.9]
REF = [10.0, 10.6, 9.4, 10.0]

_PROTOCOLS = {"fid": FID, "kid": KID, "isc": ISC}


def result(name: str, *, gen_kind: str = "folder", seed: int = 2020, **metrics: Any) -> dict[str, Any]:
    """A result with other images for each name and one reference for all.

    Args:
        name: of the model.
        gen_kind: the kind of its source.
        seed: of the run.
        metrics: a value by metric id, or a dict of ``value``, ``replicates``, ``protocol`` and what goes to ``extra``.
    """
    entries = {}
    for metric, given in metrics.items():
        fields = dict(given) if isinstance(given, dict) else {"value": given}
        entry = {
            "value": fields.pop("value"),
            "extra": {},
            "protocol": fields.pop("protocol", _PROTOCOLS.get(metric, FID)),
            "warnings": [],
        }
        if "replicates" in fields:
            entry["replicates"] = fields.pop("replicates")
        entries[metric] = {**entry, "extra": fields}
    return {
        "schema": 1,
        "genmetrics": "0.1.0",
        "metrics": entries,
        "gen": _side(f"samples/{name}", gen_kind, 1000, name),
        "ref": _side("real/", "folder", 5000, "the reference"),
        "extractors": {
            "inception-v3.tf2015": {
                "weights_sha256": "6726825d" * 8,
                "official": True,
                "precision": "exact",
                "preprocess": {"tf1-bilinear-299": {"size": [299, 299]}},
                "backend": "torch",
            }
        },
        "versions": {"python": "3.11.7", "torch": "2.13.0"},
        "device": "cpu",
        "num_processes": 1,
        "seed": seed,
        "seconds": {"total": 1.0},
        "notes": [],
        "reused": [],
    }


def with_blocks(
    gen: list[float], ref: list[float] | None = None, value: float | None = None, **extra: float
) -> dict[str, Any]:
    """A metric with replicates; its value is the mean of the generated side's unless it is given."""
    replicates = {"gen": gen} if ref is None else {"gen": gen, "ref": ref}
    return {"value": sum(gen) / len(gen) if value is None else value, "replicates": replicates, **extra}


def with_field(given: dict[str, Any], field: str, value: object) -> dict[str, Any]:
    """A copy with another value at ``a.b.c``; names with dots in them are written with ``/`` between all."""
    changed = copy.deepcopy(given)
    *path, last = field.split("/" if "/" in field else ".")
    at = changed
    for key in path:
        at = at[key]
    at[last] = value
    return changed


def save(path: Path, given: dict[str, Any]) -> Path:
    """Write a result as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(given), encoding="utf-8")
    return path


def _side(source: str, kind: str, count: int, content: str) -> dict[str, Any]:
    return {
        "source": source,
        "kind": kind,
        "num_samples": count,
        "digest": content.encode().hex().ljust(64, "0")[:64],
        "skipped": [],
        "notes": [],
        "selection": None,
        "stats_file": None,
    }
