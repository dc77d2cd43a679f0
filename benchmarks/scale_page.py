"""The tables of docs/scale.md, from what ``capacity.py`` measured in one thread and from what is assumed below.

No GPU has been measured: its rates are assumptions, which the page names.

    python benchmarks/scale_page.py [--check]
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "capacity.json"
PAGE = ROOT / "docs" / "scale.md"
MARKS = ("<!-- made by benchmarks/scale_page.py: {} -->", "<!-- end of {} -->")
COUNTS = (10**4, 10**6, 10**8, 10**9)
#: Images a second of Inception in TF32 on one data-centre GPU: assumed, not measured.
GPU_RATE = 8000.0
#: Bytes a second between two machines: 10 Gbit/s Ethernet.
BANDWIDTH = 1.25e9
CORES_PER_GPU = 16
#: Of a metric that compares all pairs: operations a pair and dimension, and float32 operations a second.
PAIR_OPERATIONS, GPU_FLOPS = 2.0, 30e12
WIDTH = 2048


@dataclass(frozen=True)
class Machine:
    """So many GPUs with their cores, or one core without any."""

    name: str
    cores: int
    gpus: int

    @property
    def ranks(self) -> int:
        """Processes: one a GPU, or one in all."""
        return max(1, self.gpus)


MACHINES = (
    Machine("1 core", 1, 0),
    Machine("1 GPU", CORES_PER_GPU, 1),
    Machine("8 GPUs", 8 * CORES_PER_GPU, 8),
    Machine("1,000 GPUs", 1000 * CORES_PER_GPU, 1000),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail if the page is not what the results give")
    arguments = parser.parse_args()
    result = json.loads(RESULT.read_text())
    text = PAGE.read_text()
    made = text
    tables = {"stages": stages(result), "passes": passes(result), "checks": checks(result), "pairs": pairs(result)}
    for name, table in tables.items():
        made = between(made, name, table)
    if arguments.check:
        if made != text:
            sys.exit("docs/scale.md is not what benchmarks/results give; run: python benchmarks/scale_page.py")
        return
    PAGE.write_text(made)


def between(text: str, name: str, table: str) -> str:
    begin, end = (mark.format(name) for mark in MARKS)
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        sys.exit(f"docs/scale.md has no lines {begin!r} and {end!r}")
    return f"{before}{begin}\n\n{table}\n{end}{after}"


def seconds(result: Mapping[str, Any], stage: str) -> float:
    """What a stage takes, of one image or as a whole."""
    row = next(row for row in result["rows"] if row["what"] == stage)
    return float(row.get("seconds_per_image", row.get("seconds")))


def stages(result: Mapping[str, Any]) -> str:
    lines = ["| Stage, in one thread | an image | images a second |", "|---|--:|--:|"]
    for row in result["rows"]:
        if "seconds_per_image" in row:
            each = row["seconds_per_image"]
            lines.append(f"| {row['what']} | {1e3 * each:.3g} ms | {rounded(1 / each)} |")
    lines += ["", "| Once a run, in one thread | seconds |", "|---|--:|"]
    lines += [f"| {row['what']} | {row['seconds']:.3g} |" for row in result["rows"] if "seconds" in row]
    return "\n".join(lines) + "\n"


def checks(result: Mapping[str, Any]) -> str:
    lines = ["| PNG files | foretold | measured | measured / foretold |", "|--:|--:|--:|--:|"]
    for row in result["rows"]:
        if "seconds_foretold" in row:
            times = f"{row['seconds_foretold']:.3g} s | {row['seconds_measured']:.3g} s"
            lines.append(f"| {row['images']} | {times} | {row['measured_over_foretold']:.2f} |")
    return "\n".join(lines) + "\n"


def passes(result: Mapping[str, Any]) -> str:
    """FID of so many JPEG files against saved statistics on each machine."""
    lines = [
        "| Images | On | Reading | Network | Pass | Merging | Sent in all | Result | Memory a rank |",
        "|--:|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    state = result["moments_bytes"]
    for count in COUNTS:
        for machine in MACHINES:
            read = count * seconds(result, "read JPEG") / machine.cores
            if machine.gpus:
                network = count / (GPU_RATE * machine.gpus)
                whole = max(read, network)  # side by side
            else:
                rest = ("resize", "network, exact", "moments")
                network = count * sum(seconds(result, stage) for stage in rest)
                whole = read + network
            depth = math.ceil(math.log2(machine.ranks))
            merging = depth * (2 * state / BANDWIDTH + seconds(result, "merge of two moments"))
            sent = 2 * (machine.ranks - 1) * state
            lines.append(
                f"| {count:,} | {machine.name} | {clock(read)} | {clock(network)} | {clock(whole)} | "
                f"{clock(merging) if depth else '–'} | {size(sent) if sent else '–'} | "
                f"{clock(seconds(result, 'Fréchet distance'))} | {size(3 * state)} |"
            )
    return "\n".join(lines) + "\n"


def pairs(result: Mapping[str, Any]) -> str:
    """What metrics that keep the features take."""
    lines = [
        "| Images a side | Bank a side | a rank of 8 | of 1,000 | All pairs on 1 core | on 8 GPUs | on 1,000 GPUs |",
        "|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for count in COUNTS:
        bank = count * result["bank_bytes_per_image"]
        # Within either set each pair once, and all between them.
        num_pairs = 2.0 * float(count) ** 2
        on_gpu = num_pairs * WIDTH * PAIR_OPERATIONS / GPU_FLOPS
        times = [num_pairs / result["pairs_per_second"], on_gpu / 8, on_gpu / 1000]
        cells = " | ".join(clock(value) for value in times)
        lines.append(f"| {count:,} | {size(bank)} | {size(bank / 8)} | {size(bank / 1000)} | {cells} |")
    return "\n".join(lines) + "\n"


def clock(value: float) -> str:
    """A time for people, to two digits."""
    if value < 0.095:
        return f"{1e3 * value:.2g} ms"
    for unit, length in (("s", 120.0), ("min", 60.0), ("h", 48.0), ("days", 730.0)):
        if value < length:
            return f"{value:.2g} {unit}" if value < 10 else f"{value:.0f} {unit}"
        value /= {"s": 60, "min": 60, "h": 24, "days": 365.25}[unit]
    return f"{rounded(value)} years"


def size(value: float) -> str:
    """Bytes for people, decimal units."""
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} PB"


def rounded(value: float) -> str:
    """Two digits, with separators."""
    digits = max(0, math.floor(math.log10(value)) - 1)
    return f"{round(value / 10**digits) * 10**digits:,}" if value >= 10 else f"{value:.2g}"


if __name__ == "__main__":
    main()
