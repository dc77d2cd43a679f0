"""What an image costs at every stage in one thread, and whether sums of these costs foretell whole passes.

Timed in one thread: reading JPEG and PNG files of 256 x 256 into hashed batches, the resize to 299, Inception in both
precisions, float64 moments of 2,048 features, the merge of two, the Fréchet distance and KID. Then whole passes over
folders of PNG files are run in one thread, and their time stands beside the sum of the stages. ``scale_page.py`` makes
the tables of docs/scale.md of the result. Seeded random weights, photograph-like pictures (``inputs.py``). About ten
minutes on a machine that does nothing else.

    python benchmarks/capacity.py [--rounds 5] [--counts 64 256 512]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from drawn import pooled_features
from genmetrics.accumulators.moments import Moments
from genmetrics.extractors.base import load_extractor
from genmetrics.metrics.frechet import frechet_distance
from genmetrics.metrics.kernel import kernel_distances
from genmetrics.metrics.kernel_full import full_kernel_distance
from genmetrics.preprocess.spec import get_preprocess
from genmetrics.sources.base import BatchSpec
from genmetrics.sources.folder import FolderSource
from genmetrics.types import Precision, Shard
from harness import Timing, in_turn, processes_in_turn, save
from inputs import pictures, write_inception, write_pictures

SIDE, WIDTH, BATCH = 256, 2048, 32
#: Images that a stage is timed on.
FILES, RESIZED, NETWORK, FOLDED, FEATURES = 256, 64, 32, 2048, 5000
PASS = "pass"
ALL_PAIRS = f"KID over all pairs, {FEATURES} a side"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--counts", type=int, nargs="+", default=[64, 256, 512], help="images of the whole passes")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = write_inception(folder / "inception.pth")
        stages = measure_stages(folder, weights, arguments.rounds)
        checks = check(folder, weights, arguments.counts, arguments.rounds, stages)
    rows = [{"what": what, **figures} for what, figures in stages.items()]
    save(
        "capacity",
        f"what an image of {SIDE} x {SIDE} costs in one thread, stage by stage, and whole passes beside their sum",
        [*rows, *checks],
        moments_bytes=8 * (WIDTH * WIDTH + WIDTH),
        bank_bytes_per_image=4 * WIDTH,
        pairs_per_second=short(2 * FEATURES**2 / stages[ALL_PAIRS]["seconds"]),
    )


def measure_stages(folder: Path, weights: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Seconds of each stage: of an image, or of one whole step."""
    png = write_pictures(folder / "png", FILES, SIDE, seed=1)
    jpeg = write_pictures(folder / "jpeg", FILES, SIDE, seed=1, suffix=".jpg")
    images = torch.from_numpy(pictures(RESIZED, SIDE, seed=2)).permute(0, 3, 1, 2).contiguous()
    resize = get_preprocess("tf1-bilinear-299")
    inputs = resize(images[:NETWORK])
    networks = {precision: network(weights, precision) for precision in ("exact", "bf16")}
    features = pooled_features(1, FOLDED, WIDTH)
    gen, ref = pooled_features(1, FEATURES, WIDTH, 0.1), pooled_features(2, FEATURES, WIDTH)
    full = [filled(gen), filled(ref)]
    per_image: dict[str, tuple[Callable[[], object], int]] = {
        "read PNG": (lambda: read(png), FILES),
        "read JPEG": (lambda: read(jpeg), FILES),
        "resize": (lambda: [resize(part) for part in images.split(BATCH)], RESIZED),
        "network, exact": (lambda: networks["exact"](inputs), NETWORK),
        "network, bf16": (lambda: networks["bf16"](inputs), NETWORK),
        "moments": (lambda: fold(full[0], features), FOLDED),
    }
    whole: dict[str, Callable[[], object]] = {
        "merge of two moments": lambda: full[0].merge(full[1]),
        # Copies, since moments keep their factor.
        "Fréchet distance": lambda: frechet_distance(*(Moments.from_state(side.state()) for side in full)),
        "KID, 100 subsets of 1,000": lambda: kernel_distances(gen, ref, 100, 1000, 2020),
        ALL_PAIRS: lambda: full_kernel_distance(gen, ref),
    }
    timings = in_turn({name: run for name, (run, _) in per_image.items()}, rounds)
    slow = in_turn(whole, max(2, rounds // 2))
    found = {
        name: {"seconds_per_image": short(timings[name].median / count), **noise(timings[name])}
        for name, (_, count) in per_image.items()
    }
    return found | {name: {"seconds": short(timing.median), **noise(timing)} for name, timing in slow.items()}


def network(weights: Path, precision: Precision) -> Callable[[torch.Tensor], object]:
    extractor = load_extractor("inception-v3.tf2015", weights)
    extractor.to(torch.device("cpu"), precision)
    return lambda inputs: extractor.run(inputs, [str(WIDTH)])


def read(folder: Path) -> None:
    for _ in FolderSource(str(folder)).batches(Shard(), BatchSpec(batch_size=BATCH, workers=1)):
        pass


def filled(features: torch.Tensor) -> Moments:
    moments = Moments(WIDTH)
    fold(moments, features)
    return moments


def fold(moments: Moments, features: torch.Tensor) -> None:
    for part in features.split(BATCH):
        moments.update(part, torch.arange(len(part)))


def check(
    folder: Path, weights: Path, counts: list[int], rounds: int, stages: dict[str, dict[str, float]]
) -> list[dict[str, object]]:
    """Whole passes over PNG files in one thread beside the sum of the stages."""
    pictures_folder = write_pictures(folder / "passes", max(counts), SIDE, seed=3)
    files = sorted(pictures_folder.iterdir())
    env = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    commands, reports = {}, {}
    for count in counts:
        part = folder / f"{PASS}-{count}"
        part.mkdir()
        for file in files[:count]:
            (part / file.name).symlink_to(file)
        reports[f"{count}"] = folder / f"{count}.json"
        commands[f"{count}"] = [
            *(sys.executable, "-m", "genmetrics", "eval", str(part), "--ref", str(part), "-m", "fid"),
            *("--weights", str(weights), "--device", "cpu", "--workers", "0", "--no-cache", "--quiet"),
            *("--json", str(reports[f"{count}"])),
        ]
    passes: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(max(1, rounds // 2)):
        processes_in_turn(commands, 1, env=env)
        for name, report in reports.items():
            # The second pass of a run: the first has the making of the network in it.
            passes[name].append(json.loads(report.read_text())["seconds"]["gen"])
    of_image = sum(stages[name]["seconds_per_image"] for name in ("read PNG", "resize", "network, exact", "moments"))
    rows: list[dict[str, object]] = []
    for count in counts:
        measured = statistics.median(passes[f"{count}"])
        rows.append(
            {
                "what": f"a pass over {count} PNG files in one thread",
                "images": count,
                "seconds_foretold": short(count * of_image),
                "seconds_measured": short(measured),
                "measured_over_foretold": round(measured / (count * of_image), 3),
                "seconds_all": [round(value, 2) for value in passes[f"{count}"]],
            }
        )
    return rows


def noise(timing: Timing) -> dict[str, float]:
    """How far the rounds lie apart, and what others had of the machine."""
    return {
        "spread": round(max(timing.seconds) / min(timing.seconds), 3),
        "foreign_share": round(max(timing.foreign_share), 2),
    }


def short(value: float) -> float:
    return float(f"{value:.4g}")


if __name__ == "__main__":
    main()
