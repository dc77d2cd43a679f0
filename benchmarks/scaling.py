"""Weak scaling: one process over N images beside two processes (torchrun, gloo) over 2 N, with one thread each.

A process gets one thread for the network and decodes in it (``--workers 0``), so that a processor's second core does
not help one process and starve two. What scales is the pass over the images, whose time stands in the report; the
whole command is given beside it, with torchrun's own start and two interpreters' imports in it. Efficiency is the time
of one process divided by that of two, 1 at best. Seeded random Inception weights in the published layout,
photograph-like PNG files (see ``inputs.py``). Before every round the machine's own limit is measured the same way:
one and two processes that do nothing but multiply matrices in one thread each, which share no work and still slow
each other where cores share power, caches or a host.

Run it on a machine that does nothing else; with 300 images a process a round takes about two minutes on two cores.

    python benchmarks/scaling.py [--count 300] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from harness import Timing, processes_in_turn, save
from inputs import write_inception, write_pictures

SIDE = 256
PROCESSES = 2
#: One thread each, and no reports of the launcher on standard error.
ENV = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "GLOO_SOCKET_IFNAME": "lo"}
_PRODUCTS = """
import time, torch
torch.set_num_threads(1)
a, b = (torch.randn(2048, 2048) for _ in range(2))
torch.mm(a, b)
began = time.perf_counter()
for _ in range(40):
    torch.mm(a, b)
print(time.perf_counter() - began)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=300, help="images a process")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        rows = measure(Path(name), arguments.count, arguments.rounds)
    save(
        "scaling",
        f"weak scaling: {arguments.count} PNG files of {SIDE} x {SIDE} pixels a process, FID and KID of a folder and "
        "saved statistics, random Inception weights, one thread a process, nothing cached",
        rows,
    )


def measure(folder: Path, count: int, rounds: int) -> list[dict[str, object]]:
    weights = write_inception(folder / "inception.pth")
    pictures = write_pictures(folder / "all", PROCESSES * count, SIDE, seed=1)
    few = folder / "few"
    few.mkdir()
    for file in sorted(pictures.iterdir())[:count]:
        (few / file.name).symlink_to(file)
    common = ["--weights", str(weights), "--device", "cpu", "--no-cache", "--quiet", "--workers", "0"]
    module = ["-m", "genmetrics"]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(PROCESSES)]
    reference = folder / "reference.safetensors"
    processes_in_turn(
        {"reference": [sys.executable, *module, "stats", "build", str(few), "-o", str(reference), *common]}, 1, env=ENV
    )
    ask = ["--ref", str(reference), "-m", "fid,kid_full", *common, "--json"]
    one, two = "one process", f"{PROCESSES} processes"
    cases = {
        one: [sys.executable, *module, "eval", str(few), *ask, str(folder / "one.json")],
        two: [*launcher, *module, "eval", str(pictures), *ask, str(folder / "two.json")],
    }
    passes: dict[str, list[float]] = {one: [], two: []}
    limits: list[float] = []
    timings = None
    for _ in range(rounds):
        limits.append(product_seconds(1) / product_seconds(PROCESSES))
        found = processes_in_turn(cases, 1, env=ENV)
        for case, file in ((one, "one.json"), (two, "two.json")):
            passes[case].append(json.loads((folder / file).read_text())["seconds"]["gen"])
        timings = found if timings is None else {case: joined(timings[case], found[case]) for case in cases}
    assert timings is not None
    efficiencies = [alone / shared for alone, shared in zip(passes[one], passes[two], strict=True)]
    whole = [alone / shared for alone, shared in zip(timings[one].seconds, timings[two].seconds, strict=True)]
    return [
        {
            "what": f"reading {count} images a process: efficiency of {PROCESSES} processes",
            "efficiency": round(statistics.median(efficiencies), 4),
            "efficiency_rounds": [round(value, 4) for value in efficiencies],
            "efficiency_of_matrix_products": round(statistics.median(limits), 4),
            "efficiency_of_matrix_products_rounds": [round(value, 4) for value in limits],
            "seconds": {case: [round(value, 2) for value in values] for case, values in passes.items()},
            "images_per_second": {
                one: round(count / statistics.median(passes[one]), 2),
                two: round(PROCESSES * count / statistics.median(passes[two]), 2),
            },
            "foreign_share": {case: [round(value, 2) for value in timings[case].foreign_share] for case in cases},
            "targets": {"efficiency": ">= 0.95"},
        },
        {
            "what": f"whole command, {count} images a process: efficiency of {PROCESSES} processes",
            "efficiency": round(statistics.median(whole), 4),
            "efficiency_rounds": [round(value, 4) for value in whole],
            "timings": {case: timings[case].as_dict() for case in cases},
        },
    ]


def product_seconds(processes: int) -> float:
    """How long the slowest of several processes takes over the same matrix products, each in one thread."""
    command: Sequence[str] = (sys.executable, "-c", _PRODUCTS)
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    return max(float(process.communicate()[0]) for process in running)


def joined(one: Timing, other: Timing) -> Timing:
    """The rounds of both."""
    for field in ("seconds", "cpu_seconds", "foreign_share", "peak_mib"):
        getattr(one, field).extend(getattr(other, field))
    return one


if __name__ == "__main__":
    main()
