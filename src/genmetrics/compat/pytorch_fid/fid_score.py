"""pytorch-fid's ``fid_score`` module: its command, and the functions that scripts import from it."""

from __future__ import annotations

from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, Namespace
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from torch import nn

from genmetrics.compat.commands import running
from genmetrics.compat.frechet import calculate_frechet_distance
from genmetrics.compat.pytorch_fid.activations import (
    Device,
    ImagePathDataset,
    calculate_activation_statistics,
    get_activations,
)
from genmetrics.compat.pytorch_fid.inception import InceptionV3
from genmetrics.compat.pytorch_fid.runs import calculate_fid_given_paths, save_fid_stats
from genmetrics.compat.pytorch_fid.sides import IMAGE_EXTENSIONS, moments_of, open_side
from genmetrics.compat.pytorch_fid.speaking import tell
from genmetrics.sources.loader import default_workers
from genmetrics.stats.stats import Stats

__all__ = [
    "IMAGE_EXTENSIONS",
    "ImagePathDataset",
    "InceptionV3",
    "calculate_activation_statistics",
    "calculate_fid_given_paths",
    "calculate_frechet_distance",
    "compute_statistics_of_path",
    "get_activations",
    "main",
    "parser",
    "save_fid_stats",
]

parser = ArgumentParser(
    prog="python -m genmetrics.compat.pytorch_fid",
    description="FID of two sets of images, as pytorch-fid computes it.",
    formatter_class=ArgumentDefaultsHelpFormatter,
)
parser.add_argument("--batch-size", type=int, default=50, help="images that go through the network at once")
parser.add_argument("--num-workers", type=int, help="threads that read images; by default one a core, at most 8")
parser.add_argument(
    "--device", type=str, default=None, help="cuda, cuda:N, mps or cpu; by default the first GPU, else the CPU"
)
parser.add_argument(
    "-c",
    "--gpu",
    type=str,
    default=None,
    metavar="N",
    help="as before pytorch-fid 0.2: the number of a GPU, or '' for the CPU; --device takes its place",
)
parser.add_argument(
    "--dims",
    type=int,
    default=2048,
    choices=list(InceptionV3.BLOCK_INDEX_BY_DIM),
    help="width of the layer; 2048 is the one of FID",
)
parser.add_argument(
    "--save-stats", action="store_true", help="write the statistics of the first path to the second, an .npz"
)
parser.add_argument("path", type=str, nargs=2, help="a folder of images, or an .npz of statistics")


def compute_statistics_of_path(
    path: str | Path, model: nn.Module, batch_size: int, dims: int, device: Device, num_workers: int = 1
) -> tuple[Float64[np.ndarray, " d"], Float64[np.ndarray, "d d"]]:
    """Mean and covariance of what an ``.npz`` holds, or of the images of a folder by a network.

    Args:
        path: a folder of images, or an ``.npz``, of which the other arguments play no part.
        model: as in ``get_activations``, and so are the other arguments.
        batch_size: the most images that go through the network at once.
        dims: the number of channels.
        device: where the network is.
        num_workers: threads that read images.

    Raises:
        GenmetricsError: see ``genmetrics.errors``.
    """
    side = open_side(path)
    if isinstance(side, Stats):
        moments = moments_of(side)
        return moments.mean().numpy(), moments.covariance().numpy()
    tell(f"'{path}': {note}" for note in side.notes)
    return calculate_activation_statistics(side.names(), model, batch_size, dims, device, num_workers)


def main() -> None:
    """Run the command: print ``FID:  <number>``, or with ``--save-stats`` write a file."""
    args = parser.parse_args()
    device = _device(args)
    with running("pytorch_fid", device) as first:
        workers = default_workers() if args.num_workers is None else args.num_workers
        if args.save_stats:
            save_fid_stats(args.path, args.batch_size, device, args.dims, workers)
            return
        value = calculate_fid_given_paths(args.path, args.batch_size, device, args.dims, workers)
        if first:
            print("FID: ", value)


def _device(args: Namespace) -> str:
    """The device that ``--device`` or the older ``--gpu`` names."""
    if args.gpu is None:
        return "auto" if args.device is None else str(args.device)
    if args.device is not None:
        parser.error(f"--gpu {args.gpu!r} and --device {args.device!r} both name a device; give --device alone")
    if not args.gpu.strip():
        return "cpu"
    # It was the process's CUDA_VISIBLE_DEVICES, of which the first was used.
    number = args.gpu.partition(",")[0].strip()
    if not number.isdecimal():
        parser.error(f"--gpu {args.gpu!r}: expected the number of a GPU, such as --gpu 0, or '' for the CPU")
    return f"cuda:{number}"


if __name__ == "__main__":
    main()
