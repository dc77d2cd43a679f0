"""The table of docs/error-bars.md: error bars and correction of the Fréchet distance in many repeats of one experiment.

A generated set of N samples is drawn again and again from a known distribution and compared with a reference that is
exact, so that the true distance is known. Of every repeat the distance, its correction and interval are kept, and
beside them the extrapolation to infinitely many samples (15 subsets from a tenth of N to all). The distributions:
features with a power-law spectrum and heavy tails (their length is random, so that the covariance's error is not the
Gaussian's), and features of the packaged network over crops of photographs, drawn with replacement from a pool that is
then the truth.

    python tools/error_bars_page.py --run [--repeats 200] [--only NAME]     (hours for all of it)
    python tools/error_bars_page.py [--check]                               writes the page's table from the results
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genmetrics.accumulators.block_moments import BlockMoments
from genmetrics.accumulators.moments import Moments
from genmetrics.metrics import METRICS
from genmetrics.metrics.frechet import FrechetDistance, frechet_distance
from genmetrics.metrics.infinity import extrapolate, random_subsets
from genmetrics.stats.stats import Stats
from genmetrics.types import SideRecord

ROOT = Path(__file__).resolve().parent.parent
RESULTS, PAGE = ROOT / "docs" / "error-bars.json", ROOT / "docs" / "error-bars.md"
BEGIN, END = "<!-- made by tools/error_bars_page.py -->", "<!-- end of what it made -->"
POINTS = 15
#: Crops in the pool of either side.
POOL = 6000
Draw = Callable[[np.random.RandomState, int], Tensor]


@dataclass(frozen=True)
class Case:
    """An experiment: where samples come from, and how many are drawn."""

    name: str
    width: int
    count: int
    make: Callable[[int], tuple[Draw, Moments, float]]


def power_law(width: int, sigma: float) -> tuple[Draw, Moments, float]:
    """Features whose spectrum falls as 1/k, shifted and stretched against the reference.

    The length of a row is log-normal, so that each feature has the kurtosis 3 exp(4σ²): 3 for a Gaussian.
    """
    spread = torch.arange(1, width + 1, dtype=torch.float64) ** -0.5
    shift = 0.3 * spread * (-1.0) ** torch.arange(width)
    stretch = 1 + 0.2 * torch.cos(torch.arange(width, dtype=torch.float64))

    def draw(rng: np.random.RandomState, count: int) -> Tensor:
        rows = torch.from_numpy(rng.standard_normal((count, width)))
        # Of mean square 1.
        length = torch.from_numpy(np.exp(sigma * rng.standard_normal((count, 1)) - sigma**2))
        return rows * length * spread * stretch + shift

    ref = Moments.from_covariance(torch.zeros(width, dtype=torch.float64), torch.diag(spread**2), None)
    gen = Moments.from_covariance(shift, torch.diag((spread * stretch) ** 2), None)
    return draw, ref, frechet_distance(gen, ref)


def photographs(width: int) -> tuple[Draw, Moments, float]:
    """EfficientNet-Lite0's features of crops, its first ones alone where fewer are asked for."""
    gen, ref = (rows[:, :width].double() for rows in _pools())
    moments = [Moments(width), Moments(width)]
    for held, rows in zip(moments, (gen, ref), strict=True):
        held.update(rows, torch.arange(len(rows)))

    def draw(rng: np.random.RandomState, count: int) -> Tensor:
        return gen[torch.from_numpy(rng.randint(0, len(gen), count))]

    # Drawn with replacement the pool is the population: its covariance is that with ddof 0.
    scale = (len(gen) - 1) / len(gen)
    true = Moments.from_covariance(moments[0].mean(), moments[0].covariance() * scale, None)
    return draw, moments[1], frechet_distance(true, moments[1])


def _pools() -> tuple[Tensor, Tensor]:
    """Features of crops of photographs, a little blurred, and of as many others as they are."""
    cached = ROOT / ".error-bars-pools.pt"
    if cached.is_file():
        found = torch.load(cached)
        return found["gen"], found["ref"]
    from PIL import Image, ImageFilter
    from skimage import data

    import genmetrics as gm

    names = ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "immunohistochemistry", "retina")
    whole = [getattr(data, name)()[..., :3] for name in names]
    rng = np.random.RandomState(5)
    sides = []
    for blur in (0.8, 0.0):
        crops = np.empty((POOL, 96, 96, 3), dtype=np.uint8)
        for crop in crops:
            picture = whole[rng.randint(len(whole))]
            side = int(rng.randint(96, min(picture.shape[:2]) + 1))
            top, left = (int(rng.randint(0, length - side + 1)) for length in picture.shape[:2])
            image = Image.fromarray(picture[top : top + side, left : left + side]).resize((96, 96), Image.BICUBIC)
            crop[:] = np.asarray(image.filter(ImageFilter.GaussianBlur(blur)) if blur else image)
        stats = gm.compute_stats(crops, ["kid.efficientnet-lite0.in1k"])
        (bank,) = stats.accumulators.values()
        sides.append(bank.rows())
    torch.save({"gen": sides[0], "ref": sides[1]}, cached)
    return sides[0], sides[1]


def _power_law(width: int, sigma: float, ratios: tuple[int, ...]) -> list[Case]:
    name = f"power law, kurtosis {3 * math.exp(4 * sigma**2):.1f}, {width} dimensions"
    return [Case(name, width, ratio * width, lambda width: power_law(width, sigma)) for ratio in ratios]


CASES = [
    *_power_law(64, 0.3, (5, 10, 25)),
    *_power_law(256, 0.3, (5, 10, 25)),
    *_power_law(512, 0.3, (5,)),
    *_power_law(2048, 0.3, (5,)),
    *_power_law(64, 0.6, (5, 10, 25)),
    *(
        Case(f"photographs, {width} features", width, ratio * width, photographs)
        for width in (64, 256)
        for ratio in (5, 10)
    ),
]


def run(case: Case, repeats: int) -> dict[str, float | int | str]:
    """All repeats of one experiment."""
    draw, ref_moments, true = case.make(case.width)
    metric = FrechetDistance(METRICS.get("fid"), 0)
    (blocks,) = metric.error_needs
    side = SideRecord("", "array", None, None)
    ref = Stats({metric.needs[0]: ref_moments}, side, {}, 0)
    raw, debiased, se, inside, extrapolated = [], [], [], [], []
    for seed in range(repeats):
        rows = draw(np.random.RandomState(seed), case.count)
        moments, of_blocks = Moments(case.width), BlockMoments(case.width)
        moments.update(rows, torch.arange(len(rows)))
        of_blocks.update(rows, torch.arange(len(rows)))
        gen = Stats({metric.needs[0]: moments, blocks: of_blocks}, side, {}, 0)
        result = metric.with_error(metric.compute(gen, ref), gen, ref)
        raw.append(result.value)
        debiased.append(result.extra["debiased"])
        se.append(result.extra["se"])
        inside.append(result.extra["ci95_low"] <= true <= result.extra["ci95_high"])
        sizes = [int(size) for size in np.linspace(case.count // 10, case.count, POINTS)]
        values = []
        for chosen in random_subsets(case.count, sizes, seed):
            part = Moments(case.width)
            part.update(rows[chosen], chosen)
            values.append(frechet_distance(part, ref_moments))
        extrapolated.append(extrapolate(sizes, values)[0])
    return {
        "case": case.name,
        "images_per_dimension": case.count // case.width,
        "repeats": repeats,
        "true": true,
        "raw_bias": float(np.mean(raw) - true),
        "debiased_bias": float(np.mean(debiased) - true),
        "bias_error": float(np.std(debiased, ddof=1) / math.sqrt(repeats)),
        "infinity_bias": float(np.mean(extrapolated) - true),
        "raw_sd": float(np.std(raw, ddof=1)),
        "debiased_sd": float(np.std(debiased, ddof=1)),
        "infinity_sd": float(np.std(extrapolated, ddof=1)),
        "mean_se": float(np.mean(se)),
        "coverage": float(np.mean(inside)),
    }


def table(rows: list[dict[str, float]]) -> str:
    """The results as the page has them."""
    lines = [
        "| features | N/D | repeats | true | bias: raw, debiased (± its error), FID∞ | left of the bias "
        "| spread: raw, debiased, FID∞ | mean `se` | inside the interval |",
        "|---|---:|---:|---:|---|---:|---|---:|---:|",
    ]
    for row in rows:
        left = abs(row["debiased_bias"]) / row["raw_bias"]
        lines.append(
            f"| {row['case']} | {row['images_per_dimension']} | {row['repeats']} | {row['true']:.4g} | "
            f"{row['raw_bias']:+.3g}, {row['debiased_bias']:+.2g} (± {row['bias_error']:.1g}), "
            f"{row['infinity_bias']:+.2g} | {left:.1%} | {row['raw_sd']:.3g}, {row['debiased_sd']:.3g}, "
            f"{row['infinity_sd']:.3g} | {row['mean_se']:.3g} | {row['coverage']:.1%} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run experiments, or write the page from their results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", action="store_true", help="run the experiments and keep their results")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--only", help="the experiments whose name has this in it")
    parser.add_argument("--check", action="store_true", help="fail if the page is not what the results give")
    arguments = parser.parse_args()
    results: dict[str, dict[str, float]] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    if arguments.run:
        for case in CASES:
            if arguments.only is None or arguments.only in case.name:
                key = f"{case.name}, {case.count // case.width}"
                results[key] = run(case, arguments.repeats)
                sys.stdout.write(json.dumps(results[key]) + "\n")
                RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    text = PAGE.read_text()
    start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    order = [f"{case.name}, {case.count // case.width}" for case in CASES]
    made = f"\n\n{table([results[key] for key in order if key in results])}\n\n"
    if arguments.check:
        if text[start:end] != made:
            sys.exit(f"{PAGE.name} is not what {RESULTS.name} gives; run: python tools/error_bars_page.py")
        return
    PAGE.write_text(text[:start] + made + text[end:])


if __name__ == "__main__":
    main()
