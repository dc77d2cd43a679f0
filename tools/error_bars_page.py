"""The table of docs/error-bars.md: error bars and correction of the Fréchet distance in many repeats of one experiment.

A generated set of N samples is drawn again and again from a known distribution and compared with a reference that is
exact, so that the true distance is known. Of every repeat the distance, its correction and interval are kept, and
beside them the extrapolation to infinitely many samples (15 subsets from a tenth of N to all). The distributions:
features with a power-law spectrum and heavy tails (their length is random, so that the covariance's error is not the
Gaussian's), and features of the packaged network over crops of photographs, drawn with replacement from a pool that is
then the truth.

    python tools/error_bars_page.py --run [--repeats 200] [--extrapolated 200] [--only NAME]    (hours for all of it)
    python tools/error_bars_page.py [--check]                               writes the page's table from the results
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import partial, reduce
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genmetrics.accumulators.block_moments import BlockMoments
from genmetrics.accumulators.moments import Moments
from genmetrics.files import write_text
from genmetrics.metrics.frechet import MOST_TAIL_WEIGHT, frechet_distance
from genmetrics.metrics.infinity import extrapolate, random_subsets
from genmetrics.metrics.jackknife import jackknife

ROOT = Path(__file__).resolve().parent.parent
RESULTS, PAGE = ROOT / "docs" / "error-bars.json", ROOT / "docs" / "error-bars.md"
BEGIN, END = "<!-- made by tools/error_bars_page.py -->", "<!-- end of what it made -->"
POINTS = 15
#: Crops in the pool of either side.
POOL = 6000
#: From so many dimensions on repeats take so long that each is kept, to go on from.
KEPT_FROM = 1024
#: From so many dimensions on the distance is computed as ``quick_distance`` does it.
QUICK_FROM = 512
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
    *_power_law(512, 0.3, (5, 10)),
    *_power_law(2048, 0.3, (5,)),
    *_power_law(64, 0.6, (5, 10, 25)),
    *(
        Case(f"photographs, {width} features", width, ratio * width, photographs)
        for width in (64, 256)
        for ratio in (5, 10)
    ),
]


@dataclass(frozen=True)
class Repeat:
    """What one repeat found.

    Attributes:
        raw: the distance.
        debiased: without its bias.
        se: the standard error.
        low: the lower end of the interval.
        high: the upper end.
        infinity: the extrapolation; None where it was left out.
        weight: of the features' tails, beyond ``MOST_TAIL_WEIGHT`` of which the library gives no such number.
    """

    raw: float
    debiased: float
    se: float
    low: float
    high: float
    infinity: float | None
    weight: float


def run(case: Case, seeds: Iterable[int], extrapolated: int) -> Iterator[Repeat]:
    """The repeats of one experiment with some seeds; those below ``extrapolated`` are extrapolated too."""
    draw, ref, _ = case.make(case.width)
    distance = quick_distance(ref) if case.width >= QUICK_FROM else partial(frechet_distance, ref=ref)
    for seed in seeds:
        rows = draw(np.random.RandomState(seed), case.count)
        blocks = BlockMoments(case.width)
        blocks.update(rows, torch.arange(len(rows)))
        first, *others = blocks.blocks()
        raw = distance(reduce(Moments.merge, others, first))
        found = jackknife(raw, {"gen": [distance(rest) for rest in blocks.without_each()]})
        infinity = None
        if seed < extrapolated:
            sizes = [int(size) for size in np.linspace(case.count // 10, case.count, POINTS)]
            values = []
            for chosen in random_subsets(case.count, sizes, seed):
                part = Moments(case.width)
                part.update(rows[chosen], chosen)
                values.append(distance(part))
            infinity = extrapolate(sizes, values)[0]
        yield Repeat(raw, found.debiased, found.se, found.low, found.high, infinity, blocks.tail_weight() or 0.0)


def quick_distance(ref: Moments) -> Callable[[Moments], float]:
    """The Fréchet distance from a reference whose covariance is diagonal, from eigenvalues.

    Of small ones float64 loses digits, some 1e-8 of the largest one's root each, which ``frechet_distance`` keeps at
    twenty times the cost: for a distance that is compared with its own spread they are nothing. The first call checks.
    """
    mean, root = ref.mean(), ref.covariance().diagonal().sqrt()
    checked = False

    def distance(gen: Moments) -> float:
        nonlocal checked
        shift = gen.mean() - mean
        overlap = torch.linalg.eigvalsh(root[:, None] * gen.covariance() * root).clamp(min=0).sqrt().sum()
        found = float(shift @ shift) + gen.total_variance() + float(root @ root) - 2 * float(overlap)
        if not checked:
            exact = frechet_distance(gen, ref)
            assert math.isclose(found, exact, rel_tol=1e-4), f"{found} where {exact} is right"
            checked = True
        return found

    return distance


def summary(case: Case, true: float, repeats: Sequence[Repeat]) -> dict[str, float | int | str | None]:
    """What the repeats say of the experiment; of the extrapolation None where fewer than two have it."""
    raw, debiased = ([getattr(repeat, name) for repeat in repeats] for name in ("raw", "debiased"))
    infinity = [repeat.infinity for repeat in repeats if repeat.infinity is not None]
    several = len(infinity) > 1
    return {
        "case": case.name,
        "images_per_dimension": case.count // case.width,
        "repeats": len(repeats),
        "true": true,
        "raw_bias": float(np.mean(raw) - true),
        "debiased_bias": float(np.mean(debiased) - true),
        "bias_error": float(np.std(debiased, ddof=1) / math.sqrt(len(repeats))),
        "infinity_bias": float(np.mean(infinity) - true) if several else None,
        "infinity_repeats": len(infinity),
        "raw_sd": float(np.std(raw, ddof=1)),
        "debiased_sd": float(np.std(debiased, ddof=1)),
        "infinity_sd": float(np.std(infinity, ddof=1)) if several else None,
        "mean_se": float(np.mean([repeat.se for repeat in repeats])),
        "coverage": float(np.mean([repeat.low <= true <= repeat.high for repeat in repeats])),
        "refused": float(np.mean([repeat.weight > MOST_TAIL_WEIGHT for repeat in repeats])),
    }


def extend(case: Case, kept: Sequence[list[float | None]], repeats: int, extrapolated: int) -> Iterator[dict[str, Any]]:
    """The result of an experiment after each further repeat, up to so many; those that are kept are not run again."""
    true = case.make(case.width)[2]
    found = [Repeat(*row) for row in kept]
    for repeat in run(case, range(len(found), repeats), extrapolated):
        found.append(repeat)
        if len(found) > 1:
            each = {"each": [list(astuple(one)) for one in found]} if case.width >= KEPT_FROM else {}
            yield {**summary(case, true, found), **each}


def table(rows: list[dict[str, Any]]) -> str:
    """The results as the page has them."""
    lines = [
        "| features | N/D | repeats | true | bias: raw, debiased (± its error), FID∞ | left of the bias "
        "| spread: raw, debiased, FID∞ | mean `se` | inside the interval | no number |",
        "|---|---:|---:|---:|---|---:|---|---:|---:|---:|",
    ]
    for row in rows:
        left = abs(row["debiased_bias"]) / row["raw_bias"]
        lines.append(
            f"| {row['case']} | {row['images_per_dimension']} | {row['repeats']} | {row['true']:.4g} | "
            f"{row['raw_bias']:+.3g}, {row['debiased_bias']:+.2g} (± {row['bias_error']:.1g}), "
            f"{_of_infinity(row, 'bias', '+.2g')} | {left:.1%} | {row['raw_sd']:.3g}, {row['debiased_sd']:.3g}, "
            f"{_of_infinity(row, 'sd', '.3g')} | {row['mean_se']:.3g} | {row['coverage']:.1%} | "
            f"{row['refused']:.0%} |"
        )
    return "\n".join(lines)


def _of_infinity(row: Mapping[str, Any], figure: str, digits: str) -> str:
    """A figure of the extrapolation, with its repeats where they are fewer."""
    value = row[f"infinity_{figure}"]
    if value is None:
        return "not run"
    count = row.get("infinity_repeats", row["repeats"])
    return f"{value:{digits}}" + (f" (of {count})" if count != row["repeats"] else "")


def _as_text(results: Mapping[str, Any]) -> str:
    """JSON with one repeat a line."""
    return re.sub(r"\[\s+(-?[\d.][^\[\]{}]*?)\s+\]", _in_one_line, json.dumps(results, indent=1)) + "\n"


def _in_one_line(row: re.Match[str]) -> str:
    return "[" + " ".join(row[1].split()) + "]"


def main() -> None:
    """Run experiments, or write the page from their results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", action="store_true", help="run the experiments and keep their results")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--extrapolated", type=int, default=200, help="how many of the repeats have FID∞ beside them")
    parser.add_argument("--only", help="the experiments whose name has this in it")
    parser.add_argument("--check", action="store_true", help="fail if the page is not what the results give")
    arguments = parser.parse_args()
    if arguments.repeats < 2:
        parser.error("--repeats: expected at least 2, for a spread")
    results: dict[str, dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    if arguments.run:
        for case in CASES:
            if arguments.only is None or arguments.only in case.name:
                key = f"{case.name}, {case.count // case.width}"
                kept = results.get(key, {}).get("each", [])
                for result in extend(case, kept, arguments.repeats, arguments.extrapolated):
                    results[key] = result
                    write_text(RESULTS, _as_text(results))
                sys.stdout.write(json.dumps({**results[key], "each": None}) + "\n")
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
