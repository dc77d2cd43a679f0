"""The Inception Score of class logits, as torch-fidelity's module of this name has it."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from genmetrics.compat.torch_fidelity.described import of_features
from genmetrics.compat.torch_fidelity.settings import Settings

__all__ = ["KEY_METRIC_ISC_MEAN", "KEY_METRIC_ISC_STD", "isc_features_to_metric"]

KEY_METRIC_ISC_MEAN = "inception_score_mean"
KEY_METRIC_ISC_STD = "inception_score_std"


def isc_features_to_metric(
    feature: Float[Tensor, "n k"],
    splits: int = Settings.isc_splits,
    shuffle: bool = Settings.samples_shuffle,
    rng_seed: int = Settings.rng_seed,
) -> dict[str, float]:
    """Mean and population spread over splits of exp E KL(p(y|x) ‖ p(y)).

    Args:
        feature: (n, k) logits.
        splits: how many.
        shuffle: permute the samples with the seed first.
        rng_seed: of the permutation.

    Raises:
        StatisticsError: if there are fewer samples than splits.
    """
    result = of_features("isc", Settings(isc_splits=splits, samples_shuffle=shuffle, rng_seed=rng_seed), feature)
    return {KEY_METRIC_ISC_MEAN: result.value, KEY_METRIC_ISC_STD: float(result.extra["std"])}
