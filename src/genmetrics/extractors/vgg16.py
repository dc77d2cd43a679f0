"""VGG16 of torchvision, the network of precision and recall; the parameters have the published file's names."""

from __future__ import annotations

from collections.abc import Iterable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from genmetrics.extractors.convolutional import ConvolutionalExtractor
from genmetrics.precision import at_least_float32

__all__ = ["VGG16", "VGG16TorchvisionIN1k", "vgg16_layers"]

# Channels of each convolution; 0 halves the image.
_LAYERS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)


def vgg16_layers() -> nn.Sequential:
    """The convolutions of configuration D, numbered as torchvision numbers them."""
    layers: list[nn.Module] = []
    channels = 3
    for width in _LAYERS:
        if width == 0:
            layers.append(nn.MaxPool2d(2))
            continue
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
        channels = width
    return nn.Sequential(*layers)


class VGG16(nn.Module):
    """VGG16 without batch normalisation, in evaluation: its dropout does nothing.

    Source: Simonyan and Zisserman 2015 (arXiv:1409.1556), configuration D.
    Matches: torchvision 0.28's ``vgg16`` and torch-fidelity 0.4.0's ``vgg16`` extractor, from uint8 to features, within
    1e-5 relative; tests/conformance/test_networks_vgg16.py.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = vgg16_layers()
        # Torchvision's numbers: between these lie its activations and dropouts.
        self.classifier = nn.ModuleDict(
            {"0": nn.Linear(512 * 7 * 7, 4096), "3": nn.Linear(4096, 4096), "6": nn.Linear(4096, 1000)}
        )

    def forward(self, inputs: Float[Tensor, "n 3 224 224"], wanted: Iterable[str]) -> dict[str, Float[Tensor, "n _"]]:
        """Compute the wanted outputs.

        Args:
            inputs: (n, 3, 224, 224) float32, normalised with ImageNet's mean and deviation.
            wanted: from ``fc2`` (the second wide layer before its ReLU), ``fc2_relu`` (after it) and ``logits`` (1,000
                classes).

        Returns:
            (n, d) for each wanted output; float32 but under autocast and of float64 weights.
        """
        missing = set(wanted)
        x = at_least_float32(self.features(inputs)).flatten(1)
        found = {"fc2": self.classifier["3"](F.relu(self.classifier["0"](x)))}
        found["fc2_relu"] = F.relu(found["fc2"])
        if "logits" in missing:
            found["logits"] = self.classifier["6"](found["fc2_relu"])
        return {name: found[name] for name in found if name in missing}


class VGG16TorchvisionIN1k(ConvolutionalExtractor):
    """VGG16 with torchvision's ImageNet weights, its ``IMAGENET1K_V1``."""

    name = "vgg16.tv-in1k"
    module = VGG16
    free_together = ("fc2", "fc2_relu")
