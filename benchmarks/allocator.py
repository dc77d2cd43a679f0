"""What glibc's memory thresholds do to the time and the peak memory of a run.

With its defaults glibc gives every tensor of more than a few megabytes back to the system as soon as it is freed, and
the next one of the same size is made of fresh pages, which the kernel has to fill with zeros one by one. The command
line raises the thresholds for runs on torch (see ``genmetrics.cli.allocator``); this shows what each choice costs and
saves, by the environment variables that do the same as the calls of that module. ``adaptive`` is glibc as it is, which
moves its threshold up to 32 MiB.

About a minute a choice, round and backend for 100 images a side on two cores.

    python benchmarks/allocator.py [--count 100] [--rounds 2] [--mib 4 64 256 1024] [--backends torch openvino]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from harness import compared, processes_in_turn, save
from inputs import write_inception, write_pictures

SIDE = 256
# Runs genmetrics without the thresholds that the command line would set.
PLAIN = """
import sys
import genmetrics as gm
gen, ref, metrics, weights, backend = sys.argv[1:]
gm.evaluate(gen, ref, metrics, weights=weights, device="cpu", cache=False, backend=backend)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100, help="images a side")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--mib", type=int, nargs="+", default=[4, 64, 256, 1024], help="thresholds to try")
    parser.add_argument("--pad", type=int, default=64, help="MiB of M_TOP_PAD with each above 32 MiB")
    parser.add_argument("--backends", nargs="+", default=["torch", "openvino"])
    parser.add_argument("--metrics", default="fid,kid,isc")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = write_inception(folder / "inception.pth")
        gen = write_pictures(folder / "gen", arguments.count, SIDE, seed=1, blur=1.0)
        ref = write_pictures(folder / "ref", arguments.count, SIDE, seed=2)
        what = f"{arguments.metrics} of 2 x {arguments.count} PNG files of {SIDE} x {SIDE}"
        for backend in arguments.backends:
            run = [sys.executable, "-c", PLAIN, str(gen), str(ref), arguments.metrics, str(weights), backend]
            cases = {"adaptive": run}
            for mib in arguments.mib:
                variables = {"MALLOC_MMAP_THRESHOLD_": mib, "MALLOC_TRIM_THRESHOLD_": mib}
                variables |= {"MALLOC_TOP_PAD_": arguments.pad} if mib > 32 else {}
                settings = [f"{key}={value << 20}" for key, value in variables.items()]
                cases[f"{mib} MiB"] = ["env", *settings, *run]
            timings = processes_in_turn(cases, arguments.rounds)
            rows += [
                compared(f"{what} on {backend}: thresholds of {case}", timings, case, "adaptive")
                for case in cases
                if case != "adaptive"
            ]
    save("allocator", "glibc's memory thresholds: random Inception weights, whole processes", rows)


if __name__ == "__main__":
    main()
