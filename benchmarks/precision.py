"""What ``--precision bf16`` does to the numbers: each metric exact, in bf16 on both sides, and in bf16 on one.

Two networks: EfficientNet-Lite0 with its trained weights, and Inception-v3 with seeded random ones (the published ones
are not on every machine: what is seen of them says how rounding travels through that network, and no more). The sets
are crops of photographs (see ``inputs.py``) beside a reference of other crops, from hardly different to far away:

    same pictures, noise of 1     the reference itself under noise that nobody sees
    other crops                   of the same photographs, as the reference: what a perfect model would make
    slight blur, noise, strong blur   the other crops, distorted

Times are not measured, so that other work on the machine does no harm. ``--device cuda`` measures tf32 as well. The
largest changes are printed as ``genmetrics.precision_effect`` holds them. About six minutes on two cores.

    python benchmarks/precision.py [--count 1000] [--inception-count 200] [--device cpu]
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

import genmetrics as gm
from genmetrics.precision_effect import FAMILIES, family_of
from harness import save
from inputs import pictures, write_inception

LITE, INCEPTION = "efficientnet-lite0.in1k", "inception-v3.tf2015"
#: How ``genmetrics.precision_effect`` calls them.
NAMES = {LITE: "_LITE", INCEPTION: "_INCEPTION"}
FIGURES = ("relative", "absolute_near", "relative_one_side", "absolute_near_one_side")
METRICS = ("fid", "kid", "isc", "prc")
SIDE = 128
#: Name of each set that is compared with the reference, and whether it hardly differs from it.
SETS = {
    "same pictures, noise of 1": True,
    "other crops": True,
    "slight blur": False,
    "noise": False,
    "strong blur": False,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000, help="images a set, on EfficientNet-Lite0")
    parser.add_argument(
        "--inception-count", type=int, default=200, help="images a set, on the random Inception; 0: none"
    )
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    precisions = ("bf16",) if arguments.device == "cpu" else ("bf16", "tf32")
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name:
        inception = {INCEPTION: write_inception(Path(name) / "inception.pth")}
        for extractor, count, weights in (
            (LITE, arguments.count, {}),
            (INCEPTION, arguments.inception_count, inception),
        ):
            if count:
                rows += measure(extractor, count, weights, arguments.device, precisions)
    effects = largest(rows)
    for effect in effects:
        key = f'({NAMES[str(effect["extractor"])]}, "{effect["precision"]}", "{effect["family"]}")'
        figures = ", ".join(repr(effect[name]) for name in FIGURES)
        print(f'        {key}: Effect({figures}, "{effect["weights"]}"),')
    save(
        "precision",
        "largest changes of metrics whose network ran in bf16 (tf32) on both sides, or on the generated one alone: "
        "`relative` where the sets clearly differ, as a share of the exact value (of prc as it is); `absolute near` "
        f"where they hardly differ; {arguments.count} images a set ({arguments.inception_count} on Inception-v3)",
        rows,
        effects=effects,
    )


def measure(
    extractor: str, count: int, weights: Mapping[str, Path], device: str, precisions: Sequence[str]
) -> list[dict[str, object]]:
    """A row for each set, metric and precision."""
    stats: dict[tuple[str, str], gm.Stats] = {}
    for name, images in sets(count):
        for precision in ("exact", *precisions):
            stats[name, precision] = gm.compute_stats(
                images,
                METRICS,
                extractor=extractor,
                weights=weights,
                device=device,
                precision=precision,
                cache=False,
            )
    rows: list[dict[str, object]] = []
    for name, near in SETS.items():
        exact = values(stats[name, "exact"], stats["reference", "exact"], extractor)
        for precision in precisions:
            both = values(stats[name, precision], stats["reference", precision], extractor)
            mixed = values(stats[name, precision], stats["reference", "exact"], extractor)
            for metric, value in exact.items():
                rows.append(
                    {
                        "what": f"{metric} on {extractor}, {count} images a side: {name}",
                        "metric": metric,
                        "extractor": extractor,
                        "weights": "random" if weights else "published",
                        "precision": precision,
                        "set": name,
                        "near": near,
                        "exact": value,
                        "both_sides": change(both[metric], value),
                        "one_side": change(mixed[metric], value),
                    }
                )
    return rows


def sets(count: int) -> Iterator[tuple[str, np.ndarray]]:
    """The reference and the sets beside it, (count, SIDE, SIDE, 3) uint8."""
    reference = pictures(count, SIDE, seed=10, noise=0)
    yield "reference", reference
    noise = np.random.RandomState(12).standard_normal(reference.shape)
    yield "same pictures, noise of 1", (reference + noise).round().clip(0, 255).astype(np.uint8)
    yield "other crops", pictures(count, SIDE, seed=11, noise=0)
    yield "slight blur", pictures(count, SIDE, seed=11, noise=0, blur=1)
    yield "noise", pictures(count, SIDE, seed=11, noise=40)
    yield "strong blur", pictures(count, SIDE, seed=11, noise=0, blur=3)


def values(gen: gm.Stats, ref: gm.Stats, extractor: str) -> dict[str, float]:
    """The main figure of each metric; sides of unlike precision are compared by force."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gm.GenmetricsWarning)
        report = gm.evaluate(gen, ref, METRICS, extractor=extractor, device="cpu", force=True, cache=False)
    return {metric: result.value for metric, result in report.metrics.items()}


def change(found: float, exact: float) -> dict[str, float]:
    return {"value": found, "absolute": found - exact, "relative": (found - exact) / exact if exact else float("nan")}


def largest(rows: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """The largest changes of each kind of metric on each network, as ``genmetrics.precision_effect`` holds them."""
    effects = []
    for extractor, precision in dict.fromkeys((row["extractor"], row["precision"]) for row in rows):
        for family in FAMILIES:
            chosen = [
                row
                for row in rows
                if (row["extractor"], row["precision"]) == (extractor, precision)
                and family_of(str(row["metric"])) == family
            ]
            far = [row for row in chosen if not row["near"]]
            near = [row for row in chosen if row["near"]]
            # What lies in 0..1 is taken as it is: a share of a recall of 0.03 says nothing.
            kind = "absolute" if family == "prc" else "relative"
            effects.append(
                {
                    "family": family,
                    "extractor": extractor,
                    "precision": precision,
                    "weights": chosen[0]["weights"],
                    "relative": rounded_up(far, "both_sides", kind),
                    "absolute_near": rounded_up(near, "both_sides", "absolute"),
                    "relative_one_side": rounded_up(far, "one_side", kind),
                    "absolute_near_one_side": rounded_up(near, "one_side", "absolute"),
                }
            )
    return effects


def rounded_up(rows: Sequence[Mapping[str, object]], sides: str, kind: str) -> float:
    """The largest magnitude, up to two digits."""
    value = max(abs(row[sides][kind]) for row in rows)  # type: ignore[index]
    if value == 0:
        return 0.0
    step = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(f"{np.ceil(value / step) * step:.2g}")


if __name__ == "__main__":
    main()
