"""The inputs of ``calculate_metrics``, as our engine takes them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from genmetrics.compat.torch_fidelity.datasets import NamedDataset, SourceDataset
from genmetrics.compat.torch_fidelity.generative_model_base import GenerativeModelBase
from genmetrics.compat.torch_fidelity.models import ModelSource, is_model_file, load_model
from genmetrics.compat.torch_fidelity.registry import DATASETS_REGISTRY
from genmetrics.compat.torch_fidelity.samples import SamplesFolder
from genmetrics.engine.sides import SourceLike
from genmetrics.errors import SourceError, UsageError
from genmetrics.registry import did_you_mean
from genmetrics.sources.base import ImageSource
from genmetrics.sources.parse import open_source

__all__ = ["is_generator", "model_of", "source_of"]

_EXPECTED = (
    "the name of a registered dataset, a folder of images, a generator in an .onnx or TorchScript .pth file, a torch "
    "Dataset of uint8 images, a GenerativeModelBase, or what gm.evaluate takes: statistics, an archive, a tensor"
)


def source_of(
    given: str | Path | Dataset[Any] | GenerativeModelBase | SourceLike,
    *,
    model_z_type: str = "normal",
    model_z_size: int | None = None,
    model_num_classes: int = 0,
    model_num_samples: int | None = None,
    batch_size: int = 64,
    rng_seed: int = 2020,
    device: str = "cpu",
    samples_find_deep: bool = False,
    samples_find_ext: str = "png,jpg,jpeg",
    samples_ext_lossy: str | None = "jpg,jpeg",
    samples_resize_and_crop: int = 0,
    datasets_root: str | Path | None = None,
    datasets_download: bool = True,
    slot: str = "input1",
) -> SourceLike:
    """What ``input1`` or ``input2`` of ``calculate_metrics`` is, as ``gm.evaluate`` takes it.

    In this order: a registered name, a folder, a generator in an ``.onnx`` or ``.pth`` file, a torch ``Dataset`` or
    ``GenerativeModelBase``. Whatever else ``gm.evaluate`` takes is passed on: statistics, archives, arrays.

    Args:
        given: the input.
        model_z_type: of a generator in a file, as are the next two: a registered noise source.
        model_z_size: the size of its noise.
        model_num_classes: how many classes it has; 0 for none.
        model_num_samples: how many images a generator makes, one in a file or not.
        batch_size: images that a generator makes at once; noise and labels are drawn batch by batch.
        rng_seed: of noise and labels. Both inputs have the same, as in torch-fidelity.
        device: where a generator is moved, if this is a CUDA device; else it stays where it is.
        samples_find_deep: whether a folder's subfolders are read too.
        samples_find_ext: the extensions of its images.
        samples_ext_lossy: those that are lossy, of which a note says that they may affect metrics.
        samples_resize_and_crop: the side of a square to which its images are resized and cropped; 0 leaves them.
        datasets_root: where the archives of a registered dataset are; None looks where ours and torch-fidelity's are.
        datasets_download: whether one that is not there is fetched.
        slot: what the input is called in messages: ``input1`` or ``input2``.

    Raises:
        UsageError: if the input is none of these, or an option cannot be meant.
        SourceError: if there are no images in it.
    """
    if isinstance(given, str) and given in DATASETS_REGISTRY:
        return _registered(given, datasets_root, datasets_download)
    if isinstance(given, str | Path):
        path = Path(given).expanduser()
        if path.is_dir():
            return SamplesFolder(given, samples_find_deep, samples_find_ext, samples_ext_lossy, samples_resize_and_crop)
        if is_model_file(path):
            given = load_model(path, model_z_size, model_z_type, model_num_classes, slot)
    if isinstance(given, GenerativeModelBase):
        return ModelSource(
            given, num_samples=model_num_samples, batch_size=batch_size, seed=rng_seed, device=device, slot=slot
        )
    return _other(given, slot)


def is_generator(given: object) -> bool:
    """Whether an input is a generator, or the file of one."""
    return isinstance(given, GenerativeModelBase) or (
        isinstance(given, str | Path) and is_model_file(Path(given).expanduser())
    )


def model_of(
    given: object,
    *,
    model_z_type: str = "normal",
    model_z_size: int | None = None,
    model_num_classes: int = 0,
    slot: str = "input1",
) -> GenerativeModelBase:
    """The generator that an input is, loaded if it is a file; for the Perceptual Path Length, and as ``source_of``.

    Raises:
        UsageError: if the input is no generator.
        SourceError: if the file is damaged or is none.
    """
    if isinstance(given, GenerativeModelBase):
        return given
    if isinstance(given, str | Path) and is_model_file(path := Path(given).expanduser()):
        return load_model(path, model_z_size, model_z_type, model_num_classes, slot)
    shown = f"'{given}'" if isinstance(given, str | Path) else f"a {type(given).__name__}"
    raise UsageError(
        f"{slot} is {shown}, and a path length is of a generator: give an .onnx or TorchScript .pth file with "
        f"{slot}_model_z_size, or a GenerativeModelBase"
    )


def _registered(name: str, root: str | Path | None, download: bool) -> ImageSource:
    """The images of a registered dataset."""
    make = DATASETS_REGISTRY[name]
    if isinstance(make, partial) and make.func is NamedDataset:
        made: object = make(root, download)
    else:
        folder = Path(torch.hub.get_dir()).expanduser().parent / "fidelity_datasets" if root is None else Path(root)
        folder.mkdir(parents=True, exist_ok=True)
        made = make(str(folder), download)
    if isinstance(made, SourceDataset):
        return made.source
    if not isinstance(made, Dataset):
        raise UsageError(f"dataset {name!r}: its function gave a {type(made).__name__}; expected a torch Dataset")
    return open_source(made)


def _other(given: object, slot: str) -> SourceLike:
    """What ``gm.evaluate`` takes beside torch-fidelity's inputs."""
    if given is None:
        raise UsageError(f"{slot} is missing; give {_EXPECTED}")
    if isinstance(given, SourceDataset):
        return given.source
    if isinstance(given, Dataset):
        return open_source(given)
    if not isinstance(given, str) or Path(given).expanduser().exists() or ":" in given:
        return given
    near = did_you_mean(given, [*DATASETS_REGISTRY])
    raise SourceError(
        f"{slot} is '{given}', which is neither registered nor a path that exists; {near}; else give {_EXPECTED}"
    )
