"""Functions of torch-fidelity's module of this name that people call: parts of ``calculate_metrics`` by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from genmetrics.compat.torch_fidelity.adapters import DEFAULT_FEATURE_EXTRACTOR, default_extractor, default_layer
from genmetrics.compat.torch_fidelity.feature_extractor_base import FeatureExtractorBase
from genmetrics.compat.torch_fidelity.features import (
    InputId,
    extract_featuresdict_from_input_id,
    extract_featuresdict_from_input_id_cached,
    get_featuresdict_from_dataset,
    get_featuresdict_from_generative_model,
    placed,
    prepare_input_from_id,
)
from genmetrics.compat.torch_fidelity.helpers import check_settings, get_kwarg, vprint
from genmetrics.compat.torch_fidelity.registry import (
    DATASETS_REGISTRY,
    feature_extractor,
    interpolation,
    noise_source,
    sample_similarity,
)
from genmetrics.compat.torch_fidelity.sample_similarity_base import SampleSimilarityBase
from genmetrics.compat.torch_fidelity.samples import glob_samples_paths
from genmetrics.errors import UsageError
from genmetrics.sources.noise import sampled

__all__ = [
    "DEFAULT_FEATURE_EXTRACTOR",
    "batch_interp",
    "create_feature_extractor",
    "create_sample_similarity",
    "extract_featuresdict_from_input_id",
    "extract_featuresdict_from_input_id_cached",
    "get_cacheable_input_name",
    "get_featuresdict_from_dataset",
    "get_featuresdict_from_generative_model",
    "glob_samples_paths",
    "prepare_input_from_id",
    "resolve_feature_extractor",
    "resolve_feature_layer_for_metric",
    "sample_random",
]


def create_feature_extractor(
    name: str, list_features: Sequence[str], cuda: bool = True, **settings: Any
) -> FeatureExtractorBase:
    """Make a registered feature extractor, in evaluation and without gradients.

    Args:
        name: its name.
        list_features: the features that it is to give.
        cuda: move it to the GPU, if there is one.
        settings: options of ``calculate_metrics``, which its class is called with: above all
            ``feature_extractor_weights_path``, ``feature_extractor_internal_dtype`` and ``feature_extractor_compile``.

    Raises:
        UnknownNameError: if nothing of that name is registered.
        UsageError: if an option is unknown or cannot be meant.
    """
    check_settings(settings)
    vprint(settings.get("verbose", True), f"feature extractor '{name}', features {', '.join(list_features)}")
    made = feature_extractor(name)(name, list_features, **settings)
    made.requires_grad_(False)
    placed(made, cuda, settings.get("verbose", True))
    if settings.get("feature_extractor_compile") and made.can_be_compiled():
        made.compile()
    return made


def create_sample_similarity(name: str, cuda: bool = True, **settings: Any) -> SampleSimilarityBase:
    """Make a registered similarity of two images, in evaluation.

    Args:
        name: its name.
        cuda: move it to the GPU, if there is one.
        settings: what its class is called with: ``sample_similarity_resize``, ``sample_similarity_dtype``, and options
            of ``calculate_metrics``.

    Raises:
        UnknownNameError: if nothing of that name is registered.
        UsageError: if an option is unknown or cannot be meant.
    """
    own = ("sample_similarity_resize", "sample_similarity_dtype")
    check_settings({option: value for option, value in settings.items() if option not in own})
    vprint(settings.get("verbose", True), f"sample similarity '{name}'")
    made = sample_similarity(name)(name, **settings)
    placed(made, cuda, settings.get("verbose", True))
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


def resolve_feature_extractor(**settings: Any) -> str:
    """The feature extractor that settings ask for: the one that is named, or that of the metrics that are.

    Args:
        settings: options of ``calculate_metrics``.

    Raises:
        UsageError: if no metric of features is asked for, or they have different ones.
    """
    check_settings(settings)
    named = get_kwarg("feature_extractor", settings)
    if named is None:
        asked = {default_extractor(name) for name in DEFAULT_FEATURE_EXTRACTOR if get_kwarg(name, settings)}
        if len(asked) != 1:
            why = f"those of the metrics are {' and '.join(sorted(asked))}" if asked else "no metric was asked for"
            raise UsageError(f"no feature extractor is named, and {why}; give feature_extractor='inception-v3-compat'")
        [named] = asked
    feature_extractor(named)
    return str(named)


def resolve_feature_layer_for_metric(metric: str, **settings: Any) -> str:
    """The layer that a metric takes: the one that is named for it, or the extractor's choice.

    Args:
        metric: ``isc``, ``fid``, ``kid``, ``prc`` or ``mind``.
        settings: options of ``calculate_metrics``.

    Raises:
        UsageError: if neither names one.
    """
    default_extractor(metric)
    named = get_kwarg(f"feature_layer_{metric}", settings)
    return default_layer(resolve_feature_extractor(**settings), metric) if named is None else str(named)


def get_cacheable_input_name(input_id: InputId, **settings: Any) -> str | None:
    """The name under which torch-fidelity would keep an input's features; None for none.

    Args:
        input_id: 1 or 2 for ``input1`` or ``input2`` of the settings, or the name of a registered dataset.
        settings: options of ``calculate_metrics``.

    Raises:
        UsageError: if an option is unknown.
    """
    check_settings(settings)
    given = input_id if isinstance(input_id, str) else get_kwarg(f"input{input_id}", settings)
    if isinstance(given, str) and given in DATASETS_REGISTRY:
        return given
    name: str | None = get_kwarg(f"input{input_id}_cache_name", settings)
    return name
