"""Features of inputs, computed by a feature extractor itself, outside of any metric."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.data import Dataset

from genmetrics.compat.torch_fidelity.datasets import SourceDataset
from genmetrics.compat.torch_fidelity.feature_extractor_base import FeatureExtractorBase
from genmetrics.compat.torch_fidelity.generative_model_base import GenerativeModelBase
from genmetrics.compat.torch_fidelity.helpers import check_settings, get_kwarg, vprint
from genmetrics.compat.torch_fidelity.inputs import is_generator, model_of, source_of
from genmetrics.compat.torch_fidelity.models import ModelSource
from genmetrics.compat.torch_fidelity.registry import DATASETS_REGISTRY
from genmetrics.engine.options import Options
from genmetrics.engine.sides import open_side
from genmetrics.errors import UsageError
from genmetrics.sources.base import BatchSpec, ImageSource
from genmetrics.sources.loader import ItemSource
from genmetrics.sources.parse import open_source
from genmetrics.types import Shard

__all__ = [
    "extract_featuresdict_from_input_id",
    "extract_featuresdict_from_input_id_cached",
    "get_featuresdict_from_dataset",
    "get_featuresdict_from_generative_model",
    "placed",
    "prepare_input_from_id",
]

#: The options of ``calculate_metrics`` that decide on the images of both inputs.
_OF_SOURCES = (
    "batch_size",
    "rng_seed",
    "samples_find_deep",
    "samples_find_ext",
    "samples_ext_lossy",
    "samples_resize_and_crop",
    "datasets_root",
    "datasets_download",
)
#: Which input: 1 or 2 of the settings, or a registered dataset.
InputId = int | str


def prepare_input_from_id(input_id: InputId, **settings: Any) -> Dataset[Any] | GenerativeModelBase:
    """An input as torch-fidelity's functions take it: a dataset of uint8 images, or a generator.

    Args:
        input_id: 1 or 2 for ``input1`` or ``input2`` of the settings, or the name of a registered dataset.
        settings: options of ``calculate_metrics``.

    Raises:
        UsageError: if the input cannot be one, or an option is unknown.
        SourceError: if there are no images in it.
    """
    given, slot, of_models = _input(input_id, settings)
    if is_generator(given):
        del of_models["model_num_samples"]
        return model_of(given, slot=slot, **of_models)
    if isinstance(given, Dataset):
        return given
    source = _source(input_id, settings)
    if not isinstance(source, ItemSource):
        raise UsageError(f"{slot} is a {source.kind}, whose images have no places by which they are read")
    return SourceDataset(source)


def extract_featuresdict_from_input_id(
    input_id: InputId, feat_extractor: FeatureExtractorBase, **settings: Any
) -> dict[str, Float[Tensor, "n _"]]:
    """The features of an input's images, in their order and on the CPU.

    Args:
        input_id: 1 or 2 for ``input1`` or ``input2`` of the settings, or the name of a registered dataset.
        feat_extractor: computes them.
        settings: options of ``calculate_metrics``.

    Raises:
        UsageError: if the input cannot be one, or an option is unknown.
        SourceError: if there are no images in it.
    """
    source = _source(input_id, settings)
    options = [get_kwarg(name, settings) for name in ("batch_size", "cuda", "verbose")]
    return _features(source, feat_extractor, *options)


def extract_featuresdict_from_input_id_cached(
    input_id: InputId, feat_extractor: FeatureExtractorBase, **settings: Any
) -> dict[str, Float[Tensor, "n _"]]:
    """The same.

    torch-fidelity keeps features in files that a name alone tells apart, and takes those of another set for these. Here
    they are computed; our engine keeps statistics, which it knows by what they were made of.
    """
    return extract_featuresdict_from_input_id(input_id, feat_extractor, **settings)


def _input(input_id: InputId, settings: dict[str, Any]) -> tuple[Any, str, dict[str, Any]]:
    """What was given, what it is called, and the options of a generator."""
    check_settings(settings)
    if isinstance(input_id, str) and input_id in DATASETS_REGISTRY:
        return input_id, f"'{input_id}'", {}
    if input_id not in (1, 2):
        known = ", ".join(map(repr, DATASETS_REGISTRY))
        raise UsageError(f"input {input_id!r}: expected 1, 2 or the name of a registered dataset: {known}")
    slot = f"input{input_id}"
    names = ("model_z_type", "model_z_size", "model_num_classes", "model_num_samples")
    return get_kwarg(slot, settings), slot, {name: get_kwarg(f"{slot}_{name}", settings) for name in names}


def _source(input_id: InputId, settings: dict[str, Any]) -> ImageSource:
    given, slot, of_models = _input(input_id, settings)
    options = {name: get_kwarg(name, settings) for name in _OF_SOURCES}
    opened = source_of(given, slot=slot, device=_device(get_kwarg("cuda", settings)), **of_models, **options)
    source = open_side(opened, "gen", Options()).source
    if source is None:
        raise UsageError(f"{slot} is '{given}', which holds statistics; expected images")
    return source


def get_featuresdict_from_dataset(
    input: Dataset[Any],
    feat_extractor: FeatureExtractorBase,
    batch_size: int,
    cuda: bool,
    save_cpu_ram: bool,
    verbose: bool,
) -> dict[str, Float[Tensor, "n _"]]:
    """The features of a dataset's images, in their order and on the CPU.

    Args:
        input: gives uint8 images (3, h, w), or whatever else genmetrics takes of a torch ``Dataset``.
        feat_extractor: computes them where it is.
        batch_size: how many images at once; images of other sizes wait for their like.
        cuda: the extractor is on the GPU, and is moved there if not.
        save_cpu_ram: has no effect: images are read as they are needed.
        verbose: write to standard error how many images there are.

    Raises:
        SourceError: if there are no images in it.
    """
    return _features(open_source(input), feat_extractor, batch_size, cuda, verbose)


def get_featuresdict_from_generative_model(
    gen_model: GenerativeModelBase,
    feat_extractor: FeatureExtractorBase,
    num_samples: int,
    batch_size: int,
    cuda: bool,
    rng_seed: int,
    verbose: bool,
) -> dict[str, Float[Tensor, "n _"]]:
    """The features of a generator's images, in their order and on the CPU.

    Args:
        gen_model: gives uint8 images (n, 3, h, w).
        feat_extractor: computes them where it is.
        num_samples: how many images.
        batch_size: how many at once.
        cuda: both are on the GPU, and are moved there if not.
        rng_seed: of the noise and the labels.
        verbose: write to standard error how many images there are.

    Raises:
        UsageError: if the generator gives something else, or an option cannot be meant.
    """
    source = ModelSource(
        gen_model,
        num_samples=num_samples,
        batch_size=batch_size,
        seed=rng_seed,
        device=_device(cuda),
        slot="input1",
    )
    return _features(source, feat_extractor, batch_size, cuda, verbose)


def _features(
    source: ImageSource, network: FeatureExtractorBase, batch_size: int, cuda: bool, verbose: bool
) -> dict[str, Tensor]:
    vprint(verbose, f"{source.description}: features of {len(source):,} images")
    placed(network, cuda, verbose)
    home = next((tensor.device for tensor in (*network.parameters(), *network.buffers())), torch.device("cpu"))
    parts: dict[str, list[Tensor]] = {}
    indices = []
    with torch.no_grad():
        for batch in source.batches(Shard(), BatchSpec(batch_size=batch_size)):
            indices.append(batch.indices)
            found = network.convert_features_tuple_to_dict(network(batch.images.to(home)))
            for name, values in found.items():
                parts.setdefault(name, []).append(values.cpu())
    order = torch.cat(indices).argsort()
    return {name: torch.cat(values)[order] for name, values in parts.items()}


def placed(module: nn.Module, cuda: bool, verbose: bool) -> None:
    """Put a module into evaluation, and on the GPU if that is wanted and there is one.

    Args:
        module: the module.
        cuda: whether it is wanted.
        verbose: say on standard error that there is none.
    """
    module.eval()
    if _device(cuda) == "cuda":
        module.cuda()
    else:
        vprint(verbose and cuda, "note: no CUDA device was found; the CPU computes")


def _device(cuda: bool) -> str:
    return "cuda" if cuda and torch.cuda.is_available() else "cpu"
