"""From the names that a person types to the metrics that they stand for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from genmetrics.errors import GenmetricsError, UnknownNameError, UsageError
from genmetrics.metrics import METRICS
from genmetrics.metrics.base import Metric
from genmetrics.preprocess.crop_id import is_crop
from genmetrics.preprocess.spec import with_crop
from genmetrics.registry import did_you_mean, load_target
from genmetrics.types import ExtractorInfo, MetricInfo

__all__ = ["build_metrics", "resolve_metric"]

Lookup = Callable[[str], ExtractorInfo]


def build_metrics(
    names: Sequence[str | MetricInfo], extractor: str | None, lookup: Lookup, seed: int, crop: str | None = None
) -> list[Metric]:
    """The metrics of the given names, each once, in their order.

    Args:
        names: metric ids, or ``<family>.<extractor>`` such as ``kid.efficientnet-lite0.in1k``, or descriptions.
        extractor: the network on which to compute them; None takes each metric's own.
        lookup: finds an extractor's description.
        seed: of every random choice.
        crop: the centre crop that all images undergo first, which is part of the metrics' names; None for none.

    Raises:
        UnknownNameError: if a name stands for nothing.
        UsageError: if a metric makes no sense on the extractor, or two descriptions have one id.
    """
    infos = dict.fromkeys(_after_crop(resolve_metric(name, extractor, lookup), crop) for name in names)
    ids = [info.id for info in infos]
    twice = next((info.id for info in infos if ids.count(info.id) > 1), None)
    if twice is not None:
        raise UsageError(f"two different metrics have the id {twice!r}; give each an id of its own")
    return [load_target(info.target)(info, seed) for info in infos]


def resolve_metric(name: str | MetricInfo, extractor: str | None, lookup: Lookup) -> MetricInfo:
    """What a name stands for, on an extractor or on its own; a description stands for itself."""
    if isinstance(name, MetricInfo):
        if extractor not in (None, name.extractor):
            raise UsageError(
                f"metric {name.id!r} is described with its extractor {name.extractor!r}; leave out "
                f"extractor={extractor!r}"
            )
        return name
    if name in METRICS:
        info = METRICS.get(name)
        if extractor is None or extractor == info.extractor:
            return info
        return _on_extractor(info, lookup(extractor))
    of_crop, _, crop = name.rpartition(".")
    if of_crop and is_crop(crop):
        raise UsageError(f"metric {name!r} is {of_crop!r} of cropped images; ask for '-m {of_crop} --crop {crop}'")
    family, _, named_extractor = name.partition(".")
    generic = {info.generic: info for info in METRICS.entries() if info.generic}
    if named_extractor and family in generic:
        if extractor not in (None, named_extractor):
            raise UsageError(f"metric {name!r} names its own extractor; leave out '--extractor {extractor}'")
        return _on_extractor(generic[family], lookup(named_extractor))
    if family in generic and family not in METRICS:
        raise UsageError(
            f"metric {name!r} is a family of metrics; ask for {generic[family].id!r}, or name the network: "
            f"'{name}.efficientnet-lite0.in1k'"
        )
    if named_extractor:
        raise _no_family(name, family, named_extractor, [*generic])
    hint = did_you_mean(name, [*METRICS])
    raise UnknownNameError(f"unknown metric {name!r}; {hint}")


def _no_family(name: str, family: str, network: str, families: list[str]) -> GenmetricsError:
    """What to say of ``<family>.<network>`` where there is no such family."""
    if family not in METRICS:
        return UnknownNameError(f"unknown metric {name!r}; {did_you_mean(family, families, f'.{network}')}")
    info = METRICS.get(family)
    if network == info.extractor:
        return UsageError(f"metric {name!r}: {family!r} is of that network; ask for {family!r}")
    if info.generic is None:
        usable = ", ".join(f"{known}.{network}" for known in families)
        return UsageError(
            f"metric {name!r}: {family!r} is a layer or variant of {info.extractor!r} and has no counterpart on other "
            f"networks, on which there are: {usable}"
        )
    return UsageError(
        f"metric {name!r}: on another network {family!r} is called {info.generic!r}; ask for '{info.generic}.{network}'"
    )


def _after_crop(info: MetricInfo, crop: str | None) -> MetricInfo:
    if crop is None:
        return info
    cropped = "|".join(with_crop(crop, name) for name in info.preprocess.split("|"))
    return replace(info, id=f"{info.id}.{crop}", preprocess=cropped, equals="")


def _on_extractor(info: MetricInfo, extractor: ExtractorInfo) -> MetricInfo:
    if info.extractor == extractor.id:
        return info
    if info.generic is None:
        usable = ", ".join(entry.id for entry in METRICS.entries() if entry.generic)
        raise UsageError(
            f"metric {info.id!r} is a layer or variant of {info.extractor!r} and has no counterpart on "
            f"{extractor.id!r}; on other extractors ask for: {usable}"
        )
    if extractor.pairs:
        raise UsageError(
            f"metric {info.id!r} needs features of single images, and {extractor.id!r} compares pairs of images; "
            "choose another extractor (`genmetrics list extractors` has them all)"
        )
    feature = extractor.logits if info.role == "logits" else extractor.pool
    if feature is None:
        raise UsageError(
            f"metric {info.id!r} needs class logits, and extractor {extractor.id!r} has none (outputs: "
            f"{', '.join(extractor.features)}); leave {info.id!r} out or choose a classifier"
        )
    return replace(
        info,
        id=f"{info.generic}.{extractor.id}",
        extractor=extractor.id,
        feature=feature,
        preprocess=extractor.preprocess,
        equals="",
    )
