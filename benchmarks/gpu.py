"""The engine on a GPU: whole runs beside other tools, each stage by itself, and how near each is to its own limit.

``--count`` JPEG files of photograph-like pictures (see ``inputs.py``), seeded random Inception weights, a reference of
saved statistics; everything in one process and one run.

* whole runs on the files in turn: ours in ``tf32`` and ``exact``, torch-fidelity 0.4.0 with its reference in its cache
  (FID, KID and IS each), and a loop in the style of EDM2's ``calculate_metrics.py`` for FID alone, see
  ``edm2_style.py``;
* from decoded memory: an ``Evaluator`` that is fed uint8 tensors, in exact, tf32 and bf16;
* each stage alone (decode, copy, resize, network, moments), timed by CUDA events, and the share of a whole run that
  the network computes;
* the rate of a convolution of Inception's middle, measured here, as the limit that the network is compared with.

With 50,000 files a round takes minutes on an H100 and most of them in the peers; ``--no-peers`` leaves them out.
Without a GPU the script says so and exits with code 2; ``--device cpu --count 64 --batch-size 16 --rounds 1`` runs the
same on a CPU in about two minutes, to try the script.

    python benchmarks/gpu.py [--count 50000] [--side 256] [--rounds 2] [--batch-size 128] [--workers N] [--no-peers]
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from PIL import Image

import genmetrics as gm
from edm2_style import Edm2Style
from genmetrics.sources.base import BatchSpec
from genmetrics.types import Shard
from gpu_stages import Clock, stages
from harness import Timing, compared, in_turn, save
from inputs import TESTS, pictures, write_inception

EXTRACTOR = "inception-v3.tf2015"
METRICS = ["fid", "kid", "isc"]
#: A CPU has no TF32.
PRECISIONS = {"cuda": ("exact", "tf32", "bf16"), "cpu": ("exact", "bf16")}
#: Pictures that one process draws; each such part has a seed of its own.
TOGETHER = 250


def main() -> None:
    arguments = parsed()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print(
            f"torch {torch.__version__} finds no CUDA device: nothing was measured. On a machine with one run this "
            "again; '--device cpu --count 64 --batch-size 16 --rounds 1' only tries the script",
            file=sys.stderr,
        )
        sys.exit(2)
    folder = Path(tempfile.mkdtemp(prefix="genmetrics-gpu-"))
    try:
        rows, more = measure(folder, arguments)
    finally:
        shutil.rmtree(folder)
    device = torch.cuda.get_device_name() if arguments.device == "cuda" else "cpu"
    what = (
        f"the engine on {device}: {arguments.count} JPEG files of {arguments.side} x {arguments.side} pixels, random "
        "Inception weights, against saved statistics"
    )
    save(arguments.output, what, rows, device=device, cuda=torch.version.cuda, **more)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--count", type=int, default=50_000, help="images of the measured set")
    parser.add_argument("--memory-count", type=int, help="of them, how many are fed from memory (default: 20000)")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="threads (or the peers' processes)")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--output", default="gpu", help="name of the result file")
    return parser.parse_args()


def measure(folder: Path, arguments: argparse.Namespace) -> tuple[list[dict[str, object]], dict[str, object]]:
    count, batch_size, device = arguments.count, arguments.batch_size, arguments.device
    weights = write_inception(folder / "inception.pth")
    gen = write_jpegs(folder / "gen", count, arguments.side, seed=1)
    ref = write_jpegs(folder / "ref", min(max(count // 2, 2), 10_000), arguments.side, seed=2)
    options = {"weights": weights, "device": device, "batch_size": batch_size}

    decoding = stages(gen, EXTRACTOR, weights, device, PRECISIONS[device], batch_size, arguments.workers)
    rows: list[dict[str, object]] = [*decoding.rows]
    peaks: dict[str, float] = {}
    references = {}
    for precision in PRECISIONS[device]:
        references[precision] = folder / f"ref-{precision}.safetensors"
        gm.compute_stats(ref, METRICS, precision=precision, cache=False, **options).save(references[precision])

    def whole(precision: str) -> Callable[[], Mapping[str, float]]:
        def run() -> Mapping[str, float]:
            with Clock.peak(device) as peak:
                report = gm.evaluate(
                    gen,
                    references[precision],
                    METRICS,
                    precision=precision,
                    workers=arguments.workers,
                    cache=False,
                    **options,
                )
            peaks[f"whole run, {precision}"] = peak.mib
            return {metric: report[metric].value for metric in METRICS}

        return run

    measured = ("tf32", "exact") if device == "cuda" else ("exact",)
    cases = {f"genmetrics, {precision}": whole(precision) for precision in measured}
    if not arguments.no_peers:
        cases["torch-fidelity"] = torch_fidelity(folder, gen, ref, weights, device, batch_size)
        cases["EDM2-style loop"] = Edm2Style(gen, ref, weights, device, arguments.workers).fid
    timings = in_turn(cases, arguments.rounds, warmup=1 if device == "cuda" else 0)
    for precision in measured:
        rows.extend(
            whole_rows(
                f"genmetrics, {precision}", precision, timings, count, decoding.seconds[precision], arguments.no_peers
            )
        )
    rows.extend(from_memory(gen, references, arguments, options, decoding.seconds, peaks))
    return rows, {"peak_device_mib": peaks, "conv_tflops": decoding.limits}


def whole_rows(
    case: str, precision: str, timings: Mapping[str, Timing], count: int, seconds: Mapping[str, float], alone: bool
) -> list[dict[str, object]]:
    """A row beside each peer; or one of ours alone."""
    wall = timings[case].median
    own = {
        "images": count,
        "precision": precision,
        "images_per_second": round(count / wall, 1),
        "network_share_of_wall": round(seconds["network"] * count / wall, 3),
        **limit(seconds, count / wall),
    }
    if alone:
        return [{"what": f"whole run, {case}", **timings[case].as_dict(), **own, "values": timings[case].output}]
    rows = []
    for peer in ("torch-fidelity", "EDM2-style loop"):
        values = {name: timings[name].output for name in (case, peer)}
        agreement = {
            metric: {"ours": values[case][metric], "peer": theirs, "relative": abs(values[case][metric] / theirs - 1)}
            for metric, theirs in values[peer].items()
        }
        what = f"whole run on files, ours {precision}; the peer computes {', '.join(values[peer])}"
        rows.append(compared(what, timings, case, peer, work=count, agreement=agreement, **own))
    return rows


def limit(seconds: Mapping[str, float], reached: float) -> dict[str, object]:
    """Which stage alone would be slowest, and what share of its rate a run reached."""
    on_device = seconds["resize"] + seconds["network"] + seconds["moments"]
    each = {"decode": seconds["decode"], "copy": seconds["copy"], "device (resize, network, moments)": on_device}
    slowest = max(each, key=lambda stage: each[stage])
    return {"limited_by": slowest, "share_of_that_stages_rate": round(reached * each[slowest], 3)}


def from_memory(
    gen: Path,
    references: Mapping[str, Path],
    arguments: argparse.Namespace,
    options: Mapping[str, object],
    seconds: Mapping[str, Mapping[str, float]],
    peaks: dict[str, float],
) -> list[dict[str, object]]:
    """Rows of an ``Evaluator`` that is fed uint8 tensors, until the device is done with them."""
    count = min(arguments.count, arguments.memory_count or 20_000)
    batches = [
        batch.images
        for batch in gm.open_source(gen).batches(
            Shard(), BatchSpec(arguments.batch_size, arguments.workers, selection=tuple(range(count)))
        )
    ]
    evaluators = {
        precision: gm.Evaluator(references[precision], METRICS, precision=precision, cache=False, **options)
        for precision in PRECISIONS[arguments.device]
    }

    def feeding(precision: str) -> Callable[[], object]:
        def run() -> None:
            evaluator = evaluators[precision]
            evaluator.reset()
            with Clock.peak(arguments.device) as peak:
                for images in batches:
                    evaluator.update(images)
                Clock.wait(arguments.device)
            peaks[f"from memory, {precision}"] = peak.mib

        return run

    cases = {precision: feeding(precision) for precision in evaluators}
    timings = in_turn(cases, arguments.rounds, warmup=1 if arguments.device == "cuda" else 0)
    values = {precision: evaluators[precision].compute()["fid"].value for precision in cases}
    rows = []
    for precision in cases:
        wall = timings[precision].median
        rows.append(
            {
                "what": f"from decoded memory, {precision}",
                **timings[precision].as_dict(),
                "images": count,
                "images_per_second": round(count / wall, 1),
                "network_share_of_wall": round(seconds[precision]["network"] * count / wall, 3),
                **limit({**seconds[precision], "decode": 0.0}, count / wall),
                "fid": values[precision],
                "fid_relative_to_exact": values[precision] / values["exact"] - 1,
            }
        )
    return rows


def torch_fidelity(
    folder: Path, gen: Path, ref: Path, weights: Path, device: str, batch_size: int
) -> Callable[[], Mapping[str, float]]:
    """The peer on the same files; what its first run keeps of the reference, the later ones use."""
    if str(TESTS) not in sys.path:
        sys.path.insert(0, str(TESTS))
    from support.peers import import_peer

    peer = import_peer("torch_fidelity")
    names = ("frechet_inception_distance", "kernel_inception_distance_mean", "inception_score_mean")

    def run() -> Mapping[str, float]:
        found = peer.calculate_metrics(
            input1=str(gen),
            input2=str(ref),
            input2_cache_name="ref",
            cache_root=str(folder / "fidelity-cache"),
            fid=True,
            kid=True,
            isc=True,
            kid_subset_size=min(1000, len(list(ref.iterdir())), len(list(gen.iterdir()))),
            feature_extractor_weights_path=str(weights),
            cuda=device == "cuda",
            batch_size=batch_size,
            verbose=False,
        )
        return {ours: float(found[theirs]) for ours, theirs in zip(METRICS, names, strict=True)}

    return run


def write_jpegs(folder: Path, count: int, side: int, seed: int) -> Path:
    """The pictures as JPEG files ``000000.jpg`` … of quality 92, drawn by all cores."""
    folder.mkdir()
    parts = range(0, count, TOGETHER)
    with ProcessPoolExecutor() as pool:
        for _ in pool.map(_write_part, *zip(*((folder, start, count, side, seed) for start in parts), strict=True)):
            pass
    return folder


def _write_part(folder: Path, start: int, count: int, side: int, seed: int) -> None:
    made = pictures(min(TOGETHER, count - start), side, 100_000 * seed + start)
    for number, pixels in enumerate(made, start):
        Image.fromarray(pixels).save(folder / f"{number:06d}.jpg", quality=92)


if __name__ == "__main__":
    main()
