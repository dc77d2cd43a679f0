"""Peak memory while an npz of images streams: it should depend neither on their number nor on the file's size.

Each measurement is a process of its own, which reads `arr_0` of an npz of random images, stored or compressed, and
computes the statistics of `fid` on a network that costs nothing (mean colours of 4 x 4 fields), so that what is seen
is the reading, the resize and the moments. The embedded network at the smallest number of images is there as a check
that a real one adds its own memory and no more.

    python benchmarks/streaming_npz.py [--counts 1000 10000 100000] [--repeats 2]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from environment import environment

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "streaming_npz.json"
SIDE = 64
BLOCK = 1000

# Runs in the measured process; prints peak memory in MiB after the imports and at the end, and the seconds.
MEASURED = """
import json, resource, sys, time
import torch
import genmetrics as gm
import genmetrics.engine.evaluate
from pathlib import Path
from genmetrics.extractors.base import Extractor
from genmetrics.extractors.weights import WeightsFile
from genmetrics.types import ExtractorInfo

class Fields(Extractor):
    def __init__(self, weights):
        super().__init__(weights)
        self.info, self.weights, self.network = INFO, WeightsFile(Path("none"), "0" * 64, True), torch.nn.Identity()
    def forward(self, inputs, wanted):
        return {"48": torch.nn.functional.adaptive_avg_pool2d(inputs, 4).flatten(1)}

INFO = ExtractorInfo("fields.v1", "__main__:Fields", "mean colours", {"48": 48}, "crop875-bicubic-224", "48")
gm.register_extractor(INFO)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
imported, began = peak(), time.perf_counter()
stats = gm.compute_stats(sys.argv[1], ["fid"], extractor=sys.argv[2], device="cpu", cache=False)
print(json.dumps({"imported": imported, "peak": peak(), "images": stats.num_samples,
                  "seconds": time.perf_counter() - began}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10000, 100000])
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for count in arguments.counts:
            for compressed in (False, True):
                path = write_npz(Path(folder) / "images.npz", count, compressed)
                networks = ["fields.v1"] + ["efficientnet-lite0.in1k"] * (count == min(arguments.counts))
                for network in networks:
                    row = measure(path, count, compressed, network, arguments.repeats)
                    print(
                        f"{count:7d} images, {row['file_mb']:7.1f} MB {'compressed' if compressed else 'stored':10s} "
                        f"{network}: peak {row['peak_mib_median']:.0f} MiB, {row['seconds_median']:.0f} s"
                    )
                    rows.append(row)
                path.unlink()
    result = {
        "what": f"peak resident memory of compute_stats(metrics=['fid']) on an npz of {SIDE}x{SIDE} uint8 images",
        "rows": rows,
        **environment(),
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(f"written to {RESULT.relative_to(ROOT)}")


def measure(path: Path, count: int, compressed: bool, network: str, repeats: int) -> dict[str, object]:
    runs = []
    for _ in range(repeats):
        command = [sys.executable, "-c", MEASURED, str(path), network]
        runs.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        assert runs[-1]["images"] == count
    return {
        "images": count,
        "compressed": compressed,
        "network": network,
        "file_mb": round(path.stat().st_size / 1e6, 1),
        "peak_mib_median": statistics.median(run["peak"] for run in runs),
        "peak_mib": [round(run["peak"], 1) for run in runs],
        "imported_mib_median": statistics.median(run["imported"] for run in runs),
        "seconds_median": statistics.median(run["seconds"] for run in runs),
    }


def write_npz(path: Path, count: int, compressed: bool) -> Path:
    """`arr_0` block by block, so that this process stays small as well."""
    rng = np.random.default_rng(0)
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with (
        zipfile.ZipFile(path, "w", method, compresslevel=1) as archive,
        archive.open("arr_0.npy", "w", force_zip64=True) as member,
    ):
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, SIDE, SIDE, 3)}
        np.lib.format.write_array_header_1_0(member, header)
        for start in range(0, count, BLOCK):
            block = min(BLOCK, count - start)
            coarse = rng.integers(0, 256, (block, 8, 8, 3), dtype=np.uint8)
            member.write(coarse.repeat(SIDE // 8, axis=1).repeat(SIDE // 8, axis=2).tobytes())
    return path


if __name__ == "__main__":
    main()
