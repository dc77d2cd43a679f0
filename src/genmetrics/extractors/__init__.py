"""Networks with named outputs. This file holds descriptions only and imports neither torch nor a network.

To add an extractor: a class in a file of this folder that derives from ``base.Extractor``, and an
``ExtractorInfo`` registered under its id. Any model of the transformers library, and any ``nn.Module``, is an extractor
without being added, by the names ``hf:…`` and ``python:…``.
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


EXTRACTORS.register_maker("hf:", "genmetrics.extractors.hub_model:hub_model_info")
EXTRACTORS.register_maker("python:", "genmetrics.extractors.python_model:python_model_info")

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
register_extractor(
    ExtractorInfo(
        id="inception-v3.tv-in1k",
        target="genmetrics.extractors.inception_v3_torchvision:InceptionV3TorchvisionIN1k",
        summary="Inception-v3 of torchvision, trained on ImageNet-1k: the network of lzhbrian's ScoreModel",
        features={"2048": 2048, "logits": 1000},
        preprocess="torch-bilinear-299",
        pool="2048",
        logits="logits",
        licence="BSD-3-Clause",
    )
)
register_extractor(
    ExtractorInfo(
        id="vgg16.tv-in1k",
        target="genmetrics.extractors.vgg16:VGG16TorchvisionIN1k",
        summary="VGG16 of torchvision, trained on ImageNet-1k: the network of precision and recall",
        features={"fc2": 4096, "fc2_relu": 4096, "logits": 1000},
        preprocess="tf1-bilinear-224-imagenet",
        pool="fc2_relu",
        logits="logits",
        licence="BSD-3-Clause",
    )
)
for _trunk, _class, _name in (("vgg16", "LPIPSVGG16", "VGG16"), ("alex", "LPIPSAlexNet", "AlexNet")):
    register_extractor(
        ExtractorInfo(
            id=f"lpips-{_trunk}.v0.1",
            target=f"genmetrics.extractors.lpips:{_class}",
            summary=f"LPIPS 0.1 on {_name}: the perceptual distance of two images",
            features={"distance": 1},
            preprocess="native-sym",
            pool="distance",
            licence="BSD-2-Clause (heads), BSD-3-Clause (trunk)",
            pairs=True,
        )
    )
register_extractor(
    ExtractorInfo(
        id="ms-ssim.wang2003",
        target="genmetrics.extractors.ms_ssim:MultiScaleSSIM",
        summary="Multi-scale structural similarity of two images; no network",
        features={"similarity": 1},
        preprocess="native-255",
        pool="similarity",
        licence="Apache-2.0",
        pairs=True,
    )
)
for _tag, _width in (("vits14", 384), ("vitb14", 768), ("vitl14", 1024), ("vitg14", 1536)):
    register_extractor(
        ExtractorInfo(
            id=f"dinov2-{_tag}.lvd142m",
            target=f"genmetrics.extractors.dinov2:DINOv2{_tag.removesuffix('14').upper().replace('VIT', 'ViT')}",
            summary=f"DINOv2 ViT-{_tag[3].upper()}/14 of Meta, self-supervised on LVD-142M",
            features={"cls": _width},
            preprocess="pil-bicubic-224-imagenet",
            pool="cls",
            licence="Apache-2.0",
        )
    )
for _tag, _class, _name, _width, _preprocess in (
    ("b32", "CLIPViTB32", "ViT-B/32", 512, "pil-bicubic-crop-224-clip"),
    ("b16", "CLIPViTB16", "ViT-B/16", 512, "pil-bicubic-crop-224-clip"),
    ("l14", "CLIPViTL14", "ViT-L/14", 768, "pil-bicubic-crop-224-clip"),
    ("l14-336", "CLIPViTL14At336", "ViT-L/14 at 336 pixels", 768, "square-pil-bicubic-336-clip"),
):
    register_extractor(
        ExtractorInfo(
            id=f"clip-vit-{_tag}.openai",
            target=f"genmetrics.extractors.clip:{_class}",
            summary=f"CLIP {_name} of OpenAI, its projected image embedding; captions too",
            features={"embedding": _width},
            preprocess=_preprocess,
            pool="embedding",
            licence="MIT",
        )
    )
