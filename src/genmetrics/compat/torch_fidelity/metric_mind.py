"""The Monge Inception Distance of features, as torch-fidelity's module of this name has it."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from genmetrics.compat.torch_fidelity.described import of_features
from genmetrics.compat.torch_fidelity.settings import Settings

__all__ = ["KEY_METRIC_MIND", "mind_features_to_metric"]

KEY_METRIC_MIND = "monge_inception_distance"


def mind_features_to_metric(
    features_1: Float[Tensor, "n d"],
    features_2: Float[Tensor, "m e"],
    *,
    mind_num_projections: int = Settings.mind_num_projections,
    rng_seed: int = Settings.rng_seed,
    cuda: bool = Settings.cuda,
    verbose: bool = Settings.verbose,
) -> dict[str, float]:
    """The mean squared 2-Wasserstein distance along random directions, times three times their number of dimensions.

    Args:
        features_1: (n, d) of the generated set.
        features_2: (m, d) of the real set.
        mind_num_projections: directions.
        rng_seed: of the directions, and of what is left out of the larger set.
        cuda: has no effect: features that are there are compared on the CPU.
        verbose: has no effect: nothing is printed.
    """
    settings = Settings(mind_num_projections=mind_num_projections, rng_seed=rng_seed)
    return {KEY_METRIC_MIND: of_features("mind", settings, features_1, features_2).value}
