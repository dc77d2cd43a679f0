"""How sure and how diverse a set is, without a reference."""

from __future__ import annotations

from genmetrics.types import MetricInfo

__all__ = ["ENTRIES"]

_CHUNK = 5000


def _entropy(name: str, target: str, summary: str, estimator: str, equals: str) -> MetricInfo:
    return MetricInfo(
        name,
        f"genmetrics.metrics.vendi:{target}",
        summary,
        "dinov2-vitl14.lvd142m",
        "cls",
        "pil-bicubic-224-imagenet",
        higher_is_better=True,
        unary=True,
        generic=name,
        estimator=estimator,
        equals=equals,
    )


ENTRIES: tuple[MetricInfo, ...] = (
    MetricInfo(
        "isc",
        "genmetrics.metrics.inception_score:InceptionScore",
        "Inception Score, mean over 10 splits",
        "inception-v3.tf2015",
        "logits_unbiased",
        "tf1-bilinear-299",
        higher_is_better=True,
        unary=True,
        generic="isc",
        role="logits",
        estimator="splits10",
        equals="torch-fidelity, improved-gan",
        settings=(("num_splits", 10), ("shuffle", 1)),
    ),
    MetricInfo(
        "isc_adm",
        "genmetrics.metrics.inception_score:ChunkedInceptionScore",
        f"Inception Score, mean over consecutive runs of {_CHUNK:,} images in their order",
        "inception-v3.tf2015",
        "logits_unbiased",
        "tf1-bilinear-299",
        higher_is_better=True,
        unary=True,
        role="logits",
        estimator=f"runs-of-{_CHUNK}",
        equals="ADM's evaluator (guided-diffusion)",
        settings=(("chunk", _CHUNK),),
    ),
    MetricInfo(
        "isc_inf",
        "genmetrics.metrics.infinity:InceptionScoreAtInfinity",
        "Inception Score extrapolated to infinitely many images, one split",
        "inception-v3.tf2015",
        "logits_unbiased",
        "tf1-bilinear-299",
        higher_is_better=True,
        unary=True,
        generic="isc_inf",
        role="logits",
        estimator="line15-from5000",
        equals="FID_IS_infinity's estimator, with seeded draws",
    ),
    _entropy(
        "vendi",
        "Vendi",
        "Vendi score, the effective number of unlike images",
        "cosine-shannon",
        "vendi-score",
    ),
    _entropy(
        "rke",
        "RenyiKernelEntropy",
        "Rényi kernel entropy of order 2 as a number of unlike images, cosine kernel",
        "cosine-renyi2",
        "vendi-score with q = 2",
    ),
)
