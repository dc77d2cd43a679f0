"""What has a name in torch-fidelity: datasets, feature extractors, similarities, noise and interpolations.

The built-in ones are there; the functions add others, which ``calculate_metrics`` then takes by their names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from torch import Tensor
from torch.utils.data import Dataset

from genmetrics.compat.torch_fidelity.datasets import NamedDataset
from genmetrics.compat.torch_fidelity.feature_extractor_base import FeatureExtractorBase
from genmetrics.compat.torch_fidelity.feature_extractor_clip import FeatureExtractorCLIP
from genmetrics.compat.torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2
from genmetrics.compat.torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from genmetrics.compat.torch_fidelity.feature_extractor_vgg16 import FeatureExtractorVGG16
from genmetrics.compat.torch_fidelity.networks import ABSENT, BUILT_IN, built_in
from genmetrics.compat.torch_fidelity.noise import batch_lerp, batch_slerp_any, batch_slerp_unit
from genmetrics.compat.torch_fidelity.noise_options import NOISE_SOURCE_REGISTRY, NoiseSource, noise_source
from genmetrics.compat.torch_fidelity.sample_similarity_base import SampleSimilarityBase
from genmetrics.compat.torch_fidelity.sample_similarity_lpips import SampleSimilarityLPIPS
from genmetrics.errors import UnknownNameError, UsageError
from genmetrics.registry import did_you_mean

__all__ = [
    "DATASETS_REGISTRY",
    "FEATURE_EXTRACTORS_REGISTRY",
    "INTERPOLATION_REGISTRY",
    "NOISE_SOURCE_REGISTRY",
    "SAMPLE_SIMILARITY_REGISTRY",
    "feature_extractor",
    "interpolation",
    "noise_source",
    "register_dataset",
    "register_feature_extractor",
    "register_interpolation",
    "register_noise_source",
    "register_sample_similarity",
    "sample_similarity",
]

Entry = TypeVar("Entry")
MakeDataset = Callable[[Any, bool], Dataset[Any]]
Interpolation = Callable[[Tensor, Tensor, float], Tensor]

DATASETS_REGISTRY: dict[str, MakeDataset] = {
    name: partial(NamedDataset, *split)
    for name, split in {
        "cifar10-train": ("cifar10", "train"),
        "cifar10-val": ("cifar10", "test"),
        "cifar100-train": ("cifar100", "train"),
        "cifar100-val": ("cifar100", "test"),
        "stl10-train": ("stl10", "train"),
        "stl10-test": ("stl10", "test"),
        "stl10-unlabeled": ("stl10", "unlabeled"),
    }.items()
}
_CLASSES: Mapping[str, type[FeatureExtractorBase]] = {
    "inception": FeatureExtractorInceptionV3,
    "vgg16": FeatureExtractorVGG16,
    "clip": FeatureExtractorCLIP,
    "dinov2": FeatureExtractorDinoV2,
}
FEATURE_EXTRACTORS_REGISTRY: dict[str, type[FeatureExtractorBase]] = {
    name: _CLASSES[name.partition("-")[0]] for name in BUILT_IN
}
SAMPLE_SIMILARITY_REGISTRY: dict[str, type[SampleSimilarityBase]] = {"lpips-vgg16": SampleSimilarityLPIPS}
INTERPOLATION_REGISTRY: dict[str, Interpolation] = {
    "lerp": batch_lerp,
    "slerp_any": batch_slerp_any,
    "slerp_unit": batch_slerp_unit,
}


def register_dataset(name: str, fn_create: MakeDataset) -> None:
    """Let a name stand for a dataset.

    Args:
        name: the name.
        fn_create: called with ``root``, a folder, and ``download``, whether files may be fetched there; gives a torch
            ``Dataset``.

    Raises:
        UsageError: if the name is taken or cannot be one, or the second argument cannot be called.
    """
    if not callable(fn_create):
        raise UsageError(f"dataset {name!r} is {fn_create!r}; expected a function of root and download that makes it")
    _add(DATASETS_REGISTRY, "dataset", name, fn_create)


def register_feature_extractor(name: str, cls: type[FeatureExtractorBase]) -> None:
    """Let a name stand for a feature extractor.

    Args:
        name: the name.
        cls: a subclass of ``FeatureExtractorBase``; it is called with the name, the wanted features and everything
            that ``calculate_metrics`` was given.

    Raises:
        UsageError: if the name is taken or cannot be one, or the second argument is no such class.
    """
    _check_class("feature extractor", name, cls, FeatureExtractorBase)
    _add(FEATURE_EXTRACTORS_REGISTRY, "feature extractor", name, cls)


def register_sample_similarity(name: str, cls: type[SampleSimilarityBase]) -> None:
    """Let a name stand for a similarity of two images.

    Args:
        name: the name.
        cls: a subclass of ``SampleSimilarityBase``; it is called with the name, ``sample_similarity_resize``,
            ``sample_similarity_dtype`` and everything that ``calculate_metrics`` was given.

    Raises:
        UsageError: if the name is taken or cannot be one, or the second argument is no such class.
    """
    _check_class("sample similarity", name, cls, SampleSimilarityBase)
    _add(SAMPLE_SIMILARITY_REGISTRY, "sample similarity", name, cls)


def register_noise_source(name: str, fn_generate: NoiseSource) -> None:
    """Let a name stand for noise that generators are given.

    Args:
        name: the name.
        fn_generate: called with a ``numpy.random.RandomState`` of the run's seed and a shape, (n, z_size); gives
            float32 noise.

    Raises:
        UsageError: if the name is taken or cannot be one, or the second argument cannot be called.
    """
    if not callable(fn_generate):
        raise UsageError(f"noise source {name!r} is {fn_generate!r}; expected a function of rng and shape")
    _add(NOISE_SOURCE_REGISTRY, "noise source", name, fn_generate)


def register_interpolation(name: str, fn_interpolate: Interpolation) -> None:
    """Let a name stand for a way from one noise to another.

    Args:
        name: the name.
        fn_interpolate: called with two batches of noise and a number in 0..1.

    Raises:
        UsageError: if the name is taken or cannot be one, or the second argument cannot be called.
    """
    if not callable(fn_interpolate):
        raise UsageError(f"interpolation {name!r} is {fn_interpolate!r}; expected a function of a, b and t")
    _add(INTERPOLATION_REGISTRY, "interpolation", name, fn_interpolate)


def feature_extractor(name: str) -> type[FeatureExtractorBase]:
    """The class of a registered feature extractor.

    Raises:
        UnknownNameError: if there is none of that name.
        UsageError: if it is one of torch-fidelity's that genmetrics does not have.
    """
    if name in ABSENT and name not in FEATURE_EXTRACTORS_REGISTRY:
        built_in(name, "clip")
    return _entry(FEATURE_EXTRACTORS_REGISTRY, "feature extractor", name)


def sample_similarity(name: str) -> type[SampleSimilarityBase]:
    """The class of a registered similarity.

    Raises:
        UnknownNameError: if there is none of that name.
    """
    return _entry(SAMPLE_SIMILARITY_REGISTRY, "sample similarity", name)


def interpolation(name: str) -> Interpolation:
    """A registered interpolation.

    Raises:
        UnknownNameError: if there is none of that name.
    """
    return _entry(INTERPOLATION_REGISTRY, "interpolation", name)


def _entry(registry: Mapping[str, Entry], kind: str, name: str) -> Entry:
    if name not in registry:
        raise UnknownNameError(
            f"{kind} {name!r} is not registered; {did_you_mean(name, list(registry))} "
            f"(register_{kind.replace(' ', '_')} adds yours)"
        )
    return registry[name]


def _check_class(kind: str, name: str, cls: object, base: type) -> None:
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise UsageError(f"{kind} {name!r} is {cls!r}; expected a subclass of {base.__name__}")


def _add(registry: dict[str, Entry], kind: str, name: str, entry: Entry) -> None:
    if not isinstance(name, str) or not name or name.strip() != name or "/" in name or "\\" in name:
        raise UsageError(f"a {kind} cannot be named {name!r}; expected a text without slashes or spaces around it")
    if name in registry:
        raise UsageError(f"{kind} {name!r} is registered already; choose another name")
    registry[name] = entry
