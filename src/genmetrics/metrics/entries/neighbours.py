"""Fidelity, diversity, coverage and memorisation, from nearest neighbours."""

from __future__ import annotations

from genmetrics.types import MetricInfo

__all__ = ["ENTRIES"]

_VGG = ("vgg16.tv-in1k", "fc2_relu", "tf1-bilinear-224-imagenet")
_DINO = ("dinov2-vitl14.lvd142m", "cls", "pil-bicubic-224-imagenet")
_INCEPTION = ("inception-v3.tf2015", "2048", "tf1-bilinear-299")

_PRECISION = "genmetrics.metrics.precision_recall:PrecisionRecall"
_DENSITY = "genmetrics.metrics.precision_recall:DensityCoverage"
_MIFID = "genmetrics.metrics.mifid:MemorisationInformedFrechetDistance"


def _neighbours(
    name: str,
    target: str,
    summary: str,
    network: tuple[str, str, str],
    estimator: str,
    equals: str,
    settings: tuple[tuple[str, int | float], ...] = (),
    *,
    generic: bool = False,
    higher_is_better: bool = True,
) -> MetricInfo:
    return MetricInfo(
        name,
        target,
        summary,
        *network,
        higher_is_better=higher_is_better,
        unary=False,
        generic=name if generic else None,
        estimator=estimator,
        equals=equals,
        settings=settings,
    )


ENTRIES: tuple[MetricInfo, ...] = (
    _neighbours(
        "prc",
        _PRECISION,
        "Precision, with recall and their harmonic mean, k = 3",
        _VGG,
        "k3-inclusive",
        "torch-fidelity, StyleGAN3, Kynkäänniemi et al.",
        (("k", 3), ("inclusive", 1)),
        generic=True,
    ),
    _neighbours(
        "prc_adm",
        _PRECISION,
        "Precision and recall on Inception features, k = 3",
        _INCEPTION,
        "k3-inclusive",
        "ADM's evaluator, in float32 and beyond",
        (("k", 3), ("inclusive", 1)),
    ),
    _neighbours(
        "prc_dinov2",
        _PRECISION,
        "Precision and recall on DINOv2 features, k = 5",
        _DINO,
        "k5-strict",
        "dgm-eval",
        (("k", 5), ("inclusive", 0)),
    ),
    _neighbours(
        "prdc",
        _DENSITY,
        "Density, with coverage, precision and recall, k = 5",
        _VGG,
        "k5-strict-density",
        "prdc",
        (("k", 5),),
        generic=True,
    ),
    _neighbours(
        "prdc_dinov2",
        _DENSITY,
        "Density, coverage, precision and recall on DINOv2 features, k = 5",
        _DINO,
        "k5-strict-density",
        "dgm-eval",
        (("k", 5),),
    ),
    _neighbours(
        "clipped_dc",
        "genmetrics.metrics.clipped:ClippedDensityCoverage",
        "Clipped Density and Clipped Coverage, k = 5",
        _DINO,
        "k5-median",
        "ClippedDensityCoverage",
        (("k", 5),),
        generic=True,
    ),
    _neighbours(
        "realism",
        "genmetrics.metrics.memorisation:RealismScore",
        "Realism score of each image, mean, k = 3",
        _VGG,
        "k3-unsquared",
        "Kynkäänniemi et al., equation 3; dgm-eval",
        (("k", 3),),
        generic=True,
    ),
    _neighbours(
        "authpct",
        "genmetrics.metrics.memorisation:Authenticity",
        "AuthPct, percent of images that are no copies of training images",
        _DINO,
        "strict",
        "dgm-eval",
        generic=True,
    ),
    _neighbours(
        "nearest",
        "genmetrics.metrics.memorisation:NearestReference",
        "Cosine distance to the nearest reference image, mean",
        _DINO,
        "cosine",
        "the definition, in float64",
        generic=True,
    ),
    _neighbours(
        "mifid",
        _MIFID,
        "Memorisation-informed FID, as in its competition",
        _INCEPTION,
        "over-gen-0.1",
        "Bai et al. 2021",
        (("over_ref", 0),),
        generic=True,
        higher_is_better=False,
    ),
    _neighbours(
        "mifid_torchmetrics",
        _MIFID,
        "Memorisation-informed FID, averaged over the reference",
        _INCEPTION,
        "over-ref-0.1",
        "torchmetrics",
        (("over_ref", 1),),
        higher_is_better=False,
    ),
)
