"""Metrics that keep the features of real and of generated images."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from genmetrics.compat.torchmetrics.rows_metric import RowsMetric
from genmetrics.compat.torchmetrics.two_sets import TwoSetMetric

__all__ = ["TwoSetRowsMetric"]


class TwoSetRowsMetric(TwoSetMetric, RowsMetric):
    """A metric of two sets, of which it keeps all features.

    Attributes:
        real_features: of the real images, (n, d) a batch.
        fake_features: of the generated ones, likewise.
    """

    real_states: ClassVar[tuple[str, ...]] = ("real_features",)
    row_states: ClassVar[tuple[str, ...]] = ("real_features", "fake_features")

    real_features: list[Tensor]
    fake_features: list[Tensor]

    def update(self, imgs: Tensor, real: bool) -> None:
        """Add images.

        Args:
            imgs: (n, 3, h, w) uint8 RGB 0..255, or floats in 0..1 with ``normalize``; what a module takes if there is
                one.
            real: whether they are real.

        Raises:
            SourceError: if they are none of these.
            UsageError: if they are uint8 in spite of ``normalize``.
            StatisticsError: if a module gives anything but (n, d) features.
        """
        features = self._features(imgs, self.normalize and not self.used_custom_model)
        (self.real_features if real else self.fake_features).append(features)
