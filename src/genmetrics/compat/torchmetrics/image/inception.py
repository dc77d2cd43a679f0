"""The Inception Score as ``torchmetrics.image.inception`` has it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from genmetrics.accumulators.softmax_sums import SoftmaxSums
from genmetrics.compat.torchmetrics.images import warn
from genmetrics.compat.torchmetrics.metric import MetricOptions, TooFewImagesError
from genmetrics.compat.torchmetrics.rows_metric import RowsMetric
from genmetrics.compat.torchmetrics.rows_state import permutation
from genmetrics.errors import UsageError

__all__ = ["InceptionScore"]

_BLOCK = 1024


class InceptionScore(RowsMetric):
    """exp of the mean KL(p(y|x) ‖ p(y)) over splits: how sure Inception is of an image, and how many classes it sees.

    In one process the images are permuted from torch's generator, as torchmetrics permutes them. On several processes
    all permute alike, from a seed that the generator of the first one gives.

    Args:
        feature: an output of Inception, ``"logits_unbiased"`` or a layer, or a module that gives (n, k) logits.
        splits: how many; consecutive runs of ⌈n/splits⌉ permuted images, which may be fewer.
        normalize: whether images are floats in 0..1, which become uint8, and not uint8; for a module too.
        feature_extractor_weights_path: ours: Inception's weights; None finds the published ones or fetches them.
        antialias: ours: whether Inception's images are resized with antialiasing, as torchmetrics always does. False is
            the published score.
        kwargs: keywords of ``torchmetrics.Metric``.

    Raises:
        UsageError: (a ValueError) if an argument is none of these.
        ArgumentTypeError: (a TypeError) if ``feature`` is of another type.
        WeightsError: if the weights are missing, damaged or refused.

    Matches: torchmetrics 1.9.0 with the same ``torch.manual_seed`` to 1e-5 relative (its softmax is float32);
    tests/compat/torchmetrics/test_inception.py.
    """

    higher_is_better: bool | None = True
    row_states: ClassVar[tuple[str, ...]] = ("features",)

    features: list[Tensor]

    def __init__(
        self,
        feature: str | int | nn.Module = "logits_unbiased",
        splits: int = 10,
        normalize: bool = False,
        *,
        feature_extractor_weights_path: str | Path | None = None,
        antialias: bool = True,
        **kwargs: Unpack[MetricOptions],
    ) -> None:
        super().__init__(feature, normalize, feature_extractor_weights_path, antialias, **kwargs)
        if not isinstance(splits, int) or isinstance(splits, bool) or splits < 1:
            raise UsageError(f"splits is {splits!r}, expected a whole number of at least 1")
        self.splits = splits
        self._add_row_states()

    def update(self, imgs: Tensor) -> None:
        """Add images.

        Args:
            imgs: (n, 3, h, w) uint8 RGB 0..255, or floats in 0..1 with ``normalize``; what a module takes if there is
                one, uint8 if there is ``normalize``.

        Raises:
            SourceError: if they are none of these.
            UsageError: if they are uint8 in spite of ``normalize``.
            StatisticsError: if a module gives anything but (n, k) logits.
        """
        self.features.append(self._features(imgs, self.normalize))

    def compute(self) -> tuple[Tensor, Tensor]:
        """The mean over splits and their sample deviation (NaN of one split), scalars of the logits' type.

        Raises:
            TooFewImagesError: (a ValueError) if there are no images.
            StatisticsError: if logits are NaN or infinite.
        """
        logits = self._rows("features")
        count = len(logits)
        if count == 0:
            raise TooFewImagesError("the Inception Score of no images was asked for; call update() first")
        logits = logits[permutation(count, self._draws()).to(logits.device)]
        sums = SoftmaxSums(logits.shape[1], 0, 0, count, chunk=-(-count // self.splits))
        for places in torch.split(torch.arange(count, device="cpu"), _BLOCK):
            sums.update(logits[places.to(logits.device)], places)
        scores = sums.mean_divergences().exp()
        if len(scores) != self.splits or count == self.splits:
            warn(
                f"{count} images were cut into {len(scores)} runs of up to {-(-count // self.splits)} where "
                f"splits={self.splits}; a run of one image scores 1 whatever it shows. Add images, thousands for a "
                "number worth reporting"
            )
        spread = scores.std(correction=1) if len(scores) > 1 else torch.tensor(torch.nan)
        return scores.mean().to(logits.device, logits.dtype), spread.to(logits.device, logits.dtype)

    def plot(self, val: Tensor | Sequence[Tensor] | None = None, ax: Any = None) -> Any:
        """Plot a value, or several in their order.

        Args:
            val: a mean, or a list of means; None computes it.
            ax: axes of matplotlib to draw on.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
        """
        return self._plot(self.compute()[0] if val is None else val, ax)
