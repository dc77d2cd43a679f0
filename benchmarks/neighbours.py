"""Precision, recall, density and coverage: time and memory beside other people's code, and at 50,000 images a side.

Each measurement is a process of its own on seeded random features; ours and the peers' run in turn, ``--rounds``
times, and the clock and the memory are those of the computation alone, without start-up and drawing. ``--full`` runs
ours once on 50,000 against 50,000 as well, which takes minutes. The features of a set are the rows of a Gaussian with a
falling spectrum, clipped at zero, as those of a pooled layer.

    python benchmarks/neighbours.py [--count 10000] [--width 2048] [--rounds 3] [--full] [--only-full]

Takes about four minutes on two cores, and five more with ``--full``.
"""

from __future__ import annotations

import argparse
import json
import sys

from drawn import product_share
from harness import RESULTS, ROOT, Timing, compared, processes_in_turn, save

# Runs in the measured process. The features are made before the clock starts; peak memory is less what was resident
# with the features in it.
MEASURED = """
import contextlib, io, json, resource, sys, time
import numpy as np, torch
sys.path.insert(0, sys.argv[1])
sys.path.insert(0, sys.argv[2])
what, count, width = sys.argv[3], int(sys.argv[4]), int(sys.argv[5])

def features(seed):
    rng = np.random.default_rng(seed)
    rows = np.empty((count, width), dtype=np.float32)
    spectrum = (np.arange(1, width + 1) ** -0.5).astype(np.float32)
    for start in range(0, count, 1000):
        block = rng.standard_normal((min(1000, count - start), width), dtype=np.float32)
        rows[start : start + 1000] = np.maximum(block * spectrum + 0.05, 0)
    return torch.from_numpy(rows)

if what in ("prc", "prc+prdc"):
    from genmetrics.accumulators.feature_bank import FeatureBank
    from genmetrics.metrics import METRICS
    from genmetrics.registry import load_target
    from genmetrics.stats.stats import Stats
    from genmetrics.types import SideRecord
    metrics = [load_target(METRICS.get(name).target)(METRICS.get(name), 0) for name in what.split("+")]
    assert len({metric.work for metric in metrics}) == 1
    def stats(rows):
        bank = FeatureBank(width)
        bank.update(rows, torch.arange(count))
        return Stats({metrics[0].needs[0]: bank}, SideRecord("random", "array", count, "0" * 64), {}, 0)
    sides = [stats(features(seed)) for seed in (1, 2)]
    def run():
        found = metrics[0].compute_together(metrics, *sides)
        figures = {"precision_k3": found[0].extra["precision"], "recall_k3": found[0].extra["recall"]}
        return {**figures, **(found[1].extra if len(found) > 1 else {})}
elif what == "torch-fidelity":
    from support.peers import import_peer
    peer = import_peer("torch_fidelity.metric_prc")
    sides = [features(seed) for seed in (1, 2)]
    def run():
        found = peer.prc_features_to_metric(*sides, verbose=False)
        return {"precision_k3": found["precision"], "recall_k3": found["recall"]}
elif what == "prdc":
    from support.peers import import_peer
    peer = import_peer("prdc")
    sides = [features(seed).numpy() for seed in (1, 2)]
    def run():
        with contextlib.redirect_stdout(io.StringIO()):
            found = peer.compute_prdc(sides[1], sides[0], 5)
        return {name: float(value) for name, value in found.items()}
else:
    from drawn import matrix_product
    run = matrix_product(torch.float32)
    run()

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20

before, began, worked = resident(), time.perf_counter(), time.process_time()
figures = run()
seconds, cpu = time.perf_counter() - began, time.process_time() - worked
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "banks_mib": 2 * count * width * 4 / 2**20,
                  "resident_before_mib": before, "peak_mib": peak, "peak_over_before_mib": peak - before,
                  "figures": figures}))
"""
PRC, BOTH, FIDELITY, PRDC, PRODUCT = "prc", "prc+prdc", "torch-fidelity", "prdc", "sgemm"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--full", action="store_true", help="ours at 50,000 x 2,048 as well")
    parser.add_argument("--only-full", action="store_true", help="nothing else, and keep the file's other figures")
    arguments = parser.parse_args()
    target = RESULTS / "neighbours.json"
    before = json.loads(target.read_text()) if target.exists() else {}
    if arguments.only_full:
        rows = before.get("rows", [])
    else:
        rows = beside_others(arguments.count, arguments.width, arguments.rounds)
    more = {"full": before["full"]} if "full" in before else {}
    if arguments.full or arguments.only_full:
        found = measured([BOTH], 50_000, 2048, 1)[1][BOTH][0]
        more = {
            "full": {"tool": "genmetrics: prc and prdc in one run", "images_a_side": 50_000, "width": 2048, **found}
        }
        print(f"50,000 a side: {found['seconds']:.0f} s, {found['peak_over_before_mib']:.0f} MiB over the banks")
    save("neighbours", "time of precision, recall, density and coverage; medians of rounds in turn", rows, **more)


def beside_others(count: int, width: int, rounds: int) -> list[dict[str, object]]:
    timings, found = measured([PRC, FIDELITY, BOTH, PRDC, PRODUCT], count, width, rounds)
    # Halves within either set, and all pairs between them.
    operations = 2.0 * width * 2 * count**2
    rows = []
    for ours, peer, what in (
        (PRC, FIDELITY, "precision and recall, k = 3"),
        (BOTH, PRDC, "precision, recall, density and coverage, k = 5, with precision and recall at k = 3"),
    ):
        over = {name: [run["peak_over_before_mib"] for run in found[name]] for name in (ours, peer)}
        rows.append(
            compared(
                f"{what}, {count} images a side, {width} dimensions",
                timings,
                ours,
                peer,
                peak_over_before_mib={name: max(values) for name, values in over.items()},
                peak_over_before_ratio=max(over[ours]) / max(over[peer]),
                **({"targets": {"ratio": ">= 1.5", "peak_over_before_ratio": "<= 0.334"}} if ours == PRC else {}),
                figures={name: found[name][-1]["figures"] for name in (ours, peer)},
                **product_share(timings[PRODUCT], timings[ours], operations, "of pairs, each once, float32"),
            )
        )
    return rows


def measured(
    cases: list[str], count: int, width: int, rounds: int
) -> tuple[dict[str, Timing], dict[str, list[dict[str, float]]]]:
    """Each in a process of its own, in turn: what was timed inside, and all that the processes said."""
    paths = [str(ROOT / "tests"), str(ROOT / "benchmarks")]
    commands = {name: [sys.executable, "-c", MEASURED, *paths, name, str(count), str(width)] for name in cases}
    timings: dict[str, Timing] = {name: Timing() for name in cases}
    said: dict[str, list[dict[str, float]]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, outer in processes_in_turn(commands, rounds=1).items():
            found = json.loads(outer.output)
            said[name].append(found)
            timings[name].seconds.append(found["seconds"])
            timings[name].cpu_seconds.append(found["cpu_seconds"])
            timings[name].foreign_share += outer.foreign_share
            timings[name].peak_mib += outer.peak_mib
    return timings, said


if __name__ == "__main__":
    main()
