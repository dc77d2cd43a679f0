"""Which of our networks stands behind each feature extractor that torch-fidelity comes with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from torch import nn

from genmetrics.errors import UnknownNameError, UsageError
from genmetrics.extractors.base import load_extractor
from genmetrics.registry import did_you_mean

__all__ = ["ABSENT", "BUILT_IN", "BuiltIn", "built_in", "network_of"]


class BuiltIn(NamedTuple):
    """A built-in extractor.

    Attributes:
        extractor: the id of ours.
        preprocess: the id of the preprocessing that torch-fidelity has for it.
        side: height and width of what the network is given.
        features: our name of each of its features.
    """

    extractor: str
    preprocess: str
    side: int
    features: Mapping[str, str]


def _alike(*names: str) -> dict[str, str]:
    return {name: name for name in names}


def _clip(tag: str, side: int = 224) -> BuiltIn:
    return BuiltIn(f"clip-vit-{tag}.openai", f"tf1-bilinear-{side}-clip", side, {"clip": "embedding"})


BUILT_IN: Mapping[str, BuiltIn] = {
    "inception-v3-compat": BuiltIn(
        "inception-v3.tf2015",
        "tf1-bilinear-299",
        299,
        _alike("64", "192", "768", "2048", "logits_unbiased", "logits"),
    ),
    "vgg16": BuiltIn("vgg16.tv-in1k", "tf1-bilinear-224-imagenet", 224, _alike("fc2", "fc2_relu")),
    "clip-vit-b-32": _clip("b32"),
    "clip-vit-b-16": _clip("b16"),
    "clip-vit-l-14": _clip("l14"),
    "clip-vit-l-14-336px": _clip("l14-336", 336),
    **{
        f"dinov2-vit-{size}-14": BuiltIn(
            f"dinov2-vit{size}14.lvd142m", "tf1-bilinear-224-imagenet", 224, {"dinov2": "cls"}
        )
        for size in "sblg"
    },
}
#: Those of torch-fidelity that are not here.
ABSENT = ("clip-rn50", "clip-rn101", "clip-rn50x4", "clip-rn50x16", "clip-rn50x64")


def built_in(name: str, family: str) -> BuiltIn:
    """What stands behind a name of a family, ``clip`` or ``dinov2``.

    Raises:
        UsageError: if torch-fidelity has it and genmetrics does not; the message names those that are here.
        UnknownNameError: if nobody has it.
    """
    here = [known for known in BUILT_IN if known.startswith(family)]
    if name in ABSENT:
        raise UsageError(
            f"feature extractor {name!r} is a residual network of CLIP, which genmetrics does not have; of CLIP it has "
            f"the vision transformers: {', '.join(map(repr, here))}"
        )
    if name not in here:
        raise UnknownNameError(f"no {family} network is called {name!r}; {did_you_mean(name, here)}")
    return BUILT_IN[name]


def network_of(extractor: str, weights: str | Path | None) -> nn.Module:
    """The network of one of our extractors in torch as it was published, in evaluation on the CPU.

    Args:
        extractor: its id.
        weights: a weight file in place of the published one.

    Raises:
        WeightsError: if there are no weights, or the file does not fit.
        DependencyError: if a package that it runs on is not installed.
    """
    return load_extractor(extractor, None if weights is None else Path(weights)).network
