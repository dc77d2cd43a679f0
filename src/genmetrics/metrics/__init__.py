"""What can be computed. This file holds descriptions only and imports neither torch nor a metric.

To add a metric: a class in a file of this folder, and a ``MetricInfo`` registered under its id.
"""

from __future__ import annotations

from genmetrics.registry import Registry
from genmetrics.types import MetricInfo

__all__ = ["METRICS", "register_metric"]

METRICS: Registry[MetricInfo] = Registry("metric", "genmetrics.metrics")

_INCEPTION = "inception-v3.tf2015"
_FRECHET = "genmetrics.metrics.frechet:FrechetDistance"
_TF1 = "tf1-bilinear-299"
_TORCH = "torch-bilinear-299"


def register_metric(info: MetricInfo) -> None:
    """Add a metric under ``info.id``.

    Raises:
        UsageError: if the id is taken.
    """
    METRICS.register(info.id, info)


def _frechet(name: str, feature: str, preprocess: str, summary: str, equals: str) -> MetricInfo:
    generic = "fd" if name == "fid" else None
    return MetricInfo(
        name, _FRECHET, summary, _INCEPTION, feature, preprocess, False, False, generic=generic, equals=equals
    )


register_metric(
    _frechet(
        "fid",
        "2048",
        _TF1,
        "Fréchet Inception Distance",
        "official TTUR, torch-fidelity, StyleGAN, EDM, ADM",
    )
)
register_metric(
    MetricInfo(
        "kid",
        "genmetrics.metrics.kernel:KernelDistance",
        "Kernel Inception Distance, mean over 100 subsets of 1,000",
        _INCEPTION,
        "2048",
        _TF1,
        higher_is_better=False,
        unary=False,
        generic="kid",
        estimator="poly3-100x1000",
        equals="torch-fidelity, with its seed and order of draws",
    )
)
register_metric(
    MetricInfo(
        "isc",
        "genmetrics.metrics.inception_score:InceptionScore",
        "Inception Score, mean over 10 splits",
        _INCEPTION,
        "logits_unbiased",
        _TF1,
        higher_is_better=True,
        unary=True,
        generic="isc",
        role="logits",
        estimator="splits10",
        equals="torch-fidelity, improved-gan",
    )
)
for _feature in ("64", "192", "768"):
    register_metric(
        _frechet(
            f"fid_{_feature}",
            _feature,
            _TF1,
            f"Fréchet distance at the {_feature}-wide layer",
            "torch-fidelity",
        )
    )
for _feature in ("2048", "64", "192", "768"):
    register_metric(
        _frechet(
            "fid_pytorch" if _feature == "2048" else f"fid_pytorch_{_feature}",
            _feature,
            _TORCH,
            "FID with torch's bilinear resize" + ("" if _feature == "2048" else f" at the {_feature}-wide layer"),
            "pytorch-fid, vq.fid",
        )
    )
