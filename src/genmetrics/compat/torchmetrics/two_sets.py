"""Metrics of real and generated images, of which the real ones may be kept when the rest is forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn
from typing_extensions import Unpack

from genmetrics.compat.torchmetrics.metric import ImageMetric, MetricOptions, TooFewImagesError, check_flag

__all__ = ["TwoSetMetric"]


class TwoSetMetric(ImageMetric):
    """A metric of two sets.

    Attributes:
        real_states: the states of the real images.
        reset_real_features: whether ``reset`` forgets them.
    """

    real_states: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        feature: str | int | nn.Module,
        reset_real_features: bool,
        normalize: bool,
        feature_extractor_weights_path: str | Path | None,
        antialias: bool,
        **kwargs: Unpack[MetricOptions],
    ) -> None:
        super().__init__(feature, normalize, feature_extractor_weights_path, antialias, **kwargs)
        check_flag("reset_real_features", reset_real_features)
        self.reset_real_features = reset_real_features

    def forward(self, imgs: Tensor, real: bool) -> Any:
        """Add a batch, and compute the metric of it alone against the real images that are kept.

        Args:
            imgs: as for ``update``.
            real: as for ``update``.

        Raises:
            TooFewImagesError: if there is nothing that the batch could be compared with; its images are not added.
        """
        if self.dist_sync_on_step:
            return super().forward(imgs, real)
        if real or self.reset_real_features:
            raise TooFewImagesError(
                f"{type(self).__name__}: a call computes the metric of this batch alone, whose images are all of one "
                "side, so that there is nothing to compare them with; call update() instead. With "
                "reset_real_features=False and real images fed by update(), a call with real=False gives a value"
            )
        kept = {name: getattr(self, name) for name in self.real_states}
        value = super().forward(imgs, real)
        # torchmetrics merges what was there before with what is there after: the real images, which are kept all
        # along, would count twice.
        for name, state in kept.items():
            setattr(self, name, state)
        return value

    def reset(self) -> None:
        """Forget the images; the real ones only if that was asked for."""
        if self.reset_real_features:
            super().reset()
            return
        kept = {name: self._defaults.pop(name) for name in self.real_states}
        try:
            super().reset()
        finally:
            self._defaults.update(kept)
