"""FID, KID and IS of two folders of PNG files: our command beside torch-fidelity's and pytorch-fid's, as processes.

Each run is a whole process, from its start to its exit, so that imports, weights, decoding, resizing, the network and
the distances are all in it. ``--count`` photograph-like PNG files of 256 x 256 pixels a side (see ``inputs.py``),
seeded random Inception weights in the published layout, nothing cached. pytorch-fid computes FID alone, by its own
resize: its value is beside ours of ``fid_pytorch`` in a run that is not timed. With two sets of 500 images on two
cores a round of all four commands takes about eight minutes.

    python benchmarks/whole_command.py [--count 500] [--rounds 3] [--no-pytorch-fid] [--batch-size 32]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from harness import Timing, compared, processes_in_turn, save
from inputs import TESTS, write_inception, write_pictures

SIDE = 256
#: Where pytorch-fid looks for its weights, below TORCH_HOME.
CHECKPOINT = Path("hub", "checkpoints", "pt_inception-2015-12-05-6726825d.pth")
PEER = [sys.executable, str(TESTS / "support" / "run_peer.py")]
#: The names of our values in torch-fidelity's report.
FIDELITY = {
    "fid": "frechet_inception_distance",
    "kid": "kernel_inception_distance_mean",
    "isc": "inception_score_mean",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=500, help="images a side")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, help="of our command, if not its default")
    parser.add_argument("--no-pytorch-fid", action="store_true", help="leave pytorch-fid out")
    parser.add_argument("--no-bf16", action="store_true", help="leave our bf16 out")
    parser.add_argument("--output", default="whole_command", help="name of the result file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        rows = measure(Path(name), arguments)
    save(
        arguments.output,
        f"whole processes: FID, KID and IS of 2 x {arguments.count} photograph-like PNG files of {SIDE} x {SIDE} "
        "pixels, random Inception weights, nothing cached",
        rows,
    )


def measure(folder: Path, arguments: argparse.Namespace) -> list[dict[str, object]]:
    count = arguments.count
    weights = write_inception(folder / "inception.pth")
    (folder / CHECKPOINT).parent.mkdir(parents=True)
    (folder / CHECKPOINT).symlink_to(weights)
    gen = write_pictures(folder / "gen", count, SIDE, seed=1, blur=1.0)
    ref = write_pictures(folder / "ref", count, SIDE, seed=2)
    env = {"TORCH_HOME": str(folder), "CUDA_VISIBLE_DEVICES": ""}

    ours = [sys.executable, "-m", "genmetrics", "eval", str(gen), "--ref", str(ref), "--device", "cpu"]
    ours += ["--weights", f"inception-v3.tf2015={weights}", "--no-cache", "--quiet"]
    if arguments.batch_size:
        ours += ["--batch-size", str(arguments.batch_size)]
    fidelity = [
        *PEER,
        "torch_fidelity.fidelity",
        "--cpu",
        "--fid",
        "--kid",
        "--isc",
        "--no-cache",
        "--silent",
        "--json",
    ]
    fidelity += ["--kid-subset-size", str(min(1000, count)), "--input1", str(gen), "--input2", str(ref)]
    fidelity += ["--feature-extractor-weights-path", str(weights)]
    cases = {
        "genmetrics": [*ours, "-m", "fid,kid,isc", "--json", str(folder / "exact.json")],
        "genmetrics --precision bf16": [
            *(*ours, "-m", "fid,kid,isc", "--precision", "bf16", "--json", str(folder / "bf16.json"))
        ],
        "torch-fidelity": writing_to(folder / "fidelity.json", fidelity),
        "pytorch-fid": [*PEER, "pytorch_fid", str(gen), str(ref), "--device", "cpu"],
    }
    if arguments.no_pytorch_fid:
        del cases["pytorch-fid"]
    if arguments.no_bf16:
        del cases["genmetrics --precision bf16"]
    timings = processes_in_turn(cases, arguments.rounds, env=env)

    expected = fidelity_values(folder / "fidelity.json")
    rows = []
    for case, file in (("genmetrics", "exact.json"), ("genmetrics --precision bf16", "bf16.json")):
        if case in cases:
            report = json.loads((folder / file).read_text())
            agreement = agreement_of(report, expected)
            targets = {"ratio": ">= 5" if "bf16" in case else ">= 2.8", "peak_ratio": "< 0.5"}
            more = {"agreement": agreement, "targets": targets}
            rows.append(row(case, "torch-fidelity", "FID, KID and IS", timings, count, **more))
    if "pytorch-fid" in cases:
        found = float(timings["pytorch-fid"].output.split()[-1])
        check = subprocess.run(
            [*ours, "-m", "fid_pytorch", "--json"], check=True, env={**os.environ, **env}, stdout=subprocess.PIPE
        )
        value = json.loads(check.stdout)["metrics"]["fid_pytorch"]["value"]
        agreement = {"fid_pytorch": {"ours": value, "peer": found, "relative": abs(value / found - 1)}}
        for case in ("genmetrics", "genmetrics --precision bf16"):
            if case in cases:
                what = "FID, KID and IS, of which pytorch-fid computes FID alone"
                rows.append(row(case, "pytorch-fid", what, timings, count, agreement=agreement))
    return rows


def row(
    case: str, peer: str, what: str, timings: Mapping[str, Timing], count: int, **more: object
) -> dict[str, object]:
    precision = "bf16" if "bf16" in case else "exact"
    text = f"whole command, 2 x {count} PNG files of {SIDE} x {SIDE}: {what}; ours {precision}"
    return compared(text, timings, case, peer, work=2 * count, images=2 * count, precision=precision, **more)


def agreement_of(report: Mapping[str, dict[str, dict[str, float]]], expected: Mapping[str, float]) -> dict[str, object]:
    """Both values of each metric and their relative difference."""
    found = {}
    for metric, theirs in expected.items():
        ours = report["metrics"][metric]["value"]
        found[metric] = {"ours": ours, "peer": theirs, "relative": abs(ours / theirs - 1)}
    return found


def writing_to(file: Path, command: list[str]) -> list[str]:
    """The same process with its standard output in a file."""
    return ["sh", "-c", f'exec "$@" > {shlex.quote(str(file))}', "sh", *command]


def fidelity_values(file: Path) -> dict[str, float]:
    """Our names and torch-fidelity's values of what it printed."""
    report = json.loads(re.search(r"\{.*\}", file.read_text(), re.DOTALL).group())  # type: ignore[union-attr]
    return {metric: float(report[name]) for metric, name in FIDELITY.items()}


if __name__ == "__main__":
    main()
