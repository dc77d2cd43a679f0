"""``vq.fid``: the statistics of a dataset, made once and kept in ``pretrained/fid/``.

::

    python -m genmetrics.compat.vq.auto_torchrun -m genmetrics.compat.vq.fid imagenet [--train]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from genmetrics.compat.commands import running, say
from genmetrics.compat.vq.overrides import BATCH_SIZE, FID_PATH, NUM_WORKERS, parse_overrides
from genmetrics.compat.vq.protocol import AUTOCAST_NOTE, METRIC, device_of, settings, strategy, weights_note

__all__ = ["main"]

_KEYS = (BATCH_SIZE, NUM_WORKERS, FID_PATH)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        arguments: as typed behind its name; None takes the process's.
    """
    args = _parser().parse_args(arguments)
    device = device_of(args.strategy)
    with running("vq.fid", device) as first:
        from genmetrics.cli.progress import showing_progress
        from genmetrics.compat.vq.cache import cache_path, prepare_path, write_statistics
        from genmetrics.compat.vq.datasets import find_dataset
        from genmetrics.engine.evaluate import compute_stats

        overrides = parse_overrides(args.override, _KEYS)
        found = find_dataset(args.dataset, args.train)
        elsewhere = overrides.text(FID_PATH)
        path = cache_path(found.name) if elsewhere is None else Path(elsewhere)
        if first:
            prepare_path(path)
            for note in (*found.notes, *weights_note(), *([AUTOCAST_NOTE] if args.autocast else [])):
                say(f"vq.fid: {note}")
        with showing_progress(not first) as progress:
            stats = compute_stats(
                found.source, [METRIC], **settings(device, args.autocast, overrides), progress=progress
            )
        if first:
            write_statistics(stats, path)
            for note in stats.side.notes:
                say(f"vq.fid: note: {note}")
            say(f"vq.fid: {path}: statistics of {stats.num_samples} images of {stats.side.source}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vq.fid", description="Write the statistics of a dataset to pretrained/fid/, for tools.fid and FIDMetric."
    )
    parser.add_argument("dataset", help="imagenet, another of `genmetrics list datasets`, or a folder of images")
    parser.add_argument("--train", action="store_true", help="the training split in place of that for validation")
    add_options(parser, _KEYS)
    return parser


def add_options(parser: argparse.ArgumentParser, keys: Sequence[str]) -> None:
    """The options that the commands share."""
    parser.add_argument(
        "--strategy", type=strategy, help="cuda, cuda:N, cpu or mps [default: cuda, where there is none cpu]"
    )
    parser.add_argument(
        "--override",
        nargs="*",
        action="extend",
        default=[],
        metavar="KEY:VALUE",
        help=f"one or more of {', '.join(keys)}",
    )
    parser.add_argument("--autocast", action="store_true", help="bfloat16: faster, and no longer the published numbers")


if __name__ == "__main__":
    main()
