"""The sanity checks of Räisä et al. for fidelity and diversity metrics, on ours.

Source: Räisä, van Breugel and van der Schaar, "Position: All Current Generative Fidelity and Diversity Metrics are
Flawed", ICML 2025 (arXiv:2505.22450), with the settings and criteria of its code. Smaller than there: sizes that
vary go to 1,600 for 10,000, each check is run once on a seed for ten times averaged, and the x-axis has fewer points:
the ends, the middle and some between.

    python tests/support/sanity_checks.py        writes the table in docs/sanity-checks.md
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

__all__ = ["CHECKS", "FIGURES", "PAGE", "outcomes", "page_with", "table"]

COUNT, SEED = 1000, 2025
DIMENSIONS = (1, 8, 64)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "sanity-checks.md"
BEGIN, END = "<!-- generated: make with tests/support/sanity_checks.py -->\n", "<!-- end -->\n"

#: Our figures: what each is about, the metric that has it, and its name there.
FIGURES = {
    "precision": ("fidelity", "prc", "precision"),
    "density": ("fidelity", "prdc", "density"),
    "clipped density": ("fidelity", "clipped_dc", "clipped_density"),
    "recall": ("diversity", "prc", "recall"),
    "coverage": ("diversity", "prdc", "coverage"),
    "clipped coverage": ("diversity", "clipped_dc", "clipped_coverage"),
}

Series = tuple[Sequence[float], Sequence[float]]
#: Of the points and values: whether they pass, or as which of two kinds of diversity metric.
Criterion = Callable[[Series], bool | str]
#: The figures at each point, of each case of a check.
Runs = Mapping[str, Mapping[float, Mapping[str, float]]]


def value_at(point: float | str, test: Callable[[float], bool | str]) -> Criterion:
    def passes(series: Series) -> bool | str:
        points, values = series
        index = (
            {"first": 0, "last": -1}[point]
            if isinstance(point, str)
            else int(np.argmin(np.abs(np.array(points) - point)))
        )
        return test(values[index])

    return passes


def near(target: float) -> Callable[[float], bool]:
    return lambda value: abs(value - target) <= 0.05


def high_or_low(value: float) -> bool | str:
    """Right of diversity where everything real is covered and much else: 1 of one kind of metric, 0 of another."""
    return "high" if near(1)(value) else "low" if near(0)(value) else False


def falling(series: Series) -> bool:
    values = series[1]
    return values[0] - values[-1] >= 0.2 and max(values) - values[0] <= 0.1 and values[-1] - min(values) <= 0.1


def rising(series: Series) -> bool:
    return falling((series[0], list(series[1])[::-1]))


def falling_by(share: float) -> Criterion:
    """Falling, and by 0.1 at that share of the way already."""

    def passes(series: Series) -> bool:
        values = series[1]
        return falling(series) and values[0] - values[round(share * (len(values) - 1))] >= 0.1

    return passes


def level(series: Series) -> bool:
    return max(series[1]) - min(series[1]) <= 0.05


def level_in_the_end(series: Series) -> bool:
    values = series[1][len(series[1]) // 2 :]
    return max(values) - min(values) <= 0.05


def bell(middle: float) -> Criterion:
    def passes(series: Series) -> bool:
        points, values = series
        top = values[int(np.argmin(np.abs(np.array(points) - middle)))]
        ends = (values[0], values[-1])
        return top - max(ends) >= 0.2 and max(values) - top <= 0.1 and min(ends) - min(values) <= 0.1

    return passes


def either(low: Criterion, high: Criterion) -> Criterion:
    return lambda series: "low" if low(series) else "high" if high(series) else False


@dataclass(frozen=True)
class Check:
    """One experiment.

    Attributes:
        name: as in the source.
        purpose: what a metric shows by passing.
        run: makes the figures.
        criteria: by name; ``None`` where nothing is asked of fidelity or of diversity.
    """

    name: str
    purpose: str
    run: Callable[[np.random.Generator], Runs]
    criteria: Mapping[str, tuple[Criterion | None, Criterion | None]]


def both(criterion: Criterion) -> tuple[Criterion, Criterion]:
    return criterion, criterion


def figures(gen: np.ndarray, ref: np.ndarray) -> dict[str, float]:
    """All six from one pass."""
    from genmetrics.metrics import METRICS
    from genmetrics.registry import load_target
    from support.features import stats_of

    names = list(dict.fromkeys(metric for _, metric, _ in FIGURES.values()))
    home = METRICS.get("prc")
    metrics = []
    for name in names:
        info = METRICS.get(name)
        # Of the same synthetic features, whatever network the metric is of.
        info = replace(info, extractor=home.extractor, feature=home.feature, preprocess=home.preprocess)
        metrics.append(load_target(info.target)(info, SEED))
    sides = [stats_of(metrics[0], torch.from_numpy(side.astype(np.float32))) for side in (gen, ref)]
    results = dict(zip(names, metrics[0].compute_together(metrics, *sides), strict=True))
    return {figure: results[metric].extra[extra] for figure, (_, metric, extra) in FIGURES.items()}


def normal(rng: np.random.Generator, width: int, mean: float = 0.0, std: float = 1.0, count: int = COUNT) -> np.ndarray:
    return rng.normal(mean, std, (count, width))


MEANS = {1: 6.0, 8: 3.0, 64: 1.0}
STDS = {1: 3.0, 8: 1.0, 64: 0.5}


def mean_difference(rng: np.random.Generator) -> Runs:
    runs = {}
    for width in DIMENSIONS:
        ref = normal(rng, width)
        means = np.linspace(-MEANS[width], MEANS[width], 5)
        runs[f"d = {width}"] = {mean: figures(normal(rng, width, mean), ref) for mean in means}
    return runs


def mean_difference_with_outlier(rng: np.random.Generator) -> Runs:
    runs = {}
    for width in DIMENSIONS:
        ref, outlier = normal(rng, width), np.full((1, width), MEANS[width])
        beside = np.concatenate((ref, outlier))
        means = np.linspace(-MEANS[width], MEANS[width], 5)
        sets = {mean: normal(rng, width, mean) for mean in means}
        runs[f"real, d = {width}"] = {mean: figures(gen, beside) for mean, gen in sets.items()}
        runs[f"generated, d = {width}"] = {
            mean: figures(np.concatenate((gen, outlier)), ref) for mean, gen in sets.items()
        }
    return runs


def std_difference(rng: np.random.Generator) -> Runs:
    runs = {}
    for width in DIMENSIONS:
        ref = normal(rng, width)
        exponents = np.linspace(-STDS[width], STDS[width], 5)
        runs[f"d = {width}"] = {exponent: figures(normal(rng, width, 0, 10**exponent), ref) for exponent in exponents}
    return runs


MODE_STDS = {1: 1 / 6, 8: 1 / 3, 64: 1.0}
MODES = 10


def mixture(rng: np.random.Generator, centres: np.ndarray, std: float, shares: np.ndarray) -> np.ndarray:
    modes = rng.choice(len(centres), COUNT, p=shares / shares.sum())
    return rng.normal(centres[modes], std)


def mode_dropping(rng: np.random.Generator, *, one_by_one: bool) -> Runs:
    runs = {}
    for width in DIMENSIONS:
        centres = np.repeat(np.linspace(0, 10, MODES)[:, None], width, axis=1)
        ref = mixture(rng, centres, MODE_STDS[width], np.ones(MODES))
        found = {}
        for dropped in (0, 1, 3, 5, 7, 5) if one_by_one else (0, 0.5, 0.95, 1):
            shares = np.ones(MODES)
            if one_by_one:
                shares[MODES - int(dropped) :] = 0
            else:
                shares[1:] = 1 - dropped
            found[dropped] = figures(mixture(rng, centres, MODE_STDS[width], shares), ref)
        runs[f"d = {width}"] = found
    return runs


def mode_dropping_and_invention(rng: np.random.Generator) -> Runs:
    """Ten modes far apart, the first five of them real. The source lists its centres; these are seeded draws."""
    centres = np.random.RandomState(5).uniform(-20, 20, (MODES, 2))
    ref = mixture(rng, centres[:5], 0.25, np.ones(5))
    return {
        "d = 2": {
            modes: figures(mixture(rng, centres[:modes], 0.25, np.ones(modes)), ref) for modes in (1, 3, 5, 7, 10)
        }
    }


def on_sphere(rng: np.random.Generator, width: int, radius: float) -> np.ndarray:
    rows = normal(rng, width)
    return radius * rows / np.linalg.norm(rows, axis=1, keepdims=True)


def hypersphere_surface(rng: np.random.Generator) -> Runs:
    runs = {}
    for width in (2, 16, 128):
        ref = on_sphere(rng, width, 1.0)
        radii = np.linspace(0.1, 1.9, 5)
        runs[f"d = {width}"] = {radius: figures(on_sphere(rng, width, radius), ref) for radius in radii}
    return runs


SIZES = (100, 400, 800, 1600)


def hypercube(rng: np.random.Generator, *, both_sides: bool) -> Runs:
    runs = {}
    for width in DIMENSIONS:
        start = 1 - 0.2 ** (1 / width)
        fixed = rng.uniform(0, 1, (COUNT, width))
        runs[f"d = {width}"] = {
            size: figures(
                rng.uniform(start, start + 1, (size, width)),
                rng.uniform(0, 1, (size, width)) if both_sides else fixed,
            )
            for size in SIZES
        }
    return runs


def in_ball(rng: np.random.Generator, width: int, radius: float, count: int) -> np.ndarray:
    rows = rng.standard_normal((count, width))
    lengths = radius * rng.uniform(0, 1, (count, 1)) ** (1 / width)
    return lengths * rows / np.linalg.norm(rows, axis=1, keepdims=True)


def in_torus(rng: np.random.Generator, count: int) -> np.ndarray:
    around, angle = in_ball(rng, 2, 0.1, count), rng.uniform(0, 2 * np.pi, count)
    out = 1 + around[:, 0]
    return np.stack((out * np.cos(angle), out * np.sin(angle), around[:, 1]), axis=1)


def sphere_and_torus(rng: np.random.Generator) -> Runs:
    sphere, torus = in_ball(rng, 3, 0.8, COUNT), in_torus(rng, COUNT)
    return {
        "real sphere": {size: figures(in_torus(rng, size), sphere) for size in SIZES},
        "real torus": {size: figures(in_ball(rng, 3, 0.8, size), torus) for size in SIZES},
    }


def one_and_two_modes(rng: np.random.Generator) -> Runs:
    runs = {}
    for width in DIMENSIONS:
        found = {}
        for apart in np.linspace(0, 5, 4):
            ref = mixture(rng, np.array([[-apart / 2] * width, [apart / 2] * width]), 1.0, np.ones(2))
            found[apart] = figures(normal(rng, width, 0, np.sqrt(1 + apart**2)), ref)
        runs[f"d = {width}"] = found
    return runs


def scaling_one_dimension(rng: np.random.Generator) -> Runs:
    found = {}
    for exponent in np.linspace(-3, 3, 4):
        scale = np.array([1.0, 10**exponent])
        found[exponent] = figures((normal(rng, 2) + np.array([6, 0])) * scale, normal(rng, 2) * scale)
    return {"d = 2": found}


def mean_difference_with_pareto(rng: np.random.Generator) -> Runs:
    def rows(mean: float) -> np.ndarray:
        return np.stack((rng.normal(mean, 1, COUNT), 1 + rng.pareto(1.01, COUNT)), axis=1)

    ref = rows(0)
    return {"d = 2": {mean: figures(rows(mean), ref) for mean in np.linspace(-6, 6, 5)}}


def one_disjoint_dimension(rng: np.random.Generator) -> Runs:
    found = {}
    for extra in (1, 8, 64, 1000):
        gen, ref = normal(rng, extra + 1), normal(rng, extra + 1)
        gen[:, 0] += 6
        found[extra] = figures(gen, ref)
    return {"": found}


def discrete_and_continuous(rng: np.random.Generator) -> Runs:
    runs = {}
    for case in ("real discrete", "real continuous"):
        found = {}
        for exponent in (0, 1, 2, 3):
            gen, ref = (10**exponent * normal(rng, 1) for _ in range(2))
            found[exponent] = figures(*((gen, ref.round()) if case == "real discrete" else (gen.round(), ref)))
        runs[case] = found
    return runs


ONE, ZERO = near(1), near(0)
_SHIFTED = {
    "identical": both(value_at(0, ONE)),
    "far to the left": both(value_at("first", ZERO)),
    "far to the right": both(value_at("last", ZERO)),
    "bell shape": both(bell(0)),
}
_DROPPED = {"identical": both(value_at("first", ONE)), "all dropped": (value_at("last", ONE), None)}

CHECKS = (
    Check("Gaussian mean difference", "a shift is seen", mean_difference, _SHIFTED),
    Check(
        "Gaussian mean difference with outlier",
        "one outlier on a side changes nothing",
        mean_difference_with_outlier,
        _SHIFTED,
    ),
    Check(
        "Gaussian std. deviation difference",
        "too narrow is faithful and not diverse, too wide the reverse",
        std_difference,
        {
            "identical": both(value_at(0, ONE)),
            "narrow": (value_at("first", ONE), value_at("first", ZERO)),
            "wide": (value_at("last", ZERO), value_at("last", high_or_low)),
            "shape": (falling, either(bell(0), rising)),
        },
    ),
    Check(
        "simultaneous mode dropping",
        "rare modes are missed by diversity, not by fidelity",
        lambda rng: mode_dropping(rng, one_by_one=False),
        {**_DROPPED, "shape": (level, falling_by(2 / 3))},
    ),
    Check(
        "sequential mode dropping",
        "missing modes are missed by diversity, not by fidelity",
        lambda rng: mode_dropping(rng, one_by_one=True),
        {**_DROPPED, "shape": (level, falling_by(2 / 3))},
    ),
    Check(
        "mode dropping and invention",
        "dropped modes cost diversity, invented ones fidelity",
        mode_dropping_and_invention,
        {
            "identical": both(value_at(5, ONE)),
            "most dropped": (value_at("first", ONE), None),
            "most invented": (None, value_at("last", ONE)),
            "shape": (falling, rising),
        },
    ),
    Check(
        "hypersphere surface",
        "a sphere of another radius is another set",
        hypersphere_surface,
        {
            "identical": both(value_at(1, ONE)),
            "small": both(value_at("first", ZERO)),
            "large": both(value_at("last", ZERO)),
            "bell shape": both(bell(1)),
        },
    ),
    Check(
        "hypercube, varying sample size",
        "the value does not depend on the number of samples, and is the overlap, 0.2",
        lambda rng: hypercube(rng, both_sides=True),
        {"level": both(level_in_the_end), "overlap": both(value_at("last", near(0.2)))},
    ),
    Check(
        "hypercube, varying generated size",
        "the value does not depend on the number of generated samples, and is the overlap, 0.2",
        lambda rng: hypercube(rng, both_sides=False),
        {"level": both(level_in_the_end), "overlap": both(value_at("last", near(0.2)))},
    ),
    Check(
        "sphere and torus",
        "sets that do not meet are at 0, whatever the number of generated samples",
        sphere_and_torus,
        {"level": both(level_in_the_end), "apart": both(value_at("last", ZERO))},
    ),
    Check(
        "one and two modes",
        "samples between two real modes are no good ones",
        one_and_two_modes,
        {"identical": both(value_at("first", ONE)), "shape": (falling, either(falling, level))},
    ),
    Check(
        "scaling one dimension",
        "units of measurement do not matter",
        scaling_one_dimension,
        {"level": both(level), "small": both(value_at("first", ZERO)), "large": both(value_at("last", ZERO))},
    ),
    Check(
        "Gaussian mean difference with Pareto",
        "a heavy tail beside it does not hide a shift",
        mean_difference_with_pareto,
        _SHIFTED,
    ),
    Check(
        "one disjoint dimension",
        "sets that are apart in one dimension of many are apart",
        one_disjoint_dimension,
        {"level": both(level), "few": both(value_at("first", ZERO)), "many": both(value_at("last", ZERO))},
    ),
    Check(
        "discrete and continuous",
        "whole numbers are told from others",
        discrete_and_continuous,
        {"level": both(level)},
    ),
)


def outcomes(check: Check) -> dict[str, dict[str, str]]:
    """Of each criterion and figure: ``yes``, ``no``, in how many of the cases, or ``–`` where nothing is asked."""
    runs = check.run(np.random.default_rng(SEED))
    found: dict[str, dict[str, str]] = {}
    for name, (of_fidelity, of_diversity) in check.criteria.items():
        found[name] = {}
        for figure, (kind, _, _) in FIGURES.items():
            criterion = of_fidelity if kind == "fidelity" else of_diversity
            if criterion is None:
                found[name][figure] = "–"
                continue
            passed = [criterion((list(run), [at[figure] for at in run.values()])) for run in runs.values()]
            found[name][figure] = _in_words(passed)
    if check.name == "discrete and continuous":
        found.update(_bounds_of_discrete(runs))
    return found


def _bounds_of_discrete(runs: Runs) -> dict[str, dict[str, str]]:
    """Of a discrete reference, continuous samples are none; of a continuous one, whole numbers may be some."""
    found = {}
    for name, point in (("coarse", 0), ("fine", -1)):
        found[name] = {}
        for figure, (kind, _, _) in FIGURES.items():
            discrete, continuous = ([at[figure] for at in runs[case].values()][point] for case in runs)
            passed = (
                [ZERO(discrete), ONE(continuous)] if kind == "fidelity" else [high_or_low(discrete), ZERO(continuous)]
            )
            found[name][figure] = _in_words(passed)
    return found


def _in_words(passed: Sequence[bool | str]) -> str:
    good = sum(map(bool, passed))
    return "yes" if good == len(passed) else "no" if good == 0 else f"{good}/{len(passed)}"


def table(found: Mapping[str, Mapping[str, Mapping[str, str]]]) -> str:
    """The outcomes of all checks as Markdown."""
    lines = ["| check | criterion | " + " | ".join(FIGURES) + " |", "|---" * (len(FIGURES) + 2) + "|"]
    for check in CHECKS:
        for number, (criterion, cells) in enumerate(found[check.name].items()):
            name = check.name if number == 0 else ""
            lines.append(f"| {name} | {criterion} | " + " | ".join(cells[figure] for figure in FIGURES) + " |")
    return "\n".join(lines) + "\n"


def page_with(text: str, new_table: str) -> str:
    """The page with its table replaced."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + new_table + END + after


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    PAGE.write_text(page_with(PAGE.read_text(), table({check.name: outcomes(check) for check in CHECKS})))
