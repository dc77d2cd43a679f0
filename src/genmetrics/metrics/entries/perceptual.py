"""Distances of image pairs, of generator paths, and of images from their captions."""

from __future__ import annotations

from genmetrics.types import MetricInfo

__all__ = ["ENTRIES"]

_HOME = "genmetrics.metrics.perceptual"
_PAIRS, _PAIRS_OF_A_CLASS = 1000, 100


def _pairs(name: str, summary: str, network: tuple[str, str, str], higher_is_better: bool) -> tuple[MetricInfo, ...]:
    """The metric over pairs of a whole set, and over pairs of one class each."""
    whole = MetricInfo(
        name,
        f"{_HOME}:PairDiversity",
        f"{summary}, mean over {_PAIRS:,} random pairs",
        *network,
        higher_is_better=higher_is_better,
        unary=True,
        estimator=f"pairs{_PAIRS}",
        settings=(("num_pairs", _PAIRS), ("same_class", 0)),
        equals="no canonical code; the pair network's",
    )
    of_classes = MetricInfo(
        f"{name}_class",
        f"{_HOME}:PairDiversity",
        f"{summary}, mean over classes of {_PAIRS_OF_A_CLASS} random pairs each",
        *network,
        higher_is_better=higher_is_better,
        unary=True,
        estimator=f"class-pairs{_PAIRS_OF_A_CLASS}",
        settings=(("num_pairs", _PAIRS_OF_A_CLASS), ("same_class", 1)),
        equals="the AC-GAN paper's description; the pair network's",
    )
    return whole, of_classes


def _path(name: str, summary: str, uint8: int, equals: str) -> MetricInfo:
    return MetricInfo(
        name,
        f"{_HOME}:PathLength",
        summary,
        "lpips-vgg16.v0.1",
        "distance",
        "native-sym",
        higher_is_better=False,
        unary=True,
        estimator="lerp-eps1e-4-64px-" + ("uint8" if uint8 else "float32"),
        settings=(("inverse_epsilon", 10_000), ("size", 64), ("uint8", uint8)),
        equals=equals,
    )


def _clip(
    name: str, summary: str, extractor: str, estimator: str, scale: float, prefix: int, preprocess: str, equals: str
) -> MetricInfo:
    return MetricInfo(
        name,
        f"{_HOME}:ClipScore",
        summary,
        extractor,
        "embedding",
        preprocess,
        higher_is_better=True,
        unary=True,
        estimator=estimator,
        settings=(("scale", scale), ("prefix", prefix), ("clips_each", prefix)),
        equals=equals,
    )


ENTRIES: tuple[MetricInfo, ...] = (
    _path("ppl", "Perceptual Path Length of a generator, float images", 0, "torch-fidelity with float32 images"),
    _path(
        "ppl_torch_fidelity",
        "Perceptual Path Length through uint8 images, which measures their rounding",
        1,
        "torch-fidelity's default",
    ),
    *_pairs(
        "ms_ssim", "MS-SSIM similarity of generated images", ("ms-ssim.wang2003", "similarity", "native-255"), False
    ),
    *_pairs("lpips", "LPIPS distance of generated images", ("lpips-alex.v0.1", "distance", "native-sym"), True),
    _clip(
        "clip_score",
        "CLIPScore of images and their captions, 2.5 times the cosine",
        "clip-vit-b32.openai",
        "w2.5-prefix",
        2.5,
        1,
        "pil-bicubic-crop-224-clip",
        "clipscore (Hessel et al.)",
    ),
    _clip(
        "clip_score_100",
        "CLIP score of images and their captions, 100 times the cosine",
        "clip-vit-l14.openai",
        "w100",
        100.0,
        0,
        "pil-bicubic-crop-224-clip-hf",
        "torchmetrics",
    ),
)
