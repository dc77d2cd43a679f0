"""``inception_score_official_tf``, improved-gan's Inception Score: ``python -m genmetrics.compat.… [FOLDER]``."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

import numpy as np

from genmetrics.compat.commands import running, say
from genmetrics.compat.official_tf.folder import files_to_count
from genmetrics.compat.official_tf.graph import InceptionGraph
from genmetrics.errors import StatisticsError, UsageError

__all__ = ["get_inception_score", "main"]

_NAME = "inception_score_official_tf"
_CLASSES = 1008
_NUM_SPLITS = 10


def get_inception_score(
    images: Sequence[np.ndarray] | np.ndarray, splits: int = 10, bs: int = 256
) -> tuple[np.float64, np.float64]:
    """The official Inception Score of images in their order: all of them, 1,008 classes, without the bias.

    Nothing is loaded or fetched before it is called.

    Args:
        images: a list of arrays (h, w, 3), 0..255, of any sizes; or one (n, h, w, 3), which the script refuses.
        splits: into how many splits they are cut; the one with the number i ends before (i + 1) * n // splits.
        bs: images that go through the network at once; it changes no number.

    Returns:
        The mean over the splits, and their population spread.

    Raises:
        UsageError: if the images are something else, such as scaled to 0..1.
        StatisticsError: if there are fewer images than splits, where the script gives NaN.
        WeightsError: if the weights are missing or refused.
    """
    from genmetrics.accumulators.softmax_sums import IN_ORDER, SoftmaxSums

    _check(images, splits, bs)
    print("passing through inception network ...", flush=True)
    sums = SoftmaxSums(_CLASSES, splits, IN_ORDER, len(images))
    for logits, places in InceptionGraph().features(images, "logits_unbiased", bs):
        sums.update(logits, places)
    scores = sums.mean_divergences().exp()
    return np.float64(scores.mean()), np.float64(scores.std(correction=0))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        argv: the arguments; None takes those of the process.
    """
    parser = ArgumentParser(
        prog=f"python -m genmetrics.compat.{_NAME}",
        description="The official Inception Score over 10 splits of the images in a folder, or of CIFAR-10's.",
    )
    parser.add_argument("folder", nargs="?", default="", help="a folder of images; without one CIFAR-10's training set")
    arguments = parser.parse_args(argv)
    with running(_NAME) as first:
        from genmetrics.cli.progress import showing_progress
        from genmetrics.compat.is_fid_pytorch.pass_over_images import check_count, cifar10
        from genmetrics.engine.evaluate import evaluate

        if arguments.folder and first:
            print("reading images ...", flush=True)
        images: Any = files_to_count(arguments.folder, f"{_NAME}.py") if arguments.folder else cifar10(_note)
        check_count(len(images), arguments.folder or "CIFAR-10")
        if first:
            print("passing through inception network ...", flush=True)
        with showing_progress(quiet=not first) as progress:
            report = evaluate(images, metrics=["isc"], progress=progress)
        if first:
            for text in report.warnings:
                _note(text)
            print(report["isc"].value, report["isc"].extra["std"])


def _note(text: str) -> None:
    say(f"{_NAME}: note: {text}")


def _check(images: Sequence[np.ndarray] | np.ndarray, splits: int, bs: int) -> None:
    if len(images) == 0:
        raise UsageError("no images were given; expected a list of arrays (h, w, 3), 0..255")
    for name, value in (("splits", splits), ("bs", bs)):
        if value < 1:
            raise UsageError(f"{name}={value}: expected at least 1")
    if len(images) < splits:
        raise StatisticsError(
            f"{len(images)} image(s) cannot fill the splits={splits} of the Inception Score; give more images, or "
            f"splits={len(images)} or less"
        )
    most = max((float(np.max(image)) for image in images if isinstance(image, np.ndarray)), default=0.0)
    if most <= 10:
        raise UsageError(
            f"no value of the images is above {most:.4g}; expected 0..255 (for -1..1: (x + 1) * 127.5, for 0..1: "
            "x * 255)"
        )


if __name__ == "__main__":
    main()
