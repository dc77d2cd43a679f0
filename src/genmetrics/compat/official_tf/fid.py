"""The official FID of two paths, for the command and the function of ``fid_official_tf``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genmetrics.compat.commands import say
from genmetrics.compat.official_tf.folder import files_to_count, told_batch_size
from genmetrics.compat.official_tf.graph import EXTRACTOR, InceptionGraph
from genmetrics.errors import UsageError

if TYPE_CHECKING:
    from genmetrics.report.report import Report

__all__ = ["device_of", "fid_report"]

_NAME = "fid_official_tf"
_SCRIPT = f"{_NAME}.py"
_BATCH_SIZE = 50


def fid_report(paths: Sequence[str | Path], inception_path: str | Path | None, device: str, *, quiet: bool) -> Report:
    """The report of ``fid`` of two sets, each a folder or an npz file.

    Args:
        paths: the two.
        inception_path: the network; None for the published weights.
        device: as ``genmetrics.evaluate`` takes it.
        quiet: show no progress.

    Raises:
        GenmetricsError: see ``genmetrics.errors``.
    """
    from genmetrics.cli.progress import showing_progress
    from genmetrics.engine.evaluate import evaluate
    from genmetrics.paths import require_path

    if len(paths) != 2:
        raise UsageError(f"{len(paths)} paths were given; expected two, each a folder of images or an .npz file")
    for path in paths:
        require_path(path)
    images = [not str(path).endswith(".npz") for path in paths]
    # Two files of statistics need no network.
    graph = InceptionGraph(inception_path) if any(images) else None
    sides: list[Any] = []
    for path, are_images in zip(paths, images, strict=True):
        files = files_to_count(path, _SCRIPT, _BATCH_SIZE) if are_images else []
        if are_images:
            told_batch_size(_BATCH_SIZE, len(files))
        sides.append(files or f"stats:{path}")
    weights = None if graph is None else {EXTRACTOR: graph.weights}
    with showing_progress(quiet) as progress:
        return evaluate(
            sides[0], sides[1], ["fid"], weights=weights, device=device, error_bars="off", progress=progress
        )


def device_of(gpu: str) -> str:
    """The device of ``--gpu``, which names GPUs as CUDA_VISIBLE_DEVICES does; of several TensorFlow takes the first.

    Raises:
        UsageError: if it is no number.
    """
    import torch

    number = gpu.partition(",")[0].strip()
    if not number or number.startswith("-"):
        return "cpu"
    if not number.isdigit():
        raise UsageError(f"--gpu '{gpu}': expected the number of a GPU, such as 0, or nothing for the CPU")
    if not torch.cuda.is_available():
        say(f"{_NAME}: note: --gpu {gpu}, and torch finds no CUDA device here; the network runs on the CPU")
        return "cpu"
    return f"cuda:{number}"
