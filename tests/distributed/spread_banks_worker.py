"""One of several processes that hold feature banks together; ``test_spread_banks.py`` starts it.

Usage: ``python spread_banks_worker.py RANK WORLD_SIZE FOLDER``. It writes what it found to FOLDER.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from genmetrics import distributed
from genmetrics.accumulators import rows as rows_module
from genmetrics.accumulators.base import Accumulator
from genmetrics.accumulators.build import build_accumulator
from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.labels import Labels
from genmetrics.accumulators.row_storage import LIMIT
from genmetrics.distributed import rows as exchange
from genmetrics.errors import StatisticsError
from genmetrics.metrics import METRICS
from genmetrics.metrics.base import Metric
from genmetrics.registry import load_target
from genmetrics.stats.stats import Stats
from genmetrics.types import SideRecord

WIDTH, NUM_GEN, NUM_REF = 6, 230, 190
#: Of every class of metrics that reads a bank one, and those of a class that ask something else.
NAMES = (
    "kid", "kid_full", "cmmd", "prc", "prdc", "clipped_dc", "realism", "authpct", "nearest", "mifid",
    "mifid_torchmetrics", "fid_influence", "intra_fid", "fdr", "fid_inf", "isc_inf", "mind", "mind_quantile",
    "sliced_wasserstein",
)  # fmt: skip
SPLITS = ("even", "one empty", "interleaved")


def features(seed: int, count: int) -> Tensor:
    """(count, 6) float32, with copies and ties among them."""
    values = np.random.default_rng(seed).standard_normal((count, WIDTH)) + 0.1 * seed + 1
    values[7] = values[3]
    values[60:72] = values[59]
    values[100:140] = values[100:140].round()
    return torch.from_numpy(values.astype(np.float32))


def share(count: int, split: str, rank: int, world_size: int) -> Tensor:
    """The indices that a process has."""
    everything = torch.arange(count)
    if split == "interleaved":
        return everything[rank::world_size].flip(0)
    if split == "one empty" and world_size > 1:
        bounds = [0, count // 5, count, count][: world_size + 1] if world_size == 3 else [0, 0, count]
    else:
        bounds = [count * number // world_size for number in range(world_size + 1)]
    return everything[bounds[rank] : bounds[rank + 1]]


def stats(metric: Metric, needs: tuple, rows: Tensor, own: Tensor) -> Stats:
    """What a metric needs of the rows of all processes, of which this one has some."""
    accumulators: dict[Any, Accumulator] = {}
    for number, need in enumerate(needs):
        made = build_accumulator(need, WIDTH, len(rows))
        for part in own.split(37):
            made.update(rows[part] + number, part)
        accumulators[need] = distributed.merge_over_ranks(made)
    labels = Labels()
    labels.update(own % 3, own)
    side = SideRecord("synthetic", "array", len(rows), "0" * 64)
    return Stats(accumulators, side, {}, 2020, distributed.merge_over_ranks(labels))


def computed(name: str, split: str, rank: int, world_size: int, spread_ref: bool = True) -> dict[str, Any]:
    """A metric's figures, or its error."""
    info = METRICS.get(name)
    metric = load_target(info.target)(info, 2020)
    if name.endswith("_inf"):
        metric.min_size = 60
    if name == "kid":
        metric.subset_size, metric.num_subsets = 50, 11
    gen, ref = features(1, NUM_GEN), features(2, NUM_REF)
    sides = [stats(metric, metric.needs, gen, share(NUM_GEN, split, rank, world_size)), None]
    if not metric.unary:
        if spread_ref:
            sides[1] = stats(metric, metric.ref_needs, ref, share(NUM_REF, split, rank, world_size))
        else:
            everything = torch.arange(NUM_REF)
            with mock.patch.object(distributed, "merge_over_ranks", lambda held: held):
                sides[1] = stats(metric, metric.ref_needs, ref, everything)
    result = metric.compute(sides[0], sides[1])
    if not metric.error_needs:
        result = metric.with_error(result, sides[0], sides[1])
    banks = [
        held
        for side in sides
        if side is not None
        for held in side.accumulators.values()
        if isinstance(held, FeatureBank)
    ]
    spread = [bank._spread for bank in banks if bank._spread is not None]
    return {
        "value": result.value,
        "extra": dict(result.extra),
        "replicates": {side: list(values) for side, values in result.replicates.items()},
        "per_class": result.per_class and {key: list(column) for key, column in result.per_class.items()},
        "per_image": result.per_image and {key: list(column) for key, column in result.per_image.items()},
        "spread": bool(spread),
        "most_held": [len(rows.held) for rows in spread],
    }


@dataclass
class Counter:
    """How many rows this process receives at once, and how many in all."""

    most: int = 0
    received: int = 0

    def counted(self, function: Any) -> Any:
        def from_owner(ranks: exchange.Ranks, values: Tensor, owner: int) -> Tensor:
            if owner != ranks.index and values.dtype == torch.float32 and values.shape[1:] == (WIDTH,):
                self.most = max(self.most, len(values))
                self.received += len(values)
            return function(ranks, values, owner)

        return from_owner


def refusals(rank: int, world_size: int) -> dict[str, str]:
    """What is said of an index that two processes have, and of the state of a bank that is spread."""
    found = {}
    bank = FeatureBank(WIDTH)
    bank.update(features(1, 100)[:50], torch.arange(50) + 49 * rank)
    try:
        distributed.merge_over_ranks(bank)
    except StatisticsError as error:
        found["twice"] = str(error)
    bank = FeatureBank(WIDTH)
    own = torch.arange(50) + 50 * rank
    bank.update(features(1, 200)[own], own)
    merged = distributed.merge_over_ranks(bank)
    if world_size > 1:
        try:
            merged.state()
        except StatisticsError as error:
            found["state"] = str(error)
        merged.collect(here=rank == 0)
        found["collected"] = str(rank != 0 or torch.equal(merged.state()["rows"], features(1, 200)[: 50 * world_size]))
    return found


def main(rank: int, world_size: int, folder: Path) -> None:
    """Everything, once."""
    if world_size > 1:
        store = dist.FileStore(str(folder / f"store-{world_size}"), world_size)
        dist.init_process_group("gloo", store=store, rank=rank, world_size=world_size, timeout=timedelta(seconds=60))
    # As a command does it: else every exchange is a run of its own.
    with distributed.shared_run("spread banks"):
        found = everything(rank, world_size)
    (folder / f"found-{rank}-of-{world_size}.json").write_text(json.dumps(found))
    if world_size > 1:
        dist.destroy_process_group()


def everything(rank: int, world_size: int) -> dict[str, Any]:
    """All results by name."""
    os.environ[LIMIT] = "0"
    counter = Counter()
    found: dict[str, Any] = {"results": {}}
    with mock.patch.object(exchange.Ranks, "from_owner", counter.counted(exchange.Ranks.from_owner)):
        for split in SPLITS if world_size > 1 else SPLITS[:1]:
            for name in NAMES:
                counter.most = 0
                result = computed(name, split, rank, world_size)
                found["results"][f"{name}, {split}"] = result | {"most_received": counter.most}
        for name in ("kid", "kid_full", "cmmd", "prdc", "nearest", "mifid_torchmetrics"):
            found["results"][f"{name}, reference everywhere"] = computed(name, "even", rank, world_size, False)
        # A panel's size is of no account.
        with mock.patch.object(rows_module, "PANEL_BYTES", 4 * WIDTH * 41):
            for name in NAMES[:12]:
                found["results"][f"{name}, small panels"] = computed(name, "even", rank, world_size)
    found["refusals"] = refusals(rank, world_size)
    os.environ[LIMIT] = "1G"
    found["in memory"] = {name: computed(name, "even", rank, world_size) for name in NAMES}
    return found


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
