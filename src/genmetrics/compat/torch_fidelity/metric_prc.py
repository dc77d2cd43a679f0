"""Precision and recall of features, as torch-fidelity's module of this name has them."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from genmetrics.compat.torch_fidelity.described import of_features
from genmetrics.compat.torch_fidelity.settings import Settings

__all__ = ["KEY_METRIC_F_SCORE", "KEY_METRIC_PRECISION", "KEY_METRIC_RECALL", "prc_features_to_metric"]

KEY_METRIC_PRECISION = "precision"
KEY_METRIC_RECALL = "recall"
KEY_METRIC_F_SCORE = "f_score"


def prc_features_to_metric(
    features_1: Float[Tensor, "n d"],
    features_2: Float[Tensor, "m e"],
    *,
    prc_neighborhood: int = Settings.prc_neighborhood,
    prc_batch_size: int = Settings.prc_batch_size,
    save_cpu_ram: bool = Settings.save_cpu_ram,
    verbose: bool = Settings.verbose,
) -> dict[str, float]:
    """The shares of generated and of real samples in a ball of the other set, and their harmonic mean.

    Args:
        features_1: (n, d) of the generated set.
        features_2: (m, d) of the real set.
        prc_neighborhood: neighbours that a ball reaches to.
        prc_batch_size: has no effect: distances are made in tiles that fit the processor.
        save_cpu_ram: has no effect: no matrix of all distances is ever held.
        verbose: has no effect: nothing is printed.

    Raises:
        StatisticsError: if a set has no more samples than neighbours are asked for.
    """
    result = of_features("prc", Settings(prc_neighborhood=prc_neighborhood), features_1, features_2)
    return {key: float(result.extra[key]) for key in (KEY_METRIC_PRECISION, KEY_METRIC_RECALL, KEY_METRIC_F_SCORE)}
