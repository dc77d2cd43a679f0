"""Networks with named outputs. This file holds descriptions only and imports neither torch nor a network.

To add an extractor: a class in a file of this folder that derives from ``base.Extractor``, and an
``ExtractorInfo`` registered under its id.
"""

from __future__ import annotations

from genmetrics.registry import Registry
from genmetrics.types import ExtractorInfo

__all__ = ["EXTRACTORS", "register_extractor"]

EXTRACTORS: Registry[ExtractorInfo] = Registry("extractor", "genmetrics.extractors")


def register_extractor(info: ExtractorInfo) -> None:
    """Add an extractor under ``info.id``.

    Raises:
        UsageError: if the id is taken.
    """
    EXTRACTORS.register(info.id, info)


register_extractor(
    ExtractorInfo(
        id="inception-v3.tf2015",
        target="genmetrics.extractors.builtin:InceptionV3TF2015",
        summary="Inception-v3 of 2015-12-05, the network of FID, KID and the Inception Score",
        features={
            "64": 64,
            "192": 192,
            "2023": 2023,
            "768": 768,
            "2048": 2048,
            "logits": 1008,
            "logits_unbiased": 1008,
        },
        preprocess="tf1-bilinear-299",
        pool="2048",
        logits="logits_unbiased",
        licence="Apache-2.0",
    )
)
register_extractor(
    ExtractorInfo(
        id="efficientnet-lite0.in1k",
        target="genmetrics.extractors.builtin:EfficientNetLite0IN1k",
        summary="EfficientNet-Lite0 trained on ImageNet-1k; its weights come with the installation",
        features={"1280": 1280, "logits": 1000},
        preprocess="crop875-bicubic-224",
        pool="1280",
        logits="logits",
        licence="Apache-2.0",
    )
)
