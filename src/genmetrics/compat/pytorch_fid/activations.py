"""The features of image files by any network that returns maps, as pytorch-fid's functions take them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float64, Int64
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset

from genmetrics.accumulators.moments import Moments
from genmetrics.cli.progress import showing_progress
from genmetrics.compat.pytorch_fid.speaking import is_first
from genmetrics.errors import BadImageError, UsageError
from genmetrics.precision import computing_at
from genmetrics.sources.base import BatchSpec
from genmetrics.sources.decode import BadImage, decode_file
from genmetrics.sources.folder import PathListSource
from genmetrics.types import Progress, Shard

__all__ = [
    "Device",
    "ImagePathDataset",
    "calculate_activation_statistics",
    "device_name",
    "get_activations",
    "lower_batch_size",
]

#: A name of torch's, a device, its number; and as in pytorch-fid before 0.2 whether to use a GPU.
Device = str | torch.device | int | bool


class ImagePathDataset(Dataset[Any]):
    """Image files as RGB Pillow images, or as what a transform makes of them."""

    def __init__(self, files: Sequence[str | Path], transforms: Callable[[Image.Image], Any] | None = None) -> None:
        """Take the files; none is opened yet.

        Args:
            files: paths of images.
            transforms: what becomes of each image; None gives the image.
        """
        self.files = files
        self.transforms = transforms

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> Any:
        """The i-th image.

        Raises:
            BadImageError: if it cannot be read.
        """
        path = self.files[i]
        try:
            image = Image.fromarray(np.ascontiguousarray(decode_file(Path(path), "drop").pixels))
        except BadImage as reason:
            raise BadImageError(f"'{path}' cannot be read: {reason}", ((str(path), str(reason)),)) from reason
        return image if self.transforms is None else self.transforms(image)


def get_activations(
    files: Sequence[str | Path],
    model: nn.Module,
    batch_size: int = 50,
    dims: int = 2048,
    device: Device = "cpu",
    num_workers: int = 1,
) -> Float64[np.ndarray, "n dims"]:
    """The features of image files, one row each in the order of the files.

    The images are given to the network in float32, 0..1, those of one size together; a map that is larger than 1 x 1
    is averaged. The network computes in float32 without TF32, and is left in evaluation mode.

    Args:
        files: paths of images, of any sizes.
        model: gives for (n, 3, h, w) images a list whose first item is a map (n, dims, h', w').
        batch_size: the most images that go through the network at once.
        dims: the number of channels.
        device: where the network is; it is not moved there.
        num_workers: threads that read images; 0 reads them in this thread.

    Raises:
        UsageError: if the network gives something else.
        BadImageError: at images that cannot be read, naming them.
        SourceError: if there are no files, or some do not exist.
    """
    source = PathListSource(list(files))
    found = np.empty((len(source), dims))
    for features, indices in _features(source, model, batch_size, dims, device, num_workers):
        found[indices.numpy()] = features.numpy()
    return found


def calculate_activation_statistics(
    files: Sequence[str | Path],
    model: nn.Module,
    batch_size: int = 50,
    dims: int = 2048,
    device: Device = "cpu",
    num_workers: int = 1,
) -> tuple[Float64[np.ndarray, " dims"], Float64[np.ndarray, "dims dims"]]:
    """Mean and sample covariance of the features of image files; the features themselves are not kept.

    Args:
        files: as in ``get_activations``, and so are the other arguments.
        model: gives for (n, 3, h, w) images a list whose first item is a map.
        batch_size: the most images that go through the network at once.
        dims: the number of channels.
        device: where the network is.
        num_workers: threads that read images.

    Raises:
        StatisticsError: if there is one image only, or a feature is NaN or infinite.
        GenmetricsError: as ``get_activations``.
    """
    moments = Moments(dims)
    source = PathListSource(list(files))
    for features, indices in _features(source, model, batch_size, dims, device, num_workers):
        moments.update(features, indices)
    return moments.mean().numpy(), moments.covariance().numpy()


def _features(
    source: PathListSource, model: nn.Module, batch_size: int, dims: int, device: Device, num_workers: int
) -> Iterator[tuple[Float64[Tensor, "n dims"], Int64[Tensor, " n"]]]:
    """The features of each batch on the CPU, with the places of its images in the list."""
    model.eval()
    where = torch.device(device_name(device))
    batch_size = lower_batch_size(batch_size, len(source))
    spec = BatchSpec(batch_size, num_workers)
    total, done = len(source), 0
    with showing_progress(quiet=not is_first()) as progress, closing(_as_generator(source, spec)) as batches:
        progress(Progress("gen", 0, total, source.description))
        for batch in batches:
            images = batch.images.to(where).to(torch.float32).div_(255)
            with torch.no_grad(), computing_at("exact", where):
                features = _pooled(model(images), images.shape[0], dims)
            yield features.cpu().to(torch.float64), batch.indices  # Metal has no float64
            done += images.shape[0]
            progress(Progress("gen", done, total, source.description))


def _as_generator(source: PathListSource, spec: BatchSpec) -> Any:
    yield from source.batches(Shard(), spec)


def _pooled(outputs: object, count: int, dims: int) -> Tensor:
    """(n, dims) of what a network returned."""
    features = outputs[0] if isinstance(outputs, list | tuple) and outputs else None
    if not isinstance(features, Tensor) or features.ndim != 4 or features.shape[:2] != (count, dims):
        given = f"a {type(outputs).__name__}"
        if isinstance(outputs, Tensor):
            given += f" of shape {tuple(outputs.shape)}"
        elif isinstance(features, Tensor):
            given += f" that begins with a map of shape {tuple(features.shape)}"
        hint = ", and dims as many as it has channels" if isinstance(features, Tensor) and features.ndim == 4 else ""
        raise UsageError(
            f"the network gave {given} for {count} images; expected a list whose first item is a map "
            f"({count}, {dims}, h, w), as InceptionV3 gives it{hint}"
        )
    if features.shape[2:] != (1, 1):
        features = F.adaptive_avg_pool2d(features, output_size=(1, 1))
    return features.flatten(1)


def lower_batch_size(batch_size: int, count: int) -> int:
    """The batch size, at most the number of images, with the line that pytorch-fid prints where it was more."""
    if batch_size <= count:
        return batch_size
    if is_first():
        print("Warning: batch size is bigger than the data size. Setting batch size to data size")
    return count


def device_name(device: Device | None) -> str:
    """A device as ``genmetrics.evaluate`` takes it; ``auto`` for None."""
    if device is None:
        return "auto"
    if isinstance(device, bool):
        return "cuda" if device else "cpu"
    return f"cuda:{device}" if isinstance(device, int) else str(device)
