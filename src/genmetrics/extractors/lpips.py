"""LPIPS 0.1: a learned perceptual distance between two images.

The trunk is torchvision's published classifier; the five heads on it come with the package ``lpips``, which is not
imported.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from genmetrics.errors import DependencyError
from genmetrics.extractors import EXTRACTORS
from genmetrics.extractors.pairs import PairExtractor
from genmetrics.extractors.published import PUBLISHED, file_in_package
from genmetrics.extractors.vgg16 import vgg16_layers
from genmetrics.extractors.weights import (
    WeightsFile,
    fetch_weights,
    file_sha256,
    find_weights,
    fresh_module,
    load_state_dict,
)

__all__ = ["LPIPS", "LPIPSVGG16", "LPIPSAlexNet"]

_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_EPSILON = 1e-10
_NUM_HEADS = 5


class LPIPS(nn.Module):
    """The weighted squared difference of unit-length features, averaged over positions, summed over five layers.

    Source: Zhang et al. 2018 (arXiv:1801.03924), eq. 1.
    Matches: ``lpips`` 0.1.4 and torch-fidelity 0.4.0's ``lpips-vgg16`` within 1e-5 relative;
    tests/conformance/test_networks_lpips.py.
    """

    def __init__(self, features: nn.Sequential, taps: Sequence[int], widths: Sequence[int]) -> None:
        """Put five heads on a trunk.

        Args:
            features: the trunk's layers.
            taps: the layers whose outputs are compared, ascending.
            widths: the channels of those outputs.
        """
        super().__init__()
        self.features = nn.Sequential(*list(features)[: taps[-1] + 1])
        self.heads = nn.ParameterList([nn.Parameter(torch.empty(width)) for width in widths])
        self._taps = frozenset(taps)

    def forward(self, first: Float32[Tensor, "n 3 h w"], second: Float32[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        """The distance of each pair of images in -1..1."""
        total: Tensor | None = None
        shift, scale = (first.new_tensor(values)[:, None, None] for values in (_SHIFT, _SCALE))
        ours, theirs = (first - shift) / scale, (second - shift) / scale
        heads = iter(self.heads)
        for index, layer in enumerate(self.features):
            ours, theirs = layer(ours), layer(theirs)
            if index in self._taps:
                squares = (_unit(ours) - _unit(theirs)).square()
                distance = torch.einsum("nchw,c->nhw", squares, next(heads)).mean(dim=(1, 2))
                total = distance if total is None else total + distance
        assert total is not None
        return total


def _unit(features: Tensor) -> Tensor:
    """Each position's vector at length one; the small number is added to the length, as in ``lpips`` 0.1.4."""
    return features / (features.square().sum(dim=1, keepdim=True).sqrt() + _EPSILON)


class _LPIPS(PairExtractor):
    """LPIPS on a published trunk; its weights are two files, whose sha256 is that of their two sha256 joined."""

    name: str
    heads: tuple[str, str]

    def __init__(self, weights: Path | None) -> None:
        super().__init__(weights)
        self.info = EXTRACTORS.get(self.name)
        self.weights = self.locate(weights)
        path = self.weights.path
        names = self._trunk_names()
        state = {name: value for name, value in load_state_dict(path, self.name).items() if name in names}
        heads = load_state_dict(self._heads(), self.name)
        state |= {f"heads.{k}": heads[f"lin{k}.model.1.weight"].flatten() for k in range(_NUM_HEADS)}
        self.network = fresh_module(self.make, state, path, self.name)

    @classmethod
    def locate(cls, weights: Path | None) -> WeightsFile:
        heads = file_sha256(cls._heads())
        published = PUBLISHED[cls.name]
        trunk = find_weights(published, weights) or fetch_weights(published)
        joined = hashlib.sha256(f"{trunk.sha256}{heads}".encode()).hexdigest()
        return WeightsFile(trunk.path, joined, bool(trunk.official) and heads == cls.heads[1])

    @classmethod
    @abstractmethod
    def make(cls) -> LPIPS:
        """The network, with any weights."""

    @classmethod
    def _heads(cls) -> Path:
        name = cls.heads[0]
        found = file_in_package("lpips", f"weights/v0.1/{name}")
        if found is None:
            raise DependencyError(
                f"extractor {cls.name!r} needs the file weights/v0.1/{name} of the package lpips; install it with "
                "\"pip install 'genmetrics[perceptual]'\""
            )
        return found

    @classmethod
    def _trunk_names(cls) -> set[str]:
        with torch.device("meta"):
            return {f"features.{name}" for name in cls.make().features.state_dict()}

    def compare(self, first: Float32[Tensor, "n 3 h w"], second: Float32[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        distances: Tensor = self.network(first, second)
        return distances


class LPIPSVGG16(_LPIPS):
    """LPIPS on VGG16, as StyleGAN's perceptual path length has it."""

    name = "lpips-vgg16.v0.1"
    heads = ("vgg.pth", "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868")

    @classmethod
    def make(cls) -> LPIPS:
        """The network, with any weights."""
        return LPIPS(vgg16_layers(), (3, 8, 15, 22, 29), (64, 128, 256, 512, 512))


class LPIPSAlexNet(_LPIPS):
    """LPIPS on AlexNet, the package's default."""

    name = "lpips-alex.v0.1"
    heads = ("alex.pth", "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0")

    @classmethod
    def make(cls) -> LPIPS:
        """The network, with any weights."""
        return LPIPS(_alexnet_layers(), (1, 4, 7, 9, 11), (64, 192, 384, 256, 256))


def _alexnet_layers() -> nn.Sequential:
    """The convolutions of torchvision's AlexNet, numbered as there."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(inplace=True),
    )
