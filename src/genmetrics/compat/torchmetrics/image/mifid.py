"""MiFID as ``torchmetrics.image.mifid`` has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from genmetrics.accumulators.base import Accumulator
from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.labels import Labels
from genmetrics.accumulators.moments import Moments
from genmetrics.compat.torchmetrics.images import warn
from genmetrics.compat.torchmetrics.metric import MetricOptions, TooFewImagesError
from genmetrics.compat.torchmetrics.two_sets_of_rows import TwoSetRowsMetric
from genmetrics.errors import UsageError
from genmetrics.metrics import METRICS
from genmetrics.metrics.mifid import MemorisationInformedFrechetDistance
from genmetrics.types import Need

__all__ = ["MemorizationInformedFrechetInceptionDistance"]

_BLOCK = 4096


class MemorizationInformedFrechetInceptionDistance(TwoSetRowsMetric):
    """FID over m, the mean over real images of the least 1 − |cos| to a generated ("fake") one; m = 1 from a limit on.

    Args:
        feature: a layer of Inception, 64, 192, 768 or 2048, or a module that gives (n, d) features.
        reset_real_features: whether ``reset`` forgets the real images too.
        normalize: whether images are floats in 0..1, which become uint8, and not uint8; it is for Inception alone.
        cosine_distance_eps: the limit, above 0 and at most 1.
        feature_extractor_weights_path: ours: Inception's weights; None finds the published ones or fetches them.
        antialias: ours: whether Inception's images are resized with antialiasing, as torchmetrics always does. False is
            the resize of the published FID.
        kwargs: keywords of ``torchmetrics.Metric``.

    Raises:
        UsageError: (a ValueError) if an argument is none of these.
        ArgumentTypeError: (a TypeError) if ``feature`` is of another type.
        WeightsError: if the weights are missing, damaged or refused.

    Matches: torchmetrics 1.9.0 to 1e-6 relative at full rank; tests/compat/torchmetrics/test_mifid.py.
    """

    higher_is_better: bool | None = False
    plot_lower_bound: float | None = None
    layers: ClassVar[tuple[str | int, ...]] = (64, 192, 768, 2048)

    def __init__(
        self,
        feature: int | nn.Module = 2048,
        reset_real_features: bool = True,
        normalize: bool = False,
        cosine_distance_eps: float = 0.1,
        *,
        feature_extractor_weights_path: str | Path | None = None,
        antialias: bool = True,
        **kwargs: Unpack[MetricOptions],
    ) -> None:
        super().__init__(feature, reset_real_features, normalize, feature_extractor_weights_path, antialias, **kwargs)
        if not (isinstance(cosine_distance_eps, float) and 0 < cosine_distance_eps <= 1):
            raise UsageError(f"cosine_distance_eps is {cosine_distance_eps!r}, expected a float above 0 and at most 1")
        self.cosine_distance_eps = cosine_distance_eps
        self._add_row_states()

    def compute(self) -> Tensor:
        """The quotient, a scalar of the features' type.

        Raises:
            TooFewImagesError: if there are fewer than two images on a side.
            StatisticsError: if features are NaN or infinite, or all zero.
        """
        real, fake = self._rows("real_features"), self._rows("fake_features")
        if min(len(real), len(fake)) < 2:
            raise TooFewImagesError(
                f"MiFID needs more than one image on each side; given are {len(real)} real and {len(fake)} generated "
                "(real=False) images"
            )
        info = METRICS.get("mifid_torchmetrics")
        settings = (("over_ref", 1), ("threshold", self.cosine_distance_eps))
        metric = MemorisationInformedFrechetDistance(replace(info, settings=settings), 0)
        metric.device = real.device if real.device.type == "cuda" else torch.device("cpu")
        result = metric.compute(_Rows(fake), _Rows(real))
        for message in result.warnings:
            warn(message)
        return torch.tensor(result.value, dtype=torch.promote_types(real.dtype, fake.dtype), device=self.device)

    def plot(self, val: Tensor | Sequence[Tensor] | None = None, ax: Any = None) -> Any:
        """Plot a value, or several in their order.

        Args:
            val: what ``forward`` or ``compute`` gave, or a list of that; None computes it.
            ax: axes of matplotlib to draw on.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
        """
        return self._plot(val, ax)


@dataclass(frozen=True)
class _Rows:
    """A set's features as the engine's metric takes them."""

    rows: Tensor

    @property
    def num_samples(self) -> int | None:
        return len(self.rows)

    @property
    def labels(self) -> Labels | None:
        return None

    @property
    def class_names(self) -> tuple[str, ...]:
        return ()

    def meets(self, need: Need) -> bool:
        return need.accumulator in ("moments", "feature_bank")

    def get(self, need: Need) -> Accumulator:
        width = self.rows.shape[1]
        made = Moments(width) if need.accumulator == "moments" else FeatureBank(width)
        for places in torch.split(torch.arange(len(self.rows), device="cpu"), _BLOCK):
            made.update(self.rows[places.to(self.rows.device)], places)
        return made
