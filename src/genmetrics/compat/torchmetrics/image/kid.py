"""KID as ``torchmetrics.image.kid`` has it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float64, Int64
from torch import Tensor, nn
from typing_extensions import Unpack

from genmetrics.compat.torchmetrics.metric import MetricOptions, TooFewImagesError
from genmetrics.compat.torchmetrics.rows_state import permutation
from genmetrics.compat.torchmetrics.two_sets_of_rows import TwoSetRowsMetric
from genmetrics.errors import UsageError
from genmetrics.metrics.kernel import distances_of_subsets
from genmetrics.metrics.kernel_subsets import distances_of_subsets_under, polynomial_kernel

__all__ = ["KernelInceptionDistance"]


class KernelInceptionDistance(TwoSetRowsMetric):
    """Kernel distance between the features of real and of generated ("fake") images, over random subsets.

    In one process the subsets are drawn from torch's generator, as torchmetrics draws them. On several processes all
    draw the same, from a seed that the generator of the first one gives.

    Args:
        feature: a layer of Inception, ``"logits_unbiased"``, 64, 192, 768 or 2048, or a module that gives (n, d)
            features.
        subsets: how many pairs of subsets.
        subset_size: how many images of either side are in each.
        degree: n of the kernel (γ x·y + c)ⁿ.
        gamma: γ; None for one over the width of the features.
        coef: c.
        reset_real_features: whether ``reset`` forgets the real images too.
        normalize: whether images are floats in 0..1, which become uint8, and not uint8; it is for Inception alone.
        feature_extractor_weights_path: ours: Inception's weights; None finds the published ones or fetches them.
        antialias: ours: whether Inception's images are resized with antialiasing, as torchmetrics always does. False is
            the published KID.
        kwargs: keywords of ``torchmetrics.Metric``.

    Raises:
        UsageError: (a ValueError) if an argument is none of these.
        ArgumentTypeError: (a TypeError) if ``feature`` is of another type.
        WeightsError: if the weights are missing, damaged or refused.

    Matches: torchmetrics 1.9.0 with the same ``torch.manual_seed`` to 1e-6 of the kernel, whose sums it has in float32;
    tests/compat/torchmetrics/test_kid.py.
    """

    higher_is_better: bool | None = False
    plot_upper_bound: float | None = 1.0

    def __init__(
        self,
        feature: str | int | nn.Module = 2048,
        subsets: int = 100,
        subset_size: int = 1000,
        degree: int = 3,
        gamma: float | None = None,
        coef: float = 1.0,
        reset_real_features: bool = True,
        normalize: bool = False,
        *,
        feature_extractor_weights_path: str | Path | None = None,
        antialias: bool = True,
        **kwargs: Unpack[MetricOptions],
    ) -> None:
        super().__init__(feature, reset_real_features, normalize, feature_extractor_weights_path, antialias, **kwargs)
        self.subsets = _whole("subsets", subsets, 1)
        self.subset_size = _whole("subset_size", subset_size, 2)
        self.degree = _whole("degree", degree, 1)
        self.gamma = None if gamma is None else _positive("gamma", gamma)
        self.coef = _positive("coef", coef)
        self._add_row_states()

    def compute(self) -> tuple[Tensor, Tensor]:
        """The mean over subsets and their population spread, scalars of the features' type.

        Raises:
            TooFewImagesError: (a ValueError) if a side has fewer images than a subset.
            StatisticsError: if features are NaN or infinite.
        """
        real, fake = self._rows("real_features"), self._rows("fake_features")
        if min(len(real), len(fake)) < self.subset_size:
            raise TooFewImagesError(
                f"KID draws subset_size={self.subset_size} images of each side, and there are {len(real)} real and "
                f"{len(fake)} generated (real=False) images; add images, or give a smaller subset_size"
            )
        draws = self._draws()
        of_real, of_fake = [], []
        for _ in range(self.subsets):
            of_real.append(permutation(len(real), draws)[: self.subset_size].clone())
            of_fake.append(permutation(len(fake), draws)[: self.subset_size].clone())
        distances = self._distances(fake, real, torch.stack(of_fake), torch.stack(of_real))
        mean, spread = distances.mean(), distances.std(correction=0)
        return mean.to(real.device, real.dtype), spread.to(real.device, real.dtype)

    def _distances(
        self, gen: Tensor, ref: Tensor, of_gen: Int64[Tensor, "subsets size"], of_ref: Int64[Tensor, "subsets size"]
    ) -> Float64[Tensor, " subsets"]:
        device = gen.device if gen.device.type == "cuda" else torch.device("cpu")
        if self.degree == 3 and self.coef == 1.0 and self.gamma is None and gen.dtype != torch.float64:
            return distances_of_subsets(gen.float(), ref.float(), of_gen, of_ref, device)
        kernel = polynomial_kernel(self.degree, self.gamma, self.coef)
        return distances_of_subsets_under(kernel, gen, ref, of_gen, of_ref, device)

    def plot(self, val: Tensor | Sequence[Tensor] | None = None, ax: Any = None) -> Any:
        """Plot a value, or several in their order.

        Args:
            val: a mean, or a list of means; None computes it.
            ax: axes of matplotlib to draw on.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
        """
        return self._plot(self.compute()[0] if val is None else val, ax)


def _whole(name: str, value: object, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UsageError(f"{name} is {value!r}, expected a whole number of at least {least}")
    return value


def _positive(name: str, value: object) -> float:
    if not isinstance(value, float) or not value > 0:
        raise UsageError(f"{name} is {value!r}, expected a float larger than 0")
    return value
