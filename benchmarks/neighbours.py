"""Precision, recall, density and coverage: time beside other people's code, and memory at 50,000 images a side.

Each measurement is a process of its own on seeded random features; ours and the peers' run in turn, ``--repeats``
times. ``--full`` runs ours once on 50,000 against 50,000 as well, which takes minutes. The features of a set are the
rows of a Gaussian with a falling spectrum, clipped at zero, as those of a pooled layer.

    python benchmarks/neighbours.py [--count 10000] [--widths 2048] [--repeats 3] [--full] [--only-full]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from environment import environment

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "neighbours.json"

# Runs in the measured process. The features are made before the clock starts; peak memory is less what was resident
# with the features in it.
MEASURED = """
import contextlib, io, json, resource, sys, time
import numpy as np, torch
sys.path.insert(0, sys.argv[1])
what, count, width = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

def features(seed):
    rng = np.random.default_rng(seed)
    rows = np.empty((count, width), dtype=np.float32)
    spectrum = (np.arange(1, width + 1) ** -0.5).astype(np.float32)
    for start in range(0, count, 1000):
        block = rng.standard_normal((min(1000, count - start), width), dtype=np.float32)
        rows[start : start + 1000] = np.maximum(block * spectrum + 0.05, 0)
    return torch.from_numpy(rows)

if what == "ours":
    from genmetrics.accumulators.feature_bank import FeatureBank
    from genmetrics.metrics import METRICS
    from genmetrics.registry import load_target
    from genmetrics.stats.stats import Stats
    from genmetrics.types import SideRecord
    metrics = [load_target(METRICS.get(name).target)(METRICS.get(name), 0) for name in ("prc", "prdc")]
    assert metrics[0].work == metrics[1].work
    def stats(rows):
        bank = FeatureBank(width)
        bank.update(rows, torch.arange(count))
        return Stats({metrics[0].needs[0]: bank}, SideRecord("random", "array", count, "0" * 64), {}, 0)
    sides = [stats(features(seed)) for seed in (1, 2)]
    def run():
        found = metrics[0].compute_together(metrics, *sides)
        return {**found[1].extra, "precision_k3": found[0].extra["precision"], "recall_k3": found[0].extra["recall"]}
elif what == "torch-fidelity":
    from support.peers import import_peer
    peer = import_peer("torch_fidelity.metric_prc")
    sides = [features(seed) for seed in (1, 2)]
    def run():
        found = peer.prc_features_to_metric(*sides, verbose=False)
        return {"precision_k3": found["precision"], "recall_k3": found["recall"]}
else:
    from support.peers import import_peer
    peer = import_peer("prdc")
    sides = [features(seed).numpy() for seed in (1, 2)]
    def run():
        with contextlib.redirect_stdout(io.StringIO()):
            found = peer.compute_prdc(sides[1], sides[0], 5)
        return {name: float(value) for name, value in found.items()}

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20

before, began = resident(), time.perf_counter()
figures = run()
seconds = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": seconds, "banks_mib": 2 * count * width * 4 / 2**20, "resident_before_mib": before,
                  "peak_mib": peak, "peak_over_before_mib": peak - before, "figures": figures}))
"""
TOOLS = {
    "ours": "genmetrics: prc and prdc in one run",
    "torch-fidelity": "torch-fidelity 0.4.0: precision and recall, k = 3",
    "prdc": "prdc 0.2: precision, recall, density and coverage, k = 5",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--widths", type=int, nargs="+", default=[2048])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--full", action="store_true", help="ours at 50,000 x 2,048 as well")
    parser.add_argument("--only-full", action="store_true", help="nothing else, and keep the file's other figures")
    arguments = parser.parse_args()
    found: dict[str, object] = {}
    # What else the machine was doing belongs to the times.
    if not arguments.only_full:
        load = [os.getloadavg()[0]]
        rows = [row for width in arguments.widths for row in compare(arguments.count, width, arguments.repeats)]
        load.append(os.getloadavg()[0])
        found = {"what": "time of precision, recall, density and coverage; medians", "rows": rows, **environment()}
        found["load_average"] = load
    if arguments.full or arguments.only_full:
        load = [os.getloadavg()[0]]
        full = measure("ours", 50_000, 2048)
        load.append(os.getloadavg()[0])
        size = {"images_a_side": 50_000, "width": 2048}
        found["full"] = {"tool": TOOLS["ours"], **size, **full, **environment(), "load_average": load}
    result = {**(json.loads(RESULT.read_text()) if RESULT.exists() else {}), **found}
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    for row in result.get("rows", []):
        print(
            f"{row['width']:5d} {row['tool']:60s} {row['seconds_median']:7.1f} s, peak {row['peak_mib_median']:.0f} MiB"
        )
    if "full" in result:
        full = result["full"]
        print(f"50,000 a side: {full['seconds']:.0f} s, {full['peak_over_before_mib']:.0f} MiB over the banks")
    print(f"written to {RESULT.relative_to(ROOT)}")


def compare(count: int, width: int, repeats: int) -> list[dict[str, object]]:
    runs: dict[str, list[dict[str, float]]] = {tool: [] for tool in TOOLS}
    for _ in range(repeats):
        for tool in TOOLS:
            runs[tool].append(measure(tool, count, width))
    return [
        {
            "tool": TOOLS[tool],
            "images_a_side": count,
            "width": width,
            "seconds_median": statistics.median(run["seconds"] for run in found),
            "seconds": [round(run["seconds"], 2) for run in found],
            "peak_mib_median": statistics.median(run["peak_mib"] for run in found),
            "peak_over_before_mib_median": statistics.median(run["peak_over_before_mib"] for run in found),
            "figures": found[-1]["figures"],
        }
        for tool, found in runs.items()
    ]


def measure(tool: str, count: int, width: int) -> dict[str, float]:
    command = [sys.executable, "-c", MEASURED, str(ROOT / "tests"), tool, str(count), str(width)]
    ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
