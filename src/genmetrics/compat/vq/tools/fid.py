"""``tools/fid.py``: the FID of a folder of PNG files against statistics of ``pretrained/fid/``.

::

    python -m genmetrics.compat.vq.auto_torchrun -m genmetrics.compat.vq.tools.fid imagenet_val samples/ --work-dir .
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from genmetrics.compat.commands import running, say
from genmetrics.compat.vq.fid import add_options
from genmetrics.compat.vq.overrides import BATCH_SIZE, NUM_WORKERS, SUFFIX, parse_overrides
from genmetrics.compat.vq.protocol import AUTOCAST_NOTE, device_of, settings, weights_note

__all__ = ["main"]

_KEYS = (BATCH_SIZE, NUM_WORKERS, SUFFIX)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        arguments: as typed behind its name; None takes the process's.
    """
    args = _parser().parse_args(arguments)
    args.strategy = device_of(args.strategy)
    with running("tools.fid", args.strategy) as first:
        from genmetrics.cli.progress import showing_progress
        from genmetrics.compat.vq.cache import find_statistics, load_statistics, prepare_path, write_statistics
        from genmetrics.compat.vq.datasets import flat_folder
        from genmetrics.compat.vq.measure import measure
        from genmetrics.compat.vq.tools.record import append_record

        overrides = parse_overrides(args.override, _KEYS)
        args.override = dict(overrides.given)
        reference = find_statistics(args.reference)
        ref = load_statistics(reference, cropped=True)
        source, notes = flat_folder(args.data_root, overrides.text(SUFFIX) or "png")
        if first:
            for name in ("fid.txt", "fid.pth"):
                if args.work_dir is not None:
                    prepare_path(args.work_dir / name)
            notes = (f"reference: '{reference}'", *notes, *weights_note())
            for note in (*notes, *([AUTOCAST_NOTE] if args.autocast else [])):
                say(f"tools.fid: {note}")
        with showing_progress(not first) as progress:
            result, report, stats = measure(source, ref, settings(args.strategy, args.autocast, overrides), progress)
        if first:
            if args.work_dir is not None:
                append_record(args.work_dir / "fid.txt", args, fid=result.value)
                write_statistics(stats, args.work_dir / "fid.pth")
            for text in report.warnings:
                say(f"tools.fid: note: {text}")
            print(f"FID: {result.value}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools.fid", description="The FID of a folder of PNG files against the statistics of a dataset."
    )
    parser.add_argument("reference", help="a name in pretrained/fid/, such as imagenet_val, or a statistics file")
    parser.add_argument("data_root", help="the folder of *.png files; its subfolders are not entered")
    add_options(parser, _KEYS)
    parser.add_argument(
        "--work-dir", type=Path, metavar="DIR", help="append to fid.txt there, and write fid.pth [default: neither]"
    )
    return parser


if __name__ == "__main__":
    main()
