"""The kernel distance of features, as torch-fidelity's module of this name has it."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from genmetrics.compat.torch_fidelity.described import of_features
from genmetrics.compat.torch_fidelity.settings import Settings

__all__ = ["KEY_METRIC_KID_MEAN", "KEY_METRIC_KID_STD", "kid_features_to_metric"]

KEY_METRIC_KID_MEAN = "kernel_inception_distance_mean"
KEY_METRIC_KID_STD = "kernel_inception_distance_std"


def kid_features_to_metric(
    features_1: Float[Tensor, "n d"],
    features_2: Float[Tensor, "m e"],
    *,
    kid_subsets: int = Settings.kid_subsets,
    kid_subset_size: int = Settings.kid_subset_size,
    kid_kernel: str = Settings.kid_kernel,
    kid_kernel_poly_degree: int | float = Settings.kid_kernel_poly_degree,
    kid_kernel_poly_gamma: int | float | None = Settings.kid_kernel_poly_gamma,
    kid_kernel_poly_coef0: int | float = Settings.kid_kernel_poly_coef0,
    kid_kernel_rbf_sigma: int | float = Settings.kid_kernel_rbf_sigma,
    rng_seed: int = Settings.rng_seed,
    verbose: bool = Settings.verbose,
) -> dict[str, float]:
    """Mean and population spread over random subsets of the unbiased squared MMD.

    Args:
        features_1: (n, d) of the generated set.
        features_2: (m, d) of the real set.
        kid_subsets: as in ``calculate_metrics``, and so are the others.
        kid_subset_size: samples of each subset.
        kid_kernel: ``poly`` or ``rbf``.
        kid_kernel_poly_degree: of the polynomial kernel.
        kid_kernel_poly_gamma: its factor; None for 1/d.
        kid_kernel_poly_coef0: its constant.
        kid_kernel_rbf_sigma: the width of the Gaussian kernel.
        rng_seed: of the draws.
        verbose: has no effect: nothing is printed.

    Raises:
        StatisticsError: if a set is smaller than a subset.
        UsageError: if a constant cannot be meant.
    """
    settings = Settings(
        kid_subsets=kid_subsets,
        kid_subset_size=kid_subset_size,
        kid_kernel=kid_kernel,
        kid_kernel_poly_degree=kid_kernel_poly_degree,
        kid_kernel_poly_gamma=kid_kernel_poly_gamma,
        kid_kernel_poly_coef0=kid_kernel_poly_coef0,
        kid_kernel_rbf_sigma=kid_kernel_rbf_sigma,
        rng_seed=rng_seed,
    )
    result = of_features("kid", settings, features_1, features_2)
    return {KEY_METRIC_KID_MEAN: result.value, KEY_METRIC_KID_STD: float(result.extra["std"])}
