"""Fréchet distances and what is made of them."""

from __future__ import annotations

from genmetrics.types import MetricInfo

__all__ = ["ENTRIES"]

_INCEPTION = "inception-v3.tf2015"
_FRECHET = "genmetrics.metrics.frechet:FrechetDistance"
_TF1 = "tf1-bilinear-299"
_TORCH = "torch-bilinear-299"


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
)
