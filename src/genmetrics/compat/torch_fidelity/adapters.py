"""From torch-fidelity's inputs and feature extractors to what our engine takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import Dataset

from genmetrics.compat.torch_fidelity.datasets import NamedDataset
from genmetrics.compat.torch_fidelity.feature_extractor_base import BuiltInFeatureExtractor, FeatureExtractorBase
from genmetrics.compat.torch_fidelity.generative_model_base import GenerativeModelBase
from genmetrics.compat.torch_fidelity.helpers import internal_dtype as dtype_of
from genmetrics.compat.torch_fidelity.models import ModelSource, is_model_file, load_model
from genmetrics.compat.torch_fidelity.networks import BUILT_IN
from genmetrics.compat.torch_fidelity.registry import (
    DATASETS_REGISTRY,
    FEATURE_EXTRACTORS_REGISTRY,
    feature_extractor,
)
from genmetrics.compat.torch_fidelity.samples import SamplesFolder
from genmetrics.compat.torch_fidelity.wrapped import PREPROCESS, wrap
from genmetrics.engine.sides import SourceLike
from genmetrics.errors import SourceError, UsageError
from genmetrics.extractors import EXTRACTORS
from genmetrics.registry import did_you_mean
from genmetrics.sources.base import BatchSpec, ImageSource
from genmetrics.sources.loader import ItemSource
from genmetrics.sources.parse import open_source
from genmetrics.types import MetricInfo, Shard

__all__ = [
    "DEFAULT_FEATURE_EXTRACTOR",
    "Network",
    "default_extractor",
    "default_layer",
    "extractor_of",
    "model_of",
    "source_of",
]

DEFAULT_FEATURE_EXTRACTOR: Mapping[str, str] = MappingProxyType(
    {**dict.fromkeys(("isc", "fid", "kid", "mind"), "inception-v3-compat"), "prc": "vgg16"}
)
_EXPECTED = (
    "the name of a registered dataset, a folder of images, a generator in an .onnx or TorchScript .pth file, a torch "
    "Dataset of uint8 images, a GenerativeModelBase, or what gm.evaluate takes: statistics, an archive, a tensor"
)


@dataclass(frozen=True)
class Network:
    """A feature extractor of torch-fidelity's names, as our engine is asked for it.

    Attributes:
        extractor: the id of our extractor.
        preprocess: the id of the preprocessing.
        features: the name of our output for each layer that was asked for.
        weights: the weight file that our engine is to be given for it; None for none.
    """

    extractor: str
    preprocess: str
    features: Mapping[str, str]
    weights: Path | None

    def metric(self, metric: MetricInfo, layer: str) -> MetricInfo:
        """A metric of our registry on one of the layers of this network.

        Args:
            metric: such as ``METRICS.get("kid")``.
            layer: torch-fidelity's name of it.
        """
        info = replace(metric, extractor=self.extractor, feature=self.features[layer], preprocess=self.preprocess)
        if info == metric:
            return metric
        return replace(info, id=f"{metric.generic or metric.id}.{self.extractor}.{layer}", equals="")

    @property
    def weights_option(self) -> dict[str, Path]:
        """What ``weights=`` of our engine is to be given."""
        return {} if self.weights is None else {self.extractor: self.weights}


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


def extractor_of(
    name: str,
    layers: Sequence[str],
    *,
    weights_path: str | Path | None = None,
    internal_dtype: str | None = None,
    example: Tensor | SourceLike | None = None,
    settings: Mapping[str, object] = MappingProxyType({}),
) -> Network:
    """A registered feature extractor as our engine is asked for it.

    A built-in one is ours, of the same numbers. One that was registered, or a built-in one in float64, is wrapped: it
    gets uint8 images and its tuple becomes named features.

    Args:
        name: a registered name.
        layers: the features that are wanted.
        weights_path: ``feature_extractor_weights_path``.
        internal_dtype: ``feature_extractor_internal_dtype``: ``float32``, ``float64`` or None.
        example: what to find the widths of a wrapped one's features with: images (n, 3, h, w) uint8, or a source, of
            which one image is read; None takes one of 299x299.
        settings: all that ``calculate_metrics`` was given, by name, which the class of a wrapped one is called with.

    Raises:
        UnknownNameError: if nothing of that name is registered.
        UsageError: if it has no such layer, or cannot be used.
        SourceError: if the example cannot be read.
    """
    if name not in FEATURE_EXTRACTORS_REGISTRY and name in EXTRACTORS:
        ours = EXTRACTORS.get(name)
        unknown = [layer for layer in layers if layer not in ours.features]
        if unknown:
            raise UsageError(
                f"extractor {name!r} has no output {unknown[0]!r}; its outputs: {', '.join(ours.features)}"
            )
        weights = None if weights_path is None else Path(weights_path)
        return Network(name, ours.preprocess, {layer: layer for layer in layers}, weights)
    cls = feature_extractor(name)
    exact = dtype_of(internal_dtype) == torch.float64
    known = BUILT_IN.get(name) if issubclass(cls, BuiltInFeatureExtractor) else None
    if known is not None:
        unknown = [layer for layer in layers if layer not in known.features]
        if unknown:
            raise UsageError(
                f"feature extractor {name!r} has no feature {unknown[0]!r}; it provides: "
                f"{', '.join(map(repr, known.features))}"
            )
        if not exact:
            features = {layer: known.features[layer] for layer in layers}
            weights = None if weights_path is None else Path(weights_path)
            return Network(known.extractor, known.preprocess, features, weights)
    given = {option: value for option, value in settings.items() if option != "cuda"}
    if weights_path is not None:
        given["feature_extractor_weights_path"] = str(weights_path)
    if internal_dtype is not None:
        given["feature_extractor_internal_dtype"] = internal_dtype
    widths = None
    if known is not None:
        of_ours = EXTRACTORS.get(known.extractor).features
        widths = {layer: of_ours[known.features[layer]] for layer in layers}
    image = None if widths is not None else _first_image(example)
    made = wrap(f"{name}.float64" if exact else name, partial(_made, cls, name, list(layers), given), image, widths)
    return Network(made.id, PREPROCESS, {layer: layer for layer in layers}, None)


def default_extractor(metric: str) -> str:
    """The feature extractor that a metric has unless another is named: ``isc``, ``fid``, ``kid``, ``mind``, ``prc``.

    Raises:
        UsageError: if there is no such metric.
    """
    if metric not in DEFAULT_FEATURE_EXTRACTOR:
        raise UsageError(
            f"no metric of features is called {metric!r}; {did_you_mean(metric, [*DEFAULT_FEATURE_EXTRACTOR])}"
        )
    return DEFAULT_FEATURE_EXTRACTOR[metric]


def default_layer(extractor: str, metric: str) -> str:
    """The layer of a feature extractor that a metric takes unless another is named.

    Raises:
        UnknownNameError: if no extractor of that name is registered.
        UsageError: if the extractor names none for this metric.
    """
    default_extractor(metric)
    if extractor not in FEATURE_EXTRACTORS_REGISTRY and extractor in EXTRACTORS:
        ours = EXTRACTORS.get(extractor)
        layer = ours.logits if metric == "isc" else ours.pool
    else:
        try:
            layer = feature_extractor(extractor).get_default_feature_layer_for_metric(metric)
        except (KeyError, NotImplementedError):
            layer = None
    if layer is None:
        raise UsageError(
            f"feature extractor {extractor!r} names no layer for {metric!r}; give feature_layer_{metric}=…"
        )
    return layer


def _registered(name: str, root: str | Path | None, download: bool) -> ImageSource:
    """The images of a registered dataset."""
    make = DATASETS_REGISTRY[name]
    if isinstance(make, partial) and make.func is NamedDataset:
        made: object = make(root, download)
    else:
        folder = Path(torch.hub.get_dir()).expanduser().parent / "fidelity_datasets" if root is None else Path(root)
        folder.mkdir(parents=True, exist_ok=True)
        made = make(str(folder), download)
    if isinstance(made, NamedDataset):
        return made.source
    if not isinstance(made, Dataset):
        raise UsageError(f"dataset {name!r}: its function gave a {type(made).__name__}; expected a torch Dataset")
    return open_source(made)


def _other(given: object, slot: str) -> SourceLike:
    """What ``gm.evaluate`` takes beside torch-fidelity's inputs."""
    if given is None:
        raise UsageError(f"{slot} is missing; give {_EXPECTED}")
    if isinstance(given, Dataset):
        return open_source(given)
    if not isinstance(given, str) or Path(given).expanduser().exists() or ":" in given:
        return given
    near = did_you_mean(given, [*DATASETS_REGISTRY])
    raise SourceError(
        f"{slot} is '{given}', which is neither registered nor a path that exists; {near}; else give {_EXPECTED}"
    )


def _made(
    cls: type[FeatureExtractorBase], name: str, layers: list[str], given: Mapping[str, Any]
) -> FeatureExtractorBase:
    """An extractor made as torch-fidelity makes it, and compiled if that is wanted."""
    made = cls(name, layers, **given)
    if given.get("feature_extractor_compile") and made.can_be_compiled():
        made.compile()
    return made


def _first_image(example: Tensor | SourceLike | None) -> UInt8[Tensor, "1 3 h w"] | None:
    """The first of some images; None where it is not to be had without reading what cannot be read again."""
    if example is None or isinstance(example, Tensor):
        return None if example is None else example[:1]
    source = example if isinstance(example, ImageSource) else None
    if isinstance(source, ModelSource):
        return source.first_image()
    if not isinstance(source, ItemSource) or source.kind in ("iterable", "loader", "generator"):
        return None
    batch = next(iter(source.batches(Shard(0, len(source)), BatchSpec(batch_size=1))))
    return batch.images[:1]
