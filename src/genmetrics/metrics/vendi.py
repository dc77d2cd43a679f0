"""Diversity of one set from the spectrum of its similarities: Vendi score and Rényi kernel entropy."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import cast

import torch
from jaxtyping import Float64
from torch import Tensor

from genmetrics.accumulators.moments import Moments
from genmetrics.metrics.base import Metric, SetStatistics, require_samples
from genmetrics.types import MetricInfo, MetricResult, Need

__all__ = ["RenyiKernelEntropy", "Vendi", "renyi_entropy", "von_neumann_entropy"]

_ENOUGH = 20_000


def von_neumann_entropy(matrix: Float64[Tensor, "k k"]) -> float:
    """−Σ λ log λ over the eigenvalues of a positive semidefinite matrix of trace 1, in nats.

    Eigenvalues below zero are rounding errors of zeros, and count as such.
    """
    values = torch.linalg.eigvalsh(matrix).clamp_(min=0)
    return float(torch.special.entr(values).sum())


def renyi_entropy(matrix: Float64[Tensor, "k k"]) -> float:
    """−log Σ λ² over the eigenvalues of a symmetric matrix of trace 1, in nats; no eigenvalue is computed."""
    return -float(matrix.square().sum().log())


class _KernelEntropy(Metric):
    """exp of an entropy of the eigenvalues of K/n, K the cosine similarities of all pairs of n images.

    K/n and the second moment of the unit-norm features have the same non-zero eigenvalues, so that with more images
    than dimensions the second moment is enough, in memory that does not depend on the number of images.
    """

    higher_is_better = True
    unary = True

    def __init__(self, info: MetricInfo, seed: int) -> None:
        self.id = info.id
        self.needs = (Need(info.extractor, info.preprocess, info.feature, "moments", (("unit_norm", 1),)),)
        self.protocol = info.protocol

    @abstractmethod
    def entropy(self, matrix: Float64[Tensor, "k k"]) -> float:
        """Of a positive semidefinite matrix of trace 1, in nats."""

    def compute(self, gen: SetStatistics, ref: SetStatistics | None) -> MetricResult:
        """The effective number of unlike images, from 1 to the smaller of n and the dimension."""
        moments = cast(Moments, gen.get(self.needs[0]))
        require_samples(self.id, 2, moments.num_samples)
        entropy = self.entropy(moments.smaller_second_moment().to(self.device))
        extra = {"entropy": entropy, "num_samples": moments.num_samples}
        return MetricResult(self.id, math.exp(entropy), extra, self.protocol, self._warnings(moments.num_samples))

    def _warnings(self, num_samples: int) -> tuple[str, ...]:
        return ()


class Vendi(_KernelEntropy):
    """exp of the Shannon entropy of the eigenvalues.

    Source: Friedman and Dieng 2022 (arXiv:2210.02410), definition 3.1.
    Matches: vendi-score 0.0.3, ``score_K``, ``score_X`` and ``score_dual``, to 1e-9 relative;
    tests/conformance/test_peers_vendi.py.
    """

    def entropy(self, matrix: Float64[Tensor, "k k"]) -> float:
        """Shannon's, of the eigenvalues."""
        return von_neumann_entropy(matrix)

    def _warnings(self, num_samples: int) -> tuple[str, ...]:
        if num_samples >= _ENOUGH:
            return ()
        return (
            f"the Vendi score of {num_samples:,} images has not converged: it grows with the number of images up to at "
            f"least {_ENOUGH:,}. Compare it only with values of exactly as many images, or take 'rke'",
        )


class RenyiKernelEntropy(_KernelEntropy):
    """1/‖K/n‖²: exp of the Rényi entropy of order 2 of the eigenvalues.

    Source: Jalali, Li and Farnia 2023, "An Information-Theoretic Evaluation of Generative Models in Learning
    Multi-modal Distributions" (NeurIPS), with the cosine kernel; Pasarkar and Dieng 2023 (arXiv:2310.12952), order 2.
    Matches: vendi-score 0.0.3 with q = 2, ``score_K`` and ``score_dual``, to 1e-9 relative;
    tests/conformance/test_peers_vendi.py.
    """

    def entropy(self, matrix: Float64[Tensor, "k k"]) -> float:
        """Rényi's of order 2, of the eigenvalues."""
        return renyi_entropy(matrix)
