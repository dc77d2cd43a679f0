"""torchvision's Inception-v3, trained on ImageNet-1k: the network of lzhbrian's ``ScoreModel``.

It is another network than the one behind published FIDs and Inception Scores: other weights, 1,000 classes, and average
pooling that counts the padding.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from genmetrics.extractors.convolutional import ConvolutionalExtractor
from genmetrics.extractors.inception_trunk import STAGES, InceptionTrunk, average_with_padding

__all__ = ["InceptionV3Torchvision", "InceptionV3TorchvisionIN1k"]

# The head that only training uses; published files have it.
_AUXILIARY = "AuxLogits."


class InceptionV3Torchvision(InceptionTrunk):
    """Inception-v3 as torchvision has it, in evaluation: its dropout does nothing.

    Source: Szegedy et al. 2015 (arXiv:1512.00567).
    Matches: torchvision 0.28's ``inception_v3`` within 1e-5 relative;
    tests/conformance/test_networks_inception_torchvision.py.
    """

    def __init__(self) -> None:
        super().__init__(average_with_padding, last_pool=average_with_padding)
        self.fc = nn.Linear(2048, 1000)

    def forward(self, inputs: Float[Tensor, "n 3 299 299"], wanted: Iterable[str]) -> dict[str, Float[Tensor, "n _"]]:
        """Compute the wanted outputs.

        Args:
            inputs: (n, 3, 299, 299) float32 (bfloat16 where the convolutions are), -1..1: what torchvision makes of
                images normalised with ImageNet's mean and deviation before its first layer.
            wanted: from ``2048`` (globally average-pooled) and ``logits`` (1,000 classes, with the bias).

        Returns:
            (n, d) for each wanted output; float32 but under autocast.
        """
        x = inputs
        for _, layers in STAGES:
            for layer in layers:
                x = self.through(x, layer)
        found = {"2048": F.adaptive_avg_pool2d(x.float(), 1).flatten(1)}
        missing = set(wanted)
        if "logits" in missing:
            found["logits"] = self.fc(found["2048"])
        return {name: found[name] for name in found if name in missing}


class InceptionV3TorchvisionIN1k(ConvolutionalExtractor):
    """Inception-v3 with torchvision's ImageNet weights, its ``IMAGENET1K_V1``."""

    name = "inception-v3.tv-in1k"
    module = InceptionV3Torchvision
    free_together = ("2048", "logits")

    def relabelled(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of a weight file but those of the auxiliary head."""
        return {name: value for name, value in state.items() if not name.startswith(_AUXILIARY)}
