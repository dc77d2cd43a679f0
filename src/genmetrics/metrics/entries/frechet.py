"""Fréchet distances and what is made of them."""

from __future__ import annotations

from genmetrics.types import MetricInfo

__all__ = ["ENTRIES"]

_INCEPTION = "inception-v3.tf2015"
_FRECHET = "genmetrics.metrics.frechet:FrechetDistance"
_TF1 = "tf1-bilinear-299"
_TORCH = "torch-bilinear-299"
_CLEAN = "pil-bicubic-f32-299"


def _frechet(name: str, feature: str, preprocess: str, summary: str, equals: str) -> MetricInfo:
    generic = "fd" if name == "fid" else None
    return MetricInfo(
        name, _FRECHET, summary, _INCEPTION, feature, preprocess, False, False, generic=generic, equals=equals
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
        "kid_clean",
        "genmetrics.metrics.kernel:KernelDistance",
        "KID with Pillow's antialiased bicubic resize",
        _INCEPTION,
        "2048",
        _CLEAN,
        higher_is_better=False,
        unary=False,
        estimator="poly3-100x1000",
        equals="clean-fid, mode clean, with its order of draws",
    ),
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
        "isc_inf",
        "genmetrics.metrics.infinity:InceptionScoreAtInfinity",
        "Inception Score extrapolated to infinitely many images, one split",
        _INCEPTION,
        "logits_unbiased",
        _TF1,
        higher_is_better=True,
        unary=True,
        generic="isc_inf",
        role="logits",
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
)
