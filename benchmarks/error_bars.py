"""What error bars and influences cost at 50,000 images a side and 2,048 dimensions, beside the distance alone.

Seeded random features (``drawn.py``) are fed to what a run keeps of them, in batches of 64 as a network gives them: for
the distance alone mean and covariance, with error bars the ten blocks' as well, for the influence of each image the
features themselves. Then the figures are computed of both sides. ``ours`` is the run with the more in it and ``peer``
the distance alone, so that a ratio of 0.5 means twice its time; images and network, which take most of a run, are in
neither.

    python benchmarks/error_bars.py [--rounds 1] [--count 50000] [--width 2048] [--device cpu|cuda]

Takes about a quarter of an hour on two cores.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from drawn import pooled_features
from genmetrics.accumulators.build import build_accumulator
from genmetrics.metrics import METRICS
from genmetrics.metrics.frechet import FrechetDistance
from genmetrics.metrics.influence import FrechetInfluence
from genmetrics.stats.stats import Stats
from genmetrics.types import Need, SideRecord
from harness import compared, in_turn, save

BATCH = 64
ALONE = "the distance alone"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    device, count, width = torch.device(arguments.device), arguments.count, arguments.width
    sides = [pooled_features(1, count, width, 0.1), pooled_features(2, count, width)]
    distance, influence = FrechetDistance(METRICS.get("fid"), 0), FrechetInfluence(METRICS.get("fid_influence"), 0)
    for metric in (distance, influence):
        metric.device = device
    moments, blocks = distance.needs, (*distance.needs, *distance.error_needs)

    def alone() -> float:
        gen, ref = (kept(side, moments, device) for side in sides)
        return distance.compute(gen, ref).value

    def with_error() -> float:
        gen, ref = (kept(side, blocks, device) for side in sides)
        return distance.with_error(distance.compute(gen, ref), gen, ref).value

    def with_influence() -> float:
        gen, ref = kept(sides[0], influence.needs, device), kept(sides[1], influence.ref_needs, device)
        return influence.compute(gen, ref).value

    cases = {
        ALONE: alone,
        "with error bars of both sides": with_error,
        "with the influence of each image": with_influence,
    }
    timings = in_turn(cases, arguments.rounds, warmup=0)
    size = f"{count} a side, {width} dimensions, {arguments.device}"
    rows = [
        compared(f"Fréchet distance {name}, {size}", timings, name, ALONE, figures=timings[name].output)
        for name in list(cases)[1:]
    ]
    save(
        "error_bars" if device.type == "cpu" else "error_bars_gpu", "accumulating features and computing figures", rows
    )


def kept(rows: Tensor, needs: Sequence[Need], device: torch.device) -> Stats:
    """The statistics of one side, fed batch by batch."""
    held = {need: build_accumulator(need, rows.shape[1], total=len(rows)) for need in needs}
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH].to(device)
        indices = torch.arange(start, start + len(batch))
        for accumulator in held.values():
            accumulator.update(batch, indices)
    return Stats(held, SideRecord("drawn", "array", len(rows), None), {}, 0)


if __name__ == "__main__":
    main()
