"""From torch-fidelity's feature extractors to those of our engine; and, from ``inputs``, its inputs to our sources."""

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

from genmetrics.compat.torch_fidelity.defaults import DEFAULTS
from genmetrics.compat.torch_fidelity.feature_extractor_base import BuiltInFeatureExtractor, FeatureExtractorBase
from genmetrics.compat.torch_fidelity.helpers import internal_dtype as dtype_of
from genmetrics.compat.torch_fidelity.inputs import model_of, source_of
from genmetrics.compat.torch_fidelity.models import ModelSource
from genmetrics.compat.torch_fidelity.networks import BUILT_IN
from genmetrics.compat.torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY, feature_extractor
from genmetrics.compat.torch_fidelity.wrapped import PREPROCESS, wrap
from genmetrics.engine.options import Options
from genmetrics.engine.sides import SourceLike, open_side
from genmetrics.errors import UsageError
from genmetrics.extractors import EXTRACTORS
from genmetrics.registry import did_you_mean
from genmetrics.sources.base import BatchSpec
from genmetrics.sources.loader import ItemSource
from genmetrics.types import ExtractorInfo, MetricInfo, Shard

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
        settings: what ``calculate_metrics`` was told, by name; the class of a wrapped one is called with those that are
            not what they are by default.

    Raises:
        UnknownNameError: if nothing of that name is registered.
        UsageError: if it has no such layer, or cannot be used.
        SourceError: if the example cannot be read.
    """
    exact = dtype_of(internal_dtype) == torch.float64
    if name not in FEATURE_EXTRACTORS_REGISTRY and name in EXTRACTORS:
        return _of_ours(EXTRACTORS.get(name), layers, weights_path, exact)
    cls = feature_extractor(name)
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
    given = _given(settings)
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


def _of_ours(info: ExtractorInfo, layers: Sequence[str], weights_path: str | Path | None, exact: bool) -> Network:
    """One of our extractors by its own id."""
    unknown = [layer for layer in layers if layer not in info.features]
    if unknown:
        raise UsageError(f"extractor {info.id!r} has no output {unknown[0]!r}; its outputs: {', '.join(info.features)}")
    if exact:
        raise UsageError(
            f"extractor {info.id!r} computes in float32 alone; leave out feature_extractor_internal_dtype='float64', "
            f"which these do in it: {', '.join(BUILT_IN)}"
        )
    weights = None if weights_path is None else Path(weights_path)
    return Network(info.id, info.preprocess, {layer: layer for layer in layers}, weights)


def _given(settings: Mapping[str, object]) -> dict[str, Any]:
    """What torch-fidelity calls a class with: what was given, and not what is so anyway; never ``cuda``."""
    plain = (bool, int, float, str)
    return {
        option: value
        for option, value in settings.items()
        if option != "cuda" and value is not None and not (isinstance(value, plain) and value == DEFAULTS.get(option))
    }


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
    source = open_side(example, "gen", Options()).source
    if isinstance(source, ModelSource):
        return source.first_image()
    if not isinstance(source, ItemSource) or source.kind in ("iterable", "loader", "generator"):
        return None
    batch = next(iter(source.batches(Shard(0, len(source)), BatchSpec(batch_size=1))))
    return batch.images[:1]
