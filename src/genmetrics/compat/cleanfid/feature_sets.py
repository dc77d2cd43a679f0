"""The features of files, folders, batches and generated images, as arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from genmetrics import distributed
from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.compat.cleanfid.generated import features_of_generator
from genmetrics.compat.cleanfid.images import PathLike, listed_images, opened_images, some_of
from genmetrics.compat.cleanfid.network import INCEPTION, DeviceLike, device_text
from genmetrics.compat.cleanfid.passes import (
    FeatureModel,
    Way,
    features_of_batch,
    features_of_images,
    stats_of,
    way_of,
)
from genmetrics.compat.cleanfid.utils import Transform
from genmetrics.engine.networks import resolve_device
from genmetrics.errors import UsageError
from genmetrics.sources.loader import ItemSource

__all__ = [
    "announced",
    "array_of_images",
    "get_batch_features",
    "get_files_features",
    "get_folder_features",
    "get_model_features",
]


def get_batch_features(batch: Tensor, model: FeatureModel, device: DeviceLike) -> np.ndarray:
    """A model's features of a batch, (n, d).

    Args:
        batch: (n, 3, h, w), 0..255, of the model's size.
        model: from such a batch to (n, d) features.
        device: where the batch is put.

    Raises:
        UsageError: if the model gives something else.
    """
    return features_of_batch(batch, model, resolve_device(device_text(device))).numpy()


@distributed.alone()
def get_files_features(
    l_files: Sequence[PathLike],
    model: FeatureModel | None = None,
    num_workers: int = 12,
    batch_size: int = 128,
    device: DeviceLike = "auto",
    mode: str = "clean",
    custom_fn_resize: Transform | None = None,
    description: str = "",
    fdir: PathLike | None = None,
    verbose: bool = True,
    custom_image_tranform: Transform | None = None,
) -> np.ndarray:
    """The features of image files in their order, (n, d).

    Args:
        l_files: image files, ``.npy`` arrays among them, or the names of members of a zip archive.
        model: from (n, 3, h, w) images, 0..255, to (n, d) features; None takes the mode's.
        num_workers: the most threads, or with functions of yours processes, that decode.
        batch_size: images that go through the model at once.
        device: where it runs.
        mode: ``clean``, ``legacy_tensorflow`` or ``legacy_pytorch``.
        custom_fn_resize: in place of the mode's resize: from (h, w, 3), 0..255, to the same of the model's size.
        description: for people.
        fdir: the zip archive.
        verbose: whether progress is shown.
        custom_image_tranform: what each image undergoes before the resize, from (h, w, 3), 0..255, to the same.

    Raises:
        GenmetricsError: see ``genmetrics.errors``.
    """
    way = way_of(
        model, INCEPTION, mode, device, custom_image_tranform, custom_fn_resize, batch_size, num_workers, verbose
    )
    return array_of_images(listed_images(l_files, fdir), way, description)


@distributed.alone()
def get_folder_features(
    fdir: PathLike,
    model: FeatureModel | None = None,
    num_workers: int = 12,
    num: int | None = None,
    shuffle: bool = False,
    seed: int = 0,
    batch_size: int = 128,
    device: DeviceLike = "auto",
    mode: str = "clean",
    custom_fn_resize: Transform | None = None,
    description: str = "",
    verbose: bool = True,
    custom_image_tranform: Transform | None = None,
) -> np.ndarray:
    """The features of the images of a folder with its subfolders, or of a zip archive, (n, d).

    Args:
        fdir: the folder or archive.
        model: as in ``get_files_features``, and so are the other arguments.
        num_workers: the most threads or processes that decode.
        num: how many images; None takes all.
        shuffle: whether ``num`` images are drawn; otherwise they are the first ones by name.
        seed: of that draw.
        batch_size: images that go through the model at once.
        device: where it runs.
        mode: ``clean``, ``legacy_tensorflow`` or ``legacy_pytorch``.
        custom_fn_resize: in place of the mode's resize.
        description: for people.
        verbose: whether progress is shown, and the number of images printed.
        custom_image_tranform: what each image undergoes before the resize.

    Raises:
        GenmetricsError: see ``genmetrics.errors``.
    """
    way = way_of(
        model, INCEPTION, mode, device, custom_image_tranform, custom_fn_resize, batch_size, num_workers, verbose
    )
    return array_of_images(some_of(announced(fdir, verbose), num, shuffle, seed), way, description)


@distributed.alone()
def get_model_features(
    G: Callable[[Tensor], Tensor],
    model: FeatureModel | None = None,
    mode: str = "clean",
    z_dim: int = 512,
    num_gen: int = 50_000,
    batch_size: int = 128,
    device: DeviceLike = "auto",
    desc: str = "FID model: ",
    verbose: bool = True,
    return_z: bool = False,
    custom_image_tranform: Transform | None = None,
    custom_fn_resize: Transform | None = None,
) -> np.ndarray | tuple[np.ndarray, Tensor]:
    """The features of generated images, (num_gen, d), and the noise that they are of if it is asked for.

    The noise is of torch's own generator: ``torch.manual_seed`` decides on it.

    Args:
        G: from (batch_size, z_dim) normal noise on the device to as many images, (n, 3, h, w), 0..255, uint8 or floats;
            floats are not rounded.
        model: from (n, 3, h, w) images, 0..255, to (n, d) features; None takes the mode's.
        mode: ``clean``, ``legacy_tensorflow`` or ``legacy_pytorch``.
        z_dim: the width of the noise.
        num_gen: how many images.
        batch_size: images that are generated, and go through the model, at once.
        device: where the noise is and the model runs.
        desc: for people.
        verbose: whether progress is shown.
        return_z: whether to give the noise as well, (num_gen, z_dim).
        custom_image_tranform: what each image undergoes before the resize.
        custom_fn_resize: in place of the mode's resize.

    Raises:
        GenmetricsError: see ``genmetrics.errors``.
    """
    way = way_of(model, INCEPTION, mode, device, custom_image_tranform, custom_fn_resize, batch_size, 0, verbose)
    if not callable(G):
        raise UsageError(f"the generator is a {type(G).__name__}, expected a function of the noise")
    found = list(features_of_generator(G, way, z_dim, num_gen, desc))
    features = torch.cat([features.cpu() for features, _ in found]).numpy()
    return (features, torch.cat([noise for _, noise in found])) if return_z else features


def announced(fdir: PathLike, verbose: bool) -> ItemSource:
    """The images of a folder, whose number is printed."""
    source = opened_images(fdir)
    if verbose:
        print(f"Found {len(source)} images in the folder {fdir}")
    return source


def array_of_images(source: ItemSource, way: Way, description: str) -> np.ndarray:
    """The features of images, (n, d)."""
    stats = stats_of(source, way, description, features=True)
    if stats is None:
        return torch.cat(list(features_of_images(source, way, description))).numpy()
    (bank,) = stats.accumulators.values()
    assert isinstance(bank, FeatureBank)
    return bank.rows().numpy()
