"""Feature extractors that were registered by their classes, as extractors of our engine."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from genmetrics.compat.torch_fidelity.feature_extractor_base import FeatureExtractorBase
from genmetrics.errors import GenmetricsError, UnknownNameError, UsageError
from genmetrics.extractors import EXTRACTORS
from genmetrics.extractors.base import ExtractorByName
from genmetrics.extractors.weights import WeightsFile
from genmetrics.types import ExtractorInfo

__all__ = ["PREFIX", "PREPROCESS", "WrappedExtractor", "wrap", "wrapped_info"]

#: What the ids of such extractors begin with.
PREFIX = "torch-fidelity:"
#: Images as they are, 0..255.
PREPROCESS = "native-255"

EXTRACTORS.register_maker(PREFIX, "genmetrics.compat.torch_fidelity.wrapped:wrapped_info")


@dataclass
class _Wrapped:
    """A feature extractor that was made, until our engine takes it.

    Attributes:
        info: what is known of it.
    """

    info: ExtractorInfo
    _make: Callable[[], FeatureExtractorBase]
    _network: FeatureExtractorBase | None

    def take(self) -> FeatureExtractorBase:
        """The network, to the one who asks first; others get another, for it will be moved between devices."""
        network, self._network = self._network, None
        return self._make() if network is None else network


#: By id, of which each is the last that was asked for under its name.
_WRAPPED: dict[str, _Wrapped] = {}


def wrapped_info(name: str) -> ExtractorInfo:
    """What is known of an extractor of such an id.

    Raises:
        UnknownNameError: if this process has not made it.
    """
    if name not in _WRAPPED:
        raise UnknownNameError(
            f"extractor {name!r} is a class that was registered with torch-fidelity's register_feature_extractor; it "
            "is there only in a process that registers it and calls calculate_metrics"
        )
    return _WRAPPED[name].info


def wrap(
    name: str,
    make: Callable[[], FeatureExtractorBase],
    example: UInt8[Tensor, "1 3 h w"] | None,
    widths: Mapping[str, int] | None = None,
) -> ExtractorInfo:
    """Make a feature extractor and let our engine know it.

    Args:
        name: what its id is to have behind ``PREFIX``.
        make: makes it.
        example: an image on which it is tried, to see how wide its features are; None takes one of 299x299.
        widths: of its features, where they are known.

    Raises:
        UsageError: if it fails on the image, or gives something else than features.
    """
    network = make().eval()
    if widths is None:
        image = torch.zeros((1, 3, 299, 299), dtype=torch.uint8) if example is None else example
        home = next((tensor.device for tensor in (*network.parameters(), *network.buffers())), image.device)
        with torch.no_grad():
            widths = {feature: found.shape[1] for feature, found in _features(network, image.to(home)).items()}
    info = ExtractorInfo(
        id=PREFIX + name,
        target="genmetrics.compat.torch_fidelity.wrapped:WrappedExtractor",
        summary=f"{type(network).__name__}, registered for torch-fidelity",
        features=widths,
        preprocess=PREPROCESS,
        pool=next(iter(widths)),
    )
    _WRAPPED[info.id] = _Wrapped(info, make, network)
    return info


class WrappedExtractor(ExtractorByName):
    """A feature extractor of torch-fidelity's kind: it is given uint8 images, and its tuple becomes named features.

    Statistics of it are never kept: what it computes cannot be told from its name.
    """

    def __init__(self, weights: Path | None) -> None:
        super().__init__(weights)
        if weights is not None:
            raise UsageError(
                f"extractor {self.name!r} loads its own weights; give feature_extractor_weights_path, which its class "
                "is called with"
            )
        self.info = wrapped_info(self.name)
        self._wrapped = _WRAPPED[self.name].take().eval().requires_grad_(False)
        self.network = self._wrapped
        self.weights = WeightsFile(Path(type(self._wrapped).__qualname__), None, official=None)

    def forward(self, inputs: Float32[Tensor, "n 3 h w"], wanted: Collection[str]) -> dict[str, Tensor]:
        """Run it on images 0..255."""
        features = _features(self._wrapped, inputs.to(torch.uint8))
        return {name: features[name] for name in wanted}


def _features(network: FeatureExtractorBase, images: UInt8[Tensor, "n 3 h w"]) -> dict[str, Tensor]:
    what = f"feature extractor {network.get_name()!r}"
    try:
        found = network.convert_features_tuple_to_dict(network(images))
    except GenmetricsError:
        raise
    except Exception as error:
        raise UsageError(
            f"{what} failed on images uint8 {tuple(images.shape)} on {images.device}: {type(error).__name__}: {error}"
        ) from error
    for feature, values in found.items():
        if not isinstance(values, Tensor) or values.ndim != 2 or values.shape[0] != images.shape[0]:
            given = tuple(values.shape) if isinstance(values, Tensor) else f"a {type(values).__name__}"
            raise UsageError(f"{what} gave {given} as {feature!r} of {images.shape[0]} images; expected (n, d)")
    return found
