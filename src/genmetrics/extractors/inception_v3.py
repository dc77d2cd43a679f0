"""The Inception-v3 of 2015 behind FID, KID and the Inception Score, as published for PyTorch.

It differs from torchvision's: 1,008 classes, average pooling that does not count the padding, maximum pooling
in the last block, and no auxiliary head. The names of the parameters are those of the published weight files.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from genmetrics.extractors.inception_trunk import STAGES, InceptionTrunk, average, maximum
from genmetrics.precision import at_least_float32

__all__ = ["InceptionV3"]

_HEAD = ("logits_unbiased", "logits")
# What the graph calls mixed_6/conv is the first branch of this block.
_SPATIAL_LAYER, _SPATIAL_CHANNELS = "Mixed_6d", 7


class InceptionV3(InceptionTrunk):
    """Inception-v3 with the weights' published layout and all seven outputs.

    Source: Szegedy et al. 2015 (arXiv:1512.00567); graph ``classify_image_graph_def.pb`` of 2015-12-05.
    Matches: TensorFlow's operators (tests/conformance/test_tensorflow_goldens.py), torch-fidelity 0.4.0 and
    pytorch-fid 0.3.0 (tests/conformance/test_peers_network.py).
    """

    def __init__(self) -> None:
        super().__init__(average, last_pool=maximum)  # the maximum is a quirk of the 2015 graph
        self.fc = nn.Linear(2048, 1008)

    def forward(self, inputs: Float[Tensor, "n 3 299 299"], wanted: Iterable[str]) -> dict[str, Float[Tensor, "n _"]]:
        """Compute the wanted outputs, and no layer beyond the last of them.

        Args:
            inputs: (n, 3, 299, 299) float32 (or what the convolutions are: bfloat16, float64), about -1..1.
            wanted: from ``64 192 768 2048`` (globally average-pooled layers), ``2023`` (seven channels of a
                17x17 layer, unpooled), ``logits`` and ``logits_unbiased`` (1,008 classes, with and without the
                bias).

        Returns:
            (n, d) for each wanted output; float32 but under autocast and of float64 weights.
        """
        missing = set(wanted)
        found: dict[str, Tensor] = {}
        x = inputs
        for name, layers in STAGES:
            for layer in layers:
                if layer == _SPATIAL_LAYER and "2023" in missing:
                    found["2023"] = _spatial(self.Mixed_6d.branch1x1(x))
                    if missing.issubset(found):
                        return found
                x = self.through(x, layer)
            if name in missing or (name == "2048" and missing.intersection(_HEAD)):
                found[name] = F.adaptive_avg_pool2d(at_least_float32(x), 1).flatten(1)
            if missing.issubset(found):
                return found
        pooled = found["2048"]
        found["logits_unbiased"] = pooled @ self.fc.weight.T.to(pooled.dtype)
        if "logits" in missing:
            found["logits"] = found["logits_unbiased"] + self.fc.bias.to(pooled.dtype)
        return {name: found[name] for name in found if name in missing}


def _spatial(x: Float[Tensor, "n 192 17 17"]) -> Float[Tensor, "n 2023"]:
    """ADM's spatial features: the first channels, flattened with the channel running fastest, as TensorFlow has it."""
    return at_least_float32(x)[:, :_SPATIAL_CHANNELS].movedim(1, -1).flatten(1)
