"""Functions of torch-fidelity's module of this name that people call: parts of ``calculate_metrics`` by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.data import Dataset

from genmetrics.compat.torch_fidelity.adapters import DEFAULT_FEATURE_EXTRACTOR
from genmetrics.compat.torch_fidelity.feature_extractor_base import FeatureExtractorBase
from genmetrics.compat.torch_fidelity.generative_model_base import GenerativeModelBase
from genmetrics.compat.torch_fidelity.helpers import check_settings, vprint
from genmetrics.compat.torch_fidelity.models import ModelSource
from genmetrics.compat.torch_fidelity.registry import (
    feature_extractor,
    interpolation,
    noise_source,
    sample_similarity,
)
from genmetrics.compat.torch_fidelity.sample_similarity_base import SampleSimilarityBase
from genmetrics.compat.torch_fidelity.samples import glob_samples_paths
from genmetrics.errors import DeviceError
from genmetrics.sources.base import BatchSpec, ImageSource
from genmetrics.sources.noise import sampled
from genmetrics.sources.parse import open_source
from genmetrics.types import Shard

__all__ = [
    "DEFAULT_FEATURE_EXTRACTOR",
    "batch_interp",
    "create_feature_extractor",
    "create_sample_similarity",
    "get_featuresdict_from_dataset",
    "get_featuresdict_from_generative_model",
    "glob_samples_paths",
    "sample_random",
]


def create_feature_extractor(
    name: str, list_features: Sequence[str], cuda: bool = True, **settings: Any
) -> FeatureExtractorBase:
    """Make a registered feature extractor, in evaluation and without gradients.

    Args:
        name: its name.
        list_features: the features that it is to give.
        cuda: move it to the GPU.
        settings: options of ``calculate_metrics``, which its class is called with: above all
            ``feature_extractor_weights_path``, ``feature_extractor_internal_dtype`` and ``feature_extractor_compile``.

    Raises:
        UnknownNameError: if nothing of that name is registered.
        UsageError: if an option is unknown or cannot be meant.
        DeviceError: if there is no GPU.
    """
    check_settings(settings)
    vprint(settings.get("verbose", True), f"feature extractor '{name}', features {', '.join(list_features)}")
    made = feature_extractor(name)(name, list_features, **settings)
    made.requires_grad_(False)
    _placed(made, cuda)
    if settings.get("feature_extractor_compile") and made.can_be_compiled():
        made.compile()
    return made


def create_sample_similarity(name: str, cuda: bool = True, **settings: Any) -> SampleSimilarityBase:
    """Make a registered similarity of two images, in evaluation.

    Args:
        name: its name.
        cuda: move it to the GPU.
        settings: what its class is called with: ``sample_similarity_resize``, ``sample_similarity_dtype``, and options
            of ``calculate_metrics``.

    Raises:
        UnknownNameError: if nothing of that name is registered.
        UsageError: if an option is unknown or cannot be meant.
        DeviceError: if there is no GPU.
    """
    own = ("sample_similarity_resize", "sample_similarity_dtype")
    check_settings({option: value for option, value in settings.items() if option not in own})
    vprint(settings.get("verbose", True), f"sample similarity '{name}'")
    made = sample_similarity(name)(name, **settings)
    _placed(made, cuda)
    return made


def sample_random(rng: np.random.RandomState, shape: tuple[int, ...], z_type: str) -> Float[Tensor, "*shape"]:
    """Noise of a registered source.

    Raises:
        UnknownNameError: if nothing of that name is registered.
        UsageError: if it gives something else than numbers of that shape.
    """
    return sampled(noise_source(z_type), rng, shape)


def batch_interp(a: Tensor, b: Tensor, t: float, method: str) -> Tensor:
    """The point at ``t`` of the way from ``a`` to ``b`` by a registered interpolation.

    Raises:
        UnknownNameError: if nothing of that name is registered.
    """
    return interpolation(method)(a, b, t)


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
    device = "cuda" if cuda else "cpu"
    source = ModelSource(
        gen_model, num_samples=num_samples, batch_size=batch_size, seed=rng_seed, device=device, slot="input1"
    )
    return _features(source, feat_extractor, batch_size, cuda, verbose)


def _features(
    source: ImageSource, network: FeatureExtractorBase, batch_size: int, cuda: bool, verbose: bool
) -> dict[str, Tensor]:
    vprint(verbose, f"{source.description}: features of {len(source):,} images")
    _placed(network, cuda)
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


def _placed(module: nn.Module, cuda: bool) -> None:
    """Put a module into evaluation, and on the GPU if that is wanted.

    Raises:
        DeviceError: if there is none.
    """
    module.eval()
    if cuda and not torch.cuda.is_available():
        raise DeviceError("cuda=True was given, and torch finds no CUDA device on this machine; give cuda=False")
    if cuda:
        module.cuda()
