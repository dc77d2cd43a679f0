"""Feature banks that do not fit: memory and time of banks in files, and what a second process gains.

The memory is that which is no file's (``RssAnon``), sampled every 5 ms from the first row to the result, less what the
process had before. Features are seeded random rows of a shifted Gaussian; each measurement has processes of its own.

    python benchmarks/large_bank.py [--counts 50000 200000] [--width 512] [--limit 100M] [--pairs 12000] [--rounds 3]

Takes about five minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from harness import Timing, compared, processes_in_turn, save

BATCH = 256
OF_PAIRS = ("kid_full", "prc", "prdc")


class Anonymous:
    """The most memory without a file that this process has while it is watched, in MiB."""

    def __enter__(self) -> Anonymous:
        self.before = self.most = self._now()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.005):
            self.most = max(self.most, self._now())

    def _now(self) -> float:
        found = re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())
        return int(found[1]) / 1024 if found else 0.0


def worker(rank: int, size: int, count: int, width: int, names: list[str], store: str) -> None:
    """Feed this process's share of two sets, and compute metrics of them; the first process prints what was seen."""
    import torch
    import torch.distributed as dist

    from genmetrics import distributed
    from genmetrics.accumulators.feature_bank import FeatureBank
    from genmetrics.metrics import METRICS
    from genmetrics.registry import load_target
    from genmetrics.stats.stats import Stats
    from genmetrics.types import Shard, SideRecord

    if size > 1:
        files = dist.FileStore(store, size)
        dist.init_process_group("gloo", store=files, rank=rank, world_size=size, timeout=timedelta(minutes=10))
    metrics = [load_target(METRICS.get(name).target)(METRICS.get(name), 0) for name in names]

    def side(seed: int) -> Stats:
        bank = FeatureBank(width)
        for start in range(0, count, BATCH):
            own = range(start, min(start + BATCH, count))
            if own.start in Shard(rank, size).range(count):
                generator = torch.Generator().manual_seed(seed * 10**6 + start)
                rows = torch.randn((len(own), width), generator=generator) + 1 + 0.01 * seed
                bank.update(rows, torch.arange(own.start, own.stop))
        held = distributed.merge_over_ranks(bank)
        record = SideRecord("random", "array", count, "0" * 64)
        return Stats({need: held for metric in metrics for need in metric.needs}, record, {}, 0)

    # As a command does it: else every exchange between processes is a run of its own.
    with Anonymous() as memory, distributed.shared_run("large bank"):
        began = time.perf_counter()
        gen, ref = side(1), side(2)
        fed = time.perf_counter()
        groups = {metric.work or metric.id: [other for other in metrics if other.work == metric.work or other is metric]
                  for metric in metrics}  # fmt: skip
        results = [found for group in groups.values() for found in group[0].compute_together(group, gen, ref)]
        ended = time.perf_counter()
    if rank == 0:
        figures = {"feeding_seconds": fed - began, "seconds": ended - fed}
        print(json.dumps({**figures, "anonymous_mib": memory.most - memory.before,
                          "values": {found.id: found.value for found in results}}))  # fmt: skip
    if size > 1:
        dist.destroy_process_group()


def together(size: int, rest: list[str]) -> None:
    """Run as many workers and print what the first prints."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        command = [sys.executable, __file__, "--worker"]
        processes = []
        for rank in range(size):
            arguments = [*command, str(rank), str(size), *rest, f"{folder}/store"]
            processes.append(stack.enter_context(subprocess.Popen(arguments)))
            stack.callback(processes[-1].kill)
        for process in processes:
            if process.wait() != 0:
                sys.exit(1)


def measured(cases: dict[str, tuple[int, int, int, str, dict[str, str]]], rounds: int) -> tuple[dict, dict]:
    """Time each case in turn: processes, samples, width, metrics and settings."""
    timings: dict[str, Timing] = {name: Timing() for name in cases}
    said: dict[str, list[dict]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, (size, count, width, metrics, settings) in cases.items():
            command = [sys.executable, __file__, "--together", str(size), str(count), str(width), metrics]
            outer = processes_in_turn({name: command}, rounds=1, env={"GLOO_SOCKET_IFNAME": "lo", **settings})[name]
            said[name].append(json.loads(outer.output))
            timings[name].seconds.append(said[name][-1]["seconds"])
            timings[name].cpu_seconds += outer.cpu_seconds
            timings[name].foreign_share += outer.foreign_share
            timings[name].peak_mib += outer.peak_mib
    return timings, said


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        rank, size, count, width = map(int, sys.argv[2:6])
        worker(rank, size, count, width, sys.argv[6].split(","), sys.argv[7])
        return
    if sys.argv[1:2] == ["--together"]:
        together(int(sys.argv[2]), sys.argv[3:])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[50_000, 200_000])
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--limit", default="100M")
    parser.add_argument("--pairs", type=int, default=12_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    for count in arguments.counts:
        cases = {
            name: (1, count, arguments.width, "kid", {"GENMETRICS_BANK_MEMORY": limit})
            for name, limit in (("in files", arguments.limit), ("in memory", "1T"))
        }
        timings, said = measured(cases, 1)
        rows.append(compared(
            f"kid of {count} x {arguments.width} a side, fed and computed, limit {arguments.limit} a bank",
            timings, "in files", "in memory",
            bank_mib=count * arguments.width * 4 / 2**20,
            anonymous_mib={name: found[-1]["anonymous_mib"] for name, found in said.items()},
            feeding_seconds={name: found[-1]["feeding_seconds"] for name, found in said.items()},
            values={name: found[-1]["values"] for name, found in said.items()},
        ))  # fmt: skip
    one = {"OMP_NUM_THREADS": "1"}
    for metrics in ("kid_full", "prc,prdc"):
        cases = {
            "two processes": (2, arguments.pairs, arguments.width, metrics, {**one, "GENMETRICS_BANK_MEMORY": "0"}),
            "one process": (1, arguments.pairs, arguments.width, metrics, one),
        }
        timings, said = measured(cases, arguments.rounds)
        rows.append(compared(
            f"{metrics} of {arguments.pairs} x {arguments.width} a side, each process with one thread",
            timings, "two processes", "one process",
            values={name: found[-1]["values"] for name, found in said.items()},
        ))  # fmt: skip
    save("large_bank", "banks in files and spread over processes; random features", rows, cores=os.cpu_count())


if __name__ == "__main__":
    main()
