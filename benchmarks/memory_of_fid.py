"""Peak memory of FID at different numbers of images: it should not depend on them.

Each measurement is a process of its own, which reads PNG files, runs the seeded random Inception and reports its
peak resident memory. The reference is the same 200 images each time.

    python benchmarks/memory_of_fid.py [--counts 200 2000] [--repeats 2]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from environment import environment

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "memory_of_fid.json"
SIDE = 64
NUM_REFERENCE = 200

# Runs in the measured process; prints peak memory in MiB before and after, the number, and the seconds.
MEASURED = """
import json, resource, sys, time
import genmetrics as gm
import genmetrics.engine.evaluate
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
imported, began = peak(), time.perf_counter()
report = gm.evaluate(sys.argv[1], sys.argv[2], ["fid"], weights=sys.argv[3], device="cpu", cache=False)
print(json.dumps({"imported": imported, "peak": peak(), "fid": report["fid"].value,
                  "seconds": time.perf_counter() - began}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[200, 2000])
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), arguments.counts, arguments.repeats)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    for row in result["rows"]:
        print(f"{row['images']:6d} images: peak {row['peak_mib_median']:.0f} MiB, {row['seconds_median']:.0f} s")
    print(f"written to {RESULT.relative_to(ROOT)}")


def measure(folder: Path, counts: list[int], repeats: int) -> dict[str, object]:
    reference = write_images(folder / "reference", NUM_REFERENCE, seed=0)
    sets = {count: write_images(folder / str(count), count, seed=1) for count in counts}
    weights = write_weights(folder / "random-inception.pth")
    runs: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
    for _ in range(repeats):
        for count in counts:
            command = [sys.executable, "-c", MEASURED, str(sets[count]), str(reference), str(weights)]
            ended = subprocess.run(command, check=True, capture_output=True, text=True)
            runs[count].append(json.loads(ended.stdout))
    rows = [
        {
            "images": count,
            "peak_mib_median": statistics.median(run["peak"] for run in runs[count]),
            "peak_mib": [round(run["peak"], 1) for run in runs[count]],
            "imported_mib_median": statistics.median(run["imported"] for run in runs[count]),
            "seconds_median": statistics.median(run["seconds"] for run in runs[count]),
        }
        for count in counts
    ]
    return {
        "what": f"peak resident memory of FID (random Inception, batch 32), {SIDE}x{SIDE} PNG files",
        "rows": rows,
        **environment(),
    }


def write_images(folder: Path, count: int, seed: int) -> Path:
    import numpy as np
    from PIL import Image

    folder.mkdir()
    rng = np.random.default_rng(seed)
    for number in range(count):
        coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(folder / f"{number:05d}.png")
    return folder


def write_weights(path: Path) -> Path:
    import torch

    sys.path.insert(0, str(ROOT / "tests"))
    from support.weights import random_inception_state_dict

    torch.save(random_inception_state_dict(), path)
    return path


if __name__ == "__main__":
    main()
