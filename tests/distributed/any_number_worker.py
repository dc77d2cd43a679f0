"""One of any number of processes that measure sets of several sizes; ``test_any_number.py`` starts it.

Usage: ``python any_number_worker.py FOLDER``, with the environment of a rank. It writes what it found to FOLDER.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path

import torch

import genmetrics as gm
from genmetrics import distributed
from genmetrics.errors import GenmetricsWarning, StatisticsError
from genmetrics.metrics import METRICS
from genmetrics.stats.stats import Stats, describe_need
from genmetrics.types import Progress

sys.path.append(str(Path(__file__).parents[1]))
from support.blocks import NET, registered_blocks

SIZES = (1, 4, 7, 101)
OPTIONS = {"device": "cpu", "batch_size": 8, "workers": 0, "cache": False}


def names() -> list[str]:
    """Every metric that can be had on another network than its own."""
    return [f"{info.generic}.{NET}" for info in METRICS.entries() if info.generic]


def figures(gen: Path, ref: Path | Stats, metric: str) -> dict | str:
    """A metric's figures, or why there are none."""
    try:
        sides = ("gen", "ref") if isinstance(ref, Path) else ("gen",)
        result = gm.evaluate(gen, ref, [metric], labels=dict.fromkeys(sides, "folders"), **OPTIONS)[metric]
    except StatisticsError as error:
        return str(error)
    per_image = {name: list(column) for name, column in (result.per_image or {}).items()}
    return {"value": result.value, **result.extra, "per image": per_image, "warnings": list(result.warnings)}


def main(folder: Path) -> None:
    """Measure everything and write it down."""
    warnings.simplefilter("ignore", GenmetricsWarning)
    joined = distributed.join_from_environment("gloo")
    shard = distributed.current_shard()
    found: dict[str, dict] = {"figures": {}, "progress": {}, "side": {}}
    states: dict[str, torch.Tensor] = {}
    with registered_blocks():
        ref = gm.compute_stats(folder / "ref", [f"fd.{NET}", f"kid.{NET}"], labels="folders", **OPTIONS)
        for size in SIZES:
            gen = folder / f"gen-{size}"
            records: list[Progress] = []
            with distributed.shared_run("a set") as run:
                stats = gm.compute_stats(gen, names(), labels="folders", progress=records.append, **OPTIONS)
                found["side"][size] = {"digest": stats.side.digest, "count": stats.num_samples}
                traffic = [0, 0] if run is None else [run.traffic.sent, run.traffic.received]
                found["side"][size]["traffic"] = distributed.gather(traffic)
            found["progress"][size] = [[record.done, record.total] for record in records if record.stage == "ref"]
            for need, held in stats.accumulators.items():
                for field, tensor in held.state().items():
                    states[f"{size}/{describe_need(need)}/{field}"] = tensor
            found["figures"][size] = {name: figures(gen, folder / "ref", name) for name in names()}
            found["figures"][size]["of statistics"] = figures(gen, ref, f"fd.{NET}")
    (folder / f"found-{shard.index}-of-{shard.count}.json").write_text(json.dumps(found))
    torch.save(states, folder / f"states-{shard.index}-of-{shard.count}.pt")
    if joined:
        distributed.leave()


if __name__ == "__main__":
    os.environ.setdefault("WORLD_SIZE", "1")
    main(Path(sys.argv[1]))
