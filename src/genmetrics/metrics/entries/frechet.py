"""Fréchet distances and what is made of them."""

from __future__ import annotations

from genmetrics.types import MetricInfo

__all__ = ["ENTRIES"]

_INCEPTION = "inception-v3.tf2015"
_DINOV2 = "dinov2-vitl14.lvd142m"
_FRECHET = "genmetrics.metrics.frechet:FrechetDistance"
_TF1 = "tf1-bilinear-299"
_TORCH = "torch-bilinear-299"
_CLEAN = "pil-bicubic-f32-299"


def _frechet(
    name: str, feature: str, preprocess: str, summary: str, equals: str, extractor: str = _INCEPTION
) -> MetricInfo:
    generic = "fd" if name == "fid" else None
    return MetricInfo(
        name, _FRECHET, summary, extractor, feature, preprocess, False, False, generic=generic, equals=equals
    )


ENTRIES: tuple[MetricInfo, ...] = (
    _frechet(
        "fid",
        "2048",
        _TF1,
        "Fréchet Inception Distance",
        "official TTUR, torch-fidelity, StyleGAN, EDM, ADM",
    ),
    *(
        _frechet(
            f"fid_{feature}",
            feature,
            _TF1,
            f"Fréchet distance at the {feature}-wide layer",
            "torch-fidelity",
        )
        for feature in ("64", "192", "768")
    ),
    *(
        _frechet(
            "fid_pytorch" if feature == "2048" else f"fid_pytorch_{feature}",
            feature,
            _TORCH,
            "FID with torch's bilinear resize" + ("" if feature == "2048" else f" at the {feature}-wide layer"),
            "pytorch-fid, vq.fid",
        )
        for feature in ("2048", "64", "192", "768")
    ),
    _frechet(
        "sfid", "2023", _TF1, "Fréchet distance of spatial features, 7 channels of a 17x17 layer", "ADM evaluator"
    ),
    _frechet("fid_clean", "2048", _CLEAN, "FID with Pillow's antialiased bicubic resize", "clean-fid, mode clean"),
    MetricInfo(
        "fid_inf",
        "genmetrics.metrics.infinity:FrechetAtInfinity",
        "FID extrapolated to infinitely many generated images",
        _INCEPTION,
        "2048",
        _TF1,
        higher_is_better=False,
        unary=False,
        generic="fd_inf",
        estimator="line15-from5000",
        equals="FID_IS_infinity's estimator, with seeded draws",
    ),
    MetricInfo(
        "intra_fid",
        "genmetrics.metrics.intra_class:IntraClassFrechet",
        "FID of each class, mean over the classes",
        _INCEPTION,
        "2048",
        _TF1,
        higher_is_better=False,
        unary=False,
        generic="intra_fd",
        estimator="classes",
        equals="StudioGAN",
    ),
    MetricInfo(
        "fid_influence",
        "genmetrics.metrics.influence:FrechetInfluence",
        "FID, and by how much each generated image raises it",
        _INCEPTION,
        "2048",
        _TF1,
        higher_is_better=False,
        unary=False,
        generic="fd_influence",
        estimator="influence",
        equals="fid; of single images the derivative, by leaving them out",
    ),
    _frechet(
        "clip_fid",
        "embedding",
        "pil-bicubic-crop-224-clip",
        "Fréchet distance of CLIP ViT-B/32 embeddings",
        "clean-fid, model clip_vit_b_32, in float32",
        "clip-vit-b32.openai",
    ),
    *(
        _frechet(name, "cls", preprocess, f"Fréchet distance of DINOv2 ViT-L/14 features, {resize}", equals, _DINOV2)
        for name, preprocess, resize, equals in (
            ("fd_dinov2", "pil-bicubic-224-imagenet", "Pillow's bicubic resize", "dgm-eval"),
            ("fd_dinov2_edm2", "torch-bicubic-antialias-224", "torch's antialiased bicubic resize", "EDM2"),
            ("fd_dinov2_tf1", "tf1-bilinear-224-imagenet", "TensorFlow 1's bilinear resize", "torch-fidelity"),
        )
    ),
    MetricInfo(
        "fdr",
        "genmetrics.metrics.frechet_ratio:FrechetRatio",
        "Fréchet distance as a multiple of that of two parts of the reference, mean over three networks",
        f"{_INCEPTION}|{_DINOV2}|clip-vit-l14.openai",
        "2048|cls|embedding",
        f"{_TF1}|pil-bicubic-224-imagenet|square-pil-bicubic-224-clip",
        higher_is_better=False,
        unary=False,
        generic="fdr",
        estimator="over-split-reference",
        equals="the ratio of FDr^k, with a floor from the reference itself",
    ),
)
