"""``tools/fidelity.py``: FID, Inception Score and more of a folder of PNG files, as torch-fidelity computes them.

::

    python -m genmetrics.compat.vq.tools.fidelity imagenet samples/ [--train] [--metrics fid isc] [--work-dir .]
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genmetrics.compat.commands import running, say
from genmetrics.compat.vq.overrides import parse_overrides
from genmetrics.compat.vq.protocol import ALPHA, CROP, INCEPTION, device_of, strategy, weights_here, weights_note

if TYPE_CHECKING:
    from genmetrics.report.report import Report

__all__ = ["main"]

#: What torch-fidelity is asked for, in the order in which it answers, and what of our figures its answers are.
_ANSWERS: Mapping[str, Mapping[str, str | None]] = {
    "isc": {"inception_score_mean": None, "inception_score_std": "std"},
    "fid": {"frechet_inception_distance": None},
    "kid": {"kernel_inception_distance_mean": None, "kernel_inception_distance_std": "std"},
    "prc": {"precision": "precision", "recall": "recall", "f_score": "f_score"},
}
_SPLIT, _SUFFIX = ".split", ".access_layer.suffix"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        arguments: as typed behind its name; None takes the process's.
    """
    args = _parser().parse_args(arguments)
    device = device_of(args.strategy)
    with running("tools.fidelity", device) as first:
        from genmetrics.cli.progress import showing_progress
        from genmetrics.compat.vq.cache import prepare_path
        from genmetrics.compat.vq.datasets import find_dataset, flat_folder
        from genmetrics.compat.vq.pixels import RoundTrip
        from genmetrics.compat.vq.tools.record import append_record
        from genmetrics.engine.evaluate import evaluate

        of_ref = parse_overrides(args.override1, [_SPLIT], "--override1")
        of_gen = parse_overrides(args.override2, [_SUFFIX], "--override2")
        args.override1, args.override2 = dict(of_ref.given), dict(of_gen.given)
        split = of_ref.text(_SPLIT)
        found = find_dataset(args.dataset if split is None else f"{args.dataset}:{split}", args.train)
        gen, left = flat_folder(args.data_root, of_gen.text(_SUFFIX) or "png")
        ref = found.source
        if args.round_trip:
            gen, ref = RoundTrip(gen), RoundTrip(ref)
        names = [name for name in _ANSWERS if name in args.metrics]
        weights = weights_here() if names != ["prc"] else None
        if first:
            if args.work_dir is not None:
                prepare_path(args.work_dir / "torch_fidelity.txt")
            for note in (*found.notes, *left, *(() if weights is None else weights_note())):
                say(f"tools.fidelity: {note}")
        with showing_progress(not first) as progress:
            report = evaluate(
                gen,
                None if names == ["isc"] else ref,
                names,
                weights=None if weights is None else {INCEPTION: weights},
                device=device,
                alpha=ALPHA,
                crop=CROP,
                error_bars="off",
                progress=progress,
            )
        if first:
            metrics = _answers(names, report)
            if args.work_dir is not None:
                append_record(args.work_dir / "torch_fidelity.txt", _as_theirs(args), metrics=metrics)
            for text in report.warnings:
                say(f"tools.fidelity: note: {text}")
            print("\n".join(f"{name}: {value}" for name, value in metrics.items()))


def _answers(names: Sequence[str], report: Report) -> dict[str, float]:
    """The figures under torch-fidelity's names."""
    return {
        answer: result.value if extra is None else result.extra[extra]
        for name, result in zip(names, report.metrics.values(), strict=True)
        for answer, extra in _ANSWERS[name].items()
    }


def _as_theirs(args: argparse.Namespace) -> argparse.Namespace:
    """The arguments as the original writes them down; of ours, which it does not have, only those that were given."""
    ours: Mapping[str, object] = {"strategy": None, "round_trip": False}
    told = {name: value for name, value in vars(args).items() if name not in ours or value != ours[name]}
    return argparse.Namespace(**told)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools.fidelity", description="FID, Inception Score, KID, precision and recall of a folder of PNG files."
    )
    parser.add_argument("dataset", help="the reference: imagenet, another of `genmetrics list datasets`, or a folder")
    parser.add_argument("data_root", help="the folder of *.png files; its subfolders are not entered")
    parser.add_argument("--train", action="store_true", help="the training split in place of that for validation")
    parser.add_argument(
        "--override1", nargs="*", action="extend", default=[], metavar="KEY:VALUE", help=f"of the dataset: {_SPLIT}"
    )
    parser.add_argument(
        "--override2", nargs="*", action="extend", default=[], metavar="KEY:VALUE", help=f"of the folder: {_SUFFIX}"
    )
    parser.add_argument(
        "--metrics", nargs="+", default=["fid", "isc"], choices=list(_ANSWERS), help="[default: fid isc]"
    )
    parser.add_argument("--work-dir", type=Path, metavar="DIR", help="append to torch_fidelity.txt there")
    parser.add_argument(
        "--strategy", type=strategy, help="(ours) cuda, cuda:N, cpu or mps [default: cuda, where there is none cpu]"
    )
    parser.add_argument(
        "--round-trip",
        action="store_true",
        help="(ours) the original's numbers: of pixels that went through its encode and decode",
    )
    return parser


if __name__ == "__main__":
    main()
