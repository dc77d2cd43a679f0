"""``precalc_stats_official_tf``, TTUR's statistics of a folder: ``python -m genmetrics.compat.… FOLDER OUT.npz``."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from genmetrics.compat.commands import running, say
from genmetrics.compat.official_tf.folder import files_to_count
from genmetrics.compat.official_tf.graph import EXTRACTOR, model_file

__all__ = ["main"]

_NAME = "precalc_stats_official_tf"
_BATCH_SIZE = 100


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        argv: the arguments; None takes those of the process.
    """
    parser = ArgumentParser(
        prog=f"python -m genmetrics.compat.{_NAME}",
        description="Mean and covariance of the official FID's features of all images in a folder.",
    )
    parser.add_argument("data_path", metavar="FOLDER", help="a folder of images")
    parser.add_argument("output_path", metavar="OUT", help="an .npz file for mu and sigma")
    arguments = parser.parse_args(argv)
    with running(_NAME) as first:
        _run(arguments.data_path, arguments.output_path, first)


def _run(folder: str, output: str, first: bool) -> None:
    from genmetrics.cli.progress import showing_progress
    from genmetrics.compat.is_fid_pytorch.pass_over_images import notes_of
    from genmetrics.engine.evaluate import compute_stats
    from genmetrics.files import check_writable
    from genmetrics.stats.formats.write import write_npz

    def tell(text: str) -> None:
        if first:
            print(text, flush=True)

    # The name under which NumPy writes it.
    target = Path(output if output.endswith(".npz") else f"{output}.npz")
    if first:
        check_writable(target)
        if str(target) != output:
            say(f"{_NAME}: note: the statistics go to '{target}', since NumPy adds that ending")
    tell("check for inception model..")
    weights = Path(model_file(None))
    tell("ok")
    tell("load images..")
    files = files_to_count(folder, f"{_NAME}.py", _BATCH_SIZE)
    tell(f"{len(files)} images found and loaded")
    tell("create inception graph..")
    tell("ok")
    tell("calculate FID stats..")
    with showing_progress(quiet=not first) as progress:
        stats = compute_stats(files, ["fid"], weights={EXTRACTOR: weights}, progress=progress)
    if first:
        for text in notes_of(stats):
            say(f"{_NAME}: note: {text}")
        write_npz(stats, target)
    tell("finished")


if __name__ == "__main__":
    main()
