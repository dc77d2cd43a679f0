"""``fid_official_tf``, TTUR's official FID script: ``python -m genmetrics.compat.fid_official_tf A B``.

Its functions have the script's names and arguments. Where these take a TensorFlow session, ``sess``, here it is what
``create_inception_graph`` returns, or None for the published weights.
"""

from __future__ import annotations

from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32, Float64

from genmetrics.compat.commands import running, say
from genmetrics.compat.frechet import calculate_frechet_distance
from genmetrics.compat.official_tf.fid import device_of, fid_report
from genmetrics.compat.official_tf.folder import tell_of_the_last_batch, told_batch_size
from genmetrics.compat.official_tf.graph import EXTRACTOR, InceptionGraph, graph_of, model_file
from genmetrics.errors import UsageError

if TYPE_CHECKING:
    from genmetrics.stats.stats import Stats

__all__ = [
    "InceptionGraph",
    "InvalidFIDException",
    "calculate_activation_statistics",
    "calculate_activation_statistics_from_files",
    "calculate_fid_given_paths",
    "calculate_frechet_distance",
    "check_or_download_inception",
    "create_inception_graph",
    "get_activations",
    "get_activations_from_files",
    "load_image_batch",
    "main",
]

_NAME = "fid_official_tf"
_SCRIPT = f"{_NAME}.py"


class InvalidFIDException(Exception):
    """A name of the script, which it never raises either."""


def check_or_download_inception(inception_path: str | Path | None) -> str:
    """The file that holds the network.

    Args:
        inception_path: the folder of ``classify_image_graph_def.pb``; None finds the published weights, which are of
            the same network, or fetches them.

    Raises:
        WeightsError: if there is none. The script downloads the graph into the folder.
    """
    return model_file(inception_path)


def create_inception_graph(pth: str | Path) -> InceptionGraph:
    """The network in a file, for the argument ``sess`` of the other functions; it is not put anywhere else.

    Args:
        pth: ``classify_image_graph_def.pb``, or a weight file.

    Raises:
        WeightsError: if there is no such file, or it holds something else.
    """
    return InceptionGraph(pth)


def get_activations(
    images: np.ndarray, sess: Any, batch_size: int = 50, verbose: bool = False
) -> Float64[np.ndarray, "n 2048"]:
    """The ``pool_3`` features of all images; the script leaves out those that do not fill the last batch.

    Args:
        images: (n, h, w, 3), 0..255 of any type.
        sess: what ``create_inception_graph`` returns; None for the published weights.
        batch_size: images that go through the network at once; it changes no number.
        verbose: print each batch.

    Raises:
        UsageError: if the images or ``sess`` are something else.
        WeightsError: if the weights are missing or refused.
    """
    _check_images(images)
    count = len(images)
    batch_size = told_batch_size(batch_size, count)
    tell_of_the_last_batch(count, batch_size, "get_activations", _SCRIPT)
    found = np.empty((count, 2048))
    total, done = -(-count // batch_size), 0
    for features, places in graph_of(sess).features(images, "2048", batch_size):
        found[places.numpy()] = features.numpy()
        done += len(places)
        if verbose:
            print(f"\rPropagating batch {-(-done // batch_size)}/{total}", end="", flush=True)
    if verbose:
        print(" done")
    return found


def calculate_activation_statistics(
    images: np.ndarray, sess: Any, batch_size: int = 50, verbose: bool = False
) -> tuple[Float64[np.ndarray, " 2048"], Float64[np.ndarray, "2048 2048"]]:
    """Mean and sample covariance of the features of all images.

    Args:
        images: as in ``get_activations``, and so are the other arguments.
        sess: the network, or None.
        batch_size: images that go through the network at once.
        verbose: print each batch.
    """
    act = get_activations(images, sess, batch_size, verbose)
    return _mean_and_covariance(act)


def load_image_batch(files: Sequence[str | Path]) -> Float32[np.ndarray, "n h w 3"]:
    """The pixels of image files of one size, 0..255; grey and other images become RGB.

    Raises:
        BadImageError: if one cannot be read.
        UsageError: if their sizes differ.
    """
    from genmetrics.errors import BadImageError
    from genmetrics.sources.decode import BadImage, decode_file

    images = []
    for file in files:
        try:
            images.append(decode_file(Path(file), "drop").pixels.astype(np.float32))
        except BadImage as reason:
            raise BadImageError(f"'{file}' cannot be read: {reason}", ((str(file), str(reason)),)) from reason
    sizes = sorted({image.shape[:2] for image in images})
    if len(sizes) > 1:
        raise UsageError(
            f"load_image_batch: images of sizes {' and '.join(map(str, sizes[:3]))} in one batch; "
            "get_activations_from_files takes files of any sizes"
        )
    return np.stack(images)


def get_activations_from_files(
    files: Sequence[str | Path], sess: Any, batch_size: int = 50, verbose: bool = False
) -> Float64[np.ndarray, "n 2048"]:
    """The ``pool_3`` features of image files of any sizes, one row each in their order; read as they are needed.

    Args:
        files: the images.
        sess: what ``create_inception_graph`` returns; None for the published weights.
        batch_size: images that go through the network at once.
        verbose: show the progress, on standard error.
    """
    from genmetrics.accumulators.feature_bank import FeatureBank

    stats = _stats_of_files(files, sess, batch_size, verbose, "kid")
    bank = next(held for held in stats.accumulators.values() if isinstance(held, FeatureBank))
    return bank.rows().numpy().astype(np.float64)


def calculate_activation_statistics_from_files(
    files: Sequence[str | Path], sess: Any, batch_size: int = 50, verbose: bool = False
) -> tuple[Float64[np.ndarray, " 2048"], Float64[np.ndarray, "2048 2048"]]:
    """Mean and sample covariance of the features of image files, in memory that does not grow with them.

    Args:
        files: as in ``get_activations_from_files``, and so are the other arguments.
        sess: the network, or None.
        batch_size: images that go through the network at once.
        verbose: show the progress.
    """
    from genmetrics.accumulators.moments import Moments

    stats = _stats_of_files(files, sess, batch_size, verbose, "fid")
    moments = next(held for held in stats.accumulators.values() if isinstance(held, Moments))
    return moments.mean().numpy(), moments.covariance().numpy()


def calculate_fid_given_paths(
    paths: Sequence[str | Path], inception_path: str | Path | None, low_profile: bool = False
) -> np.float64:
    """The FID of two sets, each a folder of images or an npz file of statistics; all images are counted.

    Args:
        paths: the two.
        inception_path: the folder of ``classify_image_graph_def.pb``; None for the published weights.
        low_profile: taken so that calls fit: images are never all in memory.

    Raises:
        SourceError: if a path does not exist, or there are no images in it.
        StatisticsError: if a file holds no statistics of this network.
        WeightsError: if the weights are missing or refused.
    """
    del low_profile
    return np.float64(fid_report(paths, inception_path, "auto", quiet=True)["fid"].value)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        argv: the arguments; None takes those of the process.
    """
    parser = ArgumentParser(
        prog=f"python -m genmetrics.compat.{_NAME}",
        description="The official FID of two sets, each a folder of images or an .npz file of statistics.",
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("path", type=str, nargs=2, help="a folder of images, or an .npz file of statistics")
    parser.add_argument(
        "-i",
        "--inception",
        type=str,
        default=None,
        help="the folder of classify_image_graph_def.pb; fetched if not given",
    )
    parser.add_argument("--gpu", default="", type=str, help="the number of the GPU to use (leave blank for the CPU)")
    parser.add_argument("--lowprofile", action="store_true", help="changes nothing: images are never all in memory")
    arguments = parser.parse_args(argv)
    with running(_NAME, "cuda" if arguments.gpu else "cpu") as first:
        report = fid_report(arguments.path, arguments.inception, device_of(arguments.gpu), quiet=not first)
        if first:
            for text in report.warnings:
                say(f"{_NAME}: note: {text}")
            print("FID: ", report["fid"].value)


def _stats_of_files(files: Sequence[str | Path], sess: Any, batch_size: int, verbose: bool, metric: str) -> Stats:
    from genmetrics.cli.progress import showing_progress
    from genmetrics.engine.evaluate import compute_stats

    graph = graph_of(sess)
    files = [Path(file) for file in files]
    batch_size = told_batch_size(batch_size, len(files))
    if files:
        tell_of_the_last_batch(len(files), batch_size, f"{len(files)} files", _SCRIPT)
    with showing_progress(quiet=not verbose) as progress:
        return compute_stats(
            files, [metric], weights={EXTRACTOR: graph.weights}, batch_size=batch_size or 1, progress=progress
        )


def _check_images(images: object) -> None:
    if not isinstance(images, np.ndarray) or images.ndim != 4 or images.shape[3] != 3 or not len(images):
        shown = f"{images.dtype} of shape {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
        raise UsageError(f"images are {shown}; expected an array (n, h, w, 3) of numbers in 0..255")
    if images.dtype.kind == "f" and 0 < float(images.max()) <= 1:
        raise UsageError("no value of the images is above 1; expected 0..255 (for 0..1: x * 255)")


def _mean_and_covariance(act: Float64[np.ndarray, "n 2048"]) -> tuple[np.ndarray, np.ndarray]:
    import torch

    from genmetrics.accumulators.moments import Moments

    moments = Moments(act.shape[1])
    moments.update(torch.from_numpy(act), torch.arange(len(act)))
    return moments.mean().numpy(), moments.covariance().numpy()


if __name__ == "__main__":
    main()
