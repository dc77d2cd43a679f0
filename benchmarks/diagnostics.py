"""What diagnostics add to a run: time, part by part, and memory, at 50,000 images a side and 2,048 dimensions.

Features are seeded random rows, of which the statistics are made directly: no image is read, and no picture made. The
memory is that which is no file's (``RssAnon``), sampled every 5 ms, less what the process had with its statistics.
Each measurement has a process of its own.

    python benchmarks/diagnostics.py [--count 50000] [--width 2048] [--error-bars on off] [--rounds 1]
                                     [--metrics fid fid,prdc.inception-v3.tf2015]

With error bars the distances without one block of images are known already; ``off`` computes them for the curve. A
metric of nearest neighbours shares its pass over the distances. Takes about ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from harness import processes_in_turn, save
from large_bank import Anonymous

BATCH = 512
METRICS = ("fid", "fid,prdc.inception-v3.tf2015")
#: What takes time, by the function that does it and where it is called.
PARTS = {
    "curve": ("genmetrics.engine.diagnostics", "distance_curve"),
    "spectrum_gen": ("genmetrics.engine.diagnostics", "eigenvalues"),
    "spectrum_and_axes_ref": ("genmetrics.engine.diagnostics", "principal"),
    "influence": ("genmetrics.engine.diagnostics", "influence_function"),
    "neighbours": ("genmetrics.engine.galleries", "nearness"),
}


def worker(count: int, width: int, metrics: list[str], error_bars: str, diagnostics: bool) -> None:
    """Make the statistics of two sets and evaluate them; print what was seen."""
    import importlib

    import torch

    import genmetrics as gm
    from genmetrics.accumulators.build import build_accumulator
    from genmetrics.metrics import METRICS
    from genmetrics.stats.stats import Stats
    from genmetrics.types import ExtractorRecord, Need, SideRecord

    base = METRICS.get("fid")
    name = base.extractor
    moments = Need(base.extractor, base.preprocess, base.feature, "moments")
    bank = Need(base.extractor, base.preprocess, base.feature, "feature_bank")
    blocks = Need(base.extractor, base.preprocess, base.feature, "block_moments", (("blocks", 10),))

    def side(seed: int, needs: tuple[Need, ...]) -> Stats:
        held = {need: build_accumulator(need, width, count) for need in needs}
        generator = torch.Generator().manual_seed(seed)
        scale = torch.arange(1, width + 1) ** -0.5
        for start in range(0, count, BATCH):
            here = torch.arange(start, min(start + BATCH, count))
            rows = torch.randn((len(here), width), generator=generator) * scale + 0.01 * seed
            for accumulator in held.values():
                accumulator.update(rows, here)
        record = SideRecord("random", "array", count, f"{seed:064d}")
        return Stats(held, record, {name: ExtractorRecord("0" * 64, True, "exact")}, 0)

    gen, ref = side(1, (moments, bank, blocks)), side(2, (moments, bank))
    for stats in (gen, ref):
        stats.accumulators[bank].state()  # in the order of the indices, as after a pass
    took: dict[str, float] = {}

    def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            began = time.perf_counter()
            found = function(*arguments)
            took[part] = took.get(part, 0.0) + time.perf_counter() - began
            return found

        return run

    for part, (module, function) in PARTS.items():
        home = importlib.import_module(module)
        setattr(home, function, timed(part, getattr(home, function)))
    began = time.process_time()
    with Anonymous() as memory:
        report = gm.evaluate(gen, ref, metrics, device="cpu", error_bars=error_bars, diagnostics=diagnostics)
    print(json.dumps({
        "values": [report[name].value for name in report],
        "metrics": report.seconds["metrics"],
        "all": report.seconds["metrics"] + report.seconds.get("diagnostics", 0.0),
        "cpu": time.process_time() - began,
        "json_kib": len(report.to_json()) / 1024,
        "anonymous_mib": memory.most - memory.before,
        "parts": took,
    }))  # fmt: skip


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        count, width, metrics, error_bars, wanted = sys.argv[2:7]
        worker(int(count), int(width), metrics.split(","), error_bars, wanted == "with")
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--metrics", default=METRICS, nargs="+", help="of a run, with commas between")
    parser.add_argument("--error-bars", choices=["on", "off"], nargs="+", default=["on"])
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    size = [str(arguments.count), str(arguments.width)]
    for metrics, error_bars in itertools.product(arguments.metrics, arguments.error_bars):
        said: dict[str, list[dict[str, Any]]] = {"with": [], "without": []}
        for _ in range(arguments.rounds):
            for wanted, found in said.items():
                command = [sys.executable, __file__, "--worker", *size, metrics, error_bars, wanted]
                timing = processes_in_turn({wanted: command}, rounds=1)[wanted]
                found.append(json.loads(timing.output) | {"foreign_share": timing.foreign_share[0]})
        shown, alone = said["with"], said["without"]
        # Threads that add up in another order change the last bits, from one run to the next alone.
        for found in (*shown, *alone):
            if not np.allclose(found["values"], alone[0]["values"], rtol=1e-9, atol=0):
                sys.exit("a figure changed with the diagnostics")

        def middle(of: list[dict[str, Any]], key: str, digits: int = 1) -> float:
            return round(statistics.median(found[key] for found in of), digits)

        parts = {part: [found["parts"].get(part, 0.0) for found in shown] for part in PARTS}
        rows.append({
            "what": f"{metrics} of {arguments.count} x {arguments.width} a side, error bars {error_bars}",
            "metrics_seconds": middle(alone, "metrics"),
            "added_seconds": round(middle(shown, "all") - middle(alone, "all"), 1),
            "added_cpu_seconds": round(middle(shown, "cpu") - middle(alone, "cpu"), 1),
            **{f"{part}_seconds": round(statistics.median(times), 1) for part, times in parts.items()},
            "peak_mib_without": middle(alone, "anonymous_mib", 0),
            "peak_mib_with": middle(shown, "anonymous_mib", 0),
            "json_kib": middle(shown, "json_kib", 0),
            "same_figures": True,
            "foreign_share": middle(shown, "foreign_share", 2),
        })  # fmt: skip
    save("diagnostics", "what diagnostics add to a run; random features, no pictures", rows, rounds=arguments.rounds)


if __name__ == "__main__":
    main()
