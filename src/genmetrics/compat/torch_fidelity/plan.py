"""Which metrics run on which networks, and their figures under torch-fidelity's keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from genmetrics.compat.torch_fidelity.adapters import Network, default_extractor, default_layer, extractor_of
from genmetrics.compat.torch_fidelity.described import described
from genmetrics.compat.torch_fidelity.metric_fid import KEY_METRIC_FID
from genmetrics.compat.torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, KEY_METRIC_ISC_STD
from genmetrics.compat.torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD
from genmetrics.compat.torch_fidelity.metric_mind import KEY_METRIC_MIND
from genmetrics.compat.torch_fidelity.metric_prc import KEY_METRIC_F_SCORE, KEY_METRIC_PRECISION, KEY_METRIC_RECALL
from genmetrics.compat.torch_fidelity.settings import Settings
from genmetrics.engine.sides import SourceLike
from genmetrics.types import MetricInfo, MetricResult

__all__ = ["COMPARING", "OF_FEATURES", "Asked", "asked_of", "figures_of"]

#: The metrics of features, in the order of torch-fidelity's results.
OF_FEATURES = ("isc", "fid", "kid", "prc", "mind")
#: Those that need a second input.
COMPARING = ("fid", "kid", "prc", "mind")


@dataclass(frozen=True)
class Asked:
    """What our engine is asked for.

    Attributes:
        metrics: by torch-fidelity's name of each.
        networks: the feature extractors, by the name of each.
    """

    metrics: Mapping[str, MetricInfo]
    networks: Mapping[str, Network]


def asked_of(settings: Settings, example: SourceLike) -> Asked:
    """The metrics of features that were asked for, each on its feature extractor and layer.

    Args:
        settings: what ``calculate_metrics`` was told.
        example: images from which the widths of a registered feature extractor's layers are found.

    Raises:
        UsageError: if a setting cannot be meant, or names nothing that is registered.
    """
    names = [name for name in OF_FEATURES if getattr(settings, name)]
    metrics = {name: described(name, settings) for name in names}
    extractors = {name: settings.feature_extractor or default_extractor(name) for name in names}
    layers = {
        name: getattr(settings, f"feature_layer_{name}") or default_layer(extractors[name], name) for name in names
    }
    networks: dict[str, Network] = {}
    for extractor in dict.fromkeys(extractors.values()):
        # Where each metric has its own network, a weight file is the Inception network's.
        takes_weights = len(set(extractors.values())) == 1 or extractor == default_extractor("fid")
        networks[extractor] = extractor_of(
            extractor,
            list(dict.fromkeys(layers[name] for name in names if extractors[name] == extractor)),
            weights_path=settings.feature_extractor_weights_path if takes_weights else None,
            internal_dtype=settings.feature_extractor_internal_dtype,
            example=example,
            settings=settings.as_dict(),
        )
    placed = {name: networks[extractors[name]].metric(metrics[name], layers[name]) for name in names}
    return Asked({name: replace(info, id=name) for name, info in placed.items()}, networks)


def figures_of(result: MetricResult) -> dict[str, float]:
    """A metric's figures under torch-fidelity's keys."""
    if result.id == "isc":
        return {KEY_METRIC_ISC_MEAN: result.value, KEY_METRIC_ISC_STD: float(result.extra["std"])}
    if result.id == "kid":
        return {KEY_METRIC_KID_MEAN: result.value, KEY_METRIC_KID_STD: float(result.extra["std"])}
    if result.id == "prc":
        return {key: float(result.extra[key]) for key in (KEY_METRIC_PRECISION, KEY_METRIC_RECALL, KEY_METRIC_F_SCORE)}
    return {KEY_METRIC_MIND if result.id == "mind" else KEY_METRIC_FID: result.value}
