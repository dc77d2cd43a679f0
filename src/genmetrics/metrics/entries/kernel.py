"""Kernel and transport distances."""

from __future__ import annotations

from genmetrics.types import MetricInfo

__all__ = ["ENTRIES"]

_INCEPTION = ("inception-v3.tf2015", "2048", "tf1-bilinear-299")
_CLIP = ("clip-vit-l14-336.openai", "embedding", "square-pil-bicubic-336-clip")
_DIRECTIONS = 1000
_SUBSETS = (("num_subsets", 100), ("subset_size", 1000))


def _distance(
    name: str,
    target: str,
    summary: str,
    network: tuple[str, str, str],
    estimator: str,
    equals: str,
    settings: tuple[tuple[str, int], ...] = (),
) -> MetricInfo:
    extractor, feature, preprocess = network
    return MetricInfo(
        name,
        f"genmetrics.metrics.{target}",
        summary,
        extractor,
        feature,
        preprocess,
        higher_is_better=False,
        unary=False,
        generic=name,
        estimator=estimator,
        equals=equals,
        settings=settings,
    )


ENTRIES: tuple[MetricInfo, ...] = (
    _distance(
        "kid",
        "kernel:KernelDistance",
        "Kernel Inception Distance, mean over 100 subsets of 1,000",
        _INCEPTION,
        "poly3-100x1000",
        "torch-fidelity, with its seed and order of draws",
        _SUBSETS,
    ),
    MetricInfo(
        "kid_clean",
        "genmetrics.metrics.kernel:KernelDistance",
        "KID with Pillow's antialiased bicubic resize",
        "inception-v3.tf2015",
        "2048",
        "pil-bicubic-f32-299",
        higher_is_better=False,
        unary=False,
        estimator="poly3-100x1000",
        equals="clean-fid, mode clean, with its order of draws",
        settings=_SUBSETS,
    ),
    _distance(
        "kid_full",
        "kernel_full:FullKernelDistance",
        "Kernel Inception Distance over all pairs of images, with a standard error",
        _INCEPTION,
        "poly3-full",
        "the unbiased estimate of KID's paper, of which `kid` is a random approximation",
    ),
    _distance(
        "cmmd",
        "cmmd:CMMD",
        "CMMD, the biased squared MMD of CLIP embeddings under a Gaussian kernel, times 1,000",
        _CLIP,
        "rbf10-biased-x1000",
        "google-research's cmmd, clip-mmd",
    ),
    _distance(
        "cmmd_fast",
        "cmmd:StreamingCMMD",
        "CMMD to within 0.0007 below it, from second moments in constant memory",
        _CLIP,
        "rbf10-biased-x1000-order2",
        "`cmmd` to within its own bound",
    ),
    _distance(
        "mind",
        "transport:Mind",
        f"Monge Inception Distance over {_DIRECTIONS:,} directions",
        _INCEPTION,
        f"sliced-w2-{_DIRECTIONS}-subsampled",
        "torch-fidelity 0.5.0-dev, with its seed and order of draws",
        (("num_projections", _DIRECTIONS),),
    ),
    _distance(
        "mind_quantile",
        "transport:MindQuantile",
        "Monge Inception Distance of all images of sets of unlike sizes",
        _INCEPTION,
        f"sliced-w2-{_DIRECTIONS}-quantile",
        "`mind` for sets of equal size; POT's one-dimensional transport cost for others",
        (("num_projections", _DIRECTIONS),),
    ),
    _distance(
        "sliced_wasserstein",
        "transport:SlicedWasserstein",
        f"sliced 2-Wasserstein distance over {_DIRECTIONS:,} directions",
        _INCEPTION,
        f"sliced-w2-{_DIRECTIONS}-root",
        "POT, with the same directions",
        (("num_projections", _DIRECTIONS),),
    ),
)
