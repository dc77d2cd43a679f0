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


def figures(gen: Path, ref: Path | Stats, metrics: list[str]) -> dict[str, dict | str]:
    """The metrics' figures, or why there are none of the first."""
    sides = ("gen", "ref") if isinstance(ref, Path) else ("gen",)
    try:
        labels = dict.fromkeys(sides, "folders")
        report = gm.evaluate(gen, ref, metrics, labels=labels, error_bars="on", **OPTIONS)
    except StatisticsError as error:
        return {metrics[0]: str(error)}
    return {
        name: {
            "value": result.value,
            **result.extra,
            "per image": {column: list(values) for column, values in (result.per_image or {}).items()},
            "warnings": list(result.warnings),
        }
        for name, result in report.metrics.items()
    }


def all_figures(gen: Path, ref: Path, expected: dict[str, dict | str] | None) -> dict[str, dict | str]:
    """Of every metric; all that one process could compute at once, and of the others two."""
    if expected is None:
        found: dict[str, dict | str] = {}
        for name in names():
            found |= figures(gen, ref, [name])
        return found
    possible = [name for name, values in expected.items() if isinstance(values, dict)]
    refused = [name for name in expected if name not in possible]
    found = figures(gen, ref, possible)
    for name in refused[:2]:
        found |= figures(gen, ref, [name])
    return found


def exchanged(rank: int, count: int) -> dict[str, list]:
    """What each kind of exchange brings to this rank."""

    def work(link: distributed.Link) -> list:
        room = torch.full((3,), float(rank))
        return [
            link.broadcast(room, count - 1).tolist(),
            [part.tolist() for part in link.all_gather(torch.tensor([rank]))],
        ]

    return {
        "gathered": distributed.gather({"rank": rank}),
        "of the first": distributed.from_first_rank([rank, "first"]),
        "all": [
            distributed.over_all_ranks("test", work, lambda: [[0.0] * 3, [[0]]], meet=meet) for meet in (True, False)
        ],
    }


def main(folder: Path) -> None:
    """Measure everything and write it down."""
    warnings.simplefilter("ignore", GenmetricsWarning)
    joined = distributed.join_from_environment("gloo")
    shard = distributed.current_shard()
    found: dict[str, dict] = {"figures": {}, "of statistics": {}, "progress": {}, "side": {}}
    expected = None if shard.count == 1 else json.loads((folder / "found-0-of-1.json").read_text())
    found["exchanged"] = exchanged(shard.index, shard.count)
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
            found["figures"][size] = all_figures(
                gen, folder / "ref", expected["figures"][str(size)] if expected else None
            )
            found["of statistics"][size] = figures(gen, ref, [f"fd.{NET}"])
    (folder / f"found-{shard.index}-of-{shard.count}.json").write_text(json.dumps(found))
    torch.save(states, folder / f"states-{shard.index}-of-{shard.count}.pt")
    if joined:
        distributed.leave()


if __name__ == "__main__":
    os.environ.setdefault("WORLD_SIZE", "1")
    main(Path(sys.argv[1]))
