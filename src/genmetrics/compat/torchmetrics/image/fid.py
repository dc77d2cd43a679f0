"""FID as ``torchmetrics.image.fid`` has it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from typing_extensions import Unpack

from genmetrics.compat.torchmetrics.images import warn
from genmetrics.compat.torchmetrics.metric import ArgumentTypeError, MetricOptions, TooFewImagesError
from genmetrics.compat.torchmetrics.moments_state import (
    add_samples,
    features_type,
    from_sums,
    merged,
    moments_of,
    no_samples,
    num_samples,
    sums_of,
)
from genmetrics.compat.torchmetrics.network import NoTrainInceptionV3
from genmetrics.compat.torchmetrics.two_sets import TwoSetMetric
from genmetrics.errors import StatisticsError
from genmetrics.metrics.frechet import few_samples, frechet_distance

__all__ = ["FrechetInceptionDistance", "NoTrainInceptionV3"]

_SUMS = ("sum", "cov_sum", "num_samples")


class FrechetInceptionDistance(TwoSetMetric):
    """Fréchet distance between the features of real and of generated ("fake") images.

    Its states are the exact moments of either set (see ``moments_state``), which processes merge: the number is the
    same to 1e-9 however images are shared out over batches and processes.

    Args:
        feature: a layer of Inception, 64, 192, 768 or 2048, or a module that gives (n, d) features.
        reset_real_features: whether ``reset`` forgets the real images too.
        normalize: whether images are floats in 0..1, which become uint8, and not uint8; it is for Inception alone.
        input_img_size: channels, height and width of an image with which a module is tried that has no
            ``num_features``.
        feature_extractor_weights_path: Inception's weights; None finds the published ones or fetches them.
        antialias: whether Inception's images are resized with antialiasing. False is the published FID.
        kwargs: keywords of ``torchmetrics.Metric``.

    Raises:
        UsageError: (a ValueError) if an argument is none of these.
        ArgumentTypeError: (a TypeError) if ``feature`` is of another type.
        WeightsError: if the weights are missing, damaged or refused.

    Matches: torchmetrics 1.9.0 to 1e-9 relative at full rank in float64; with Inception and few images, where its
    eigenvalues are of noise, the exact distance of its features to 2e-5; tests/compat/torchmetrics/test_fid.py.
    """

    higher_is_better: bool | None = False
    layers: ClassVar[tuple[str | int, ...]] = (64, 192, 768, 2048)
    real_states: ClassVar[tuple[str, ...]] = ("real_moments",)

    real_moments: Tensor
    fake_moments: Tensor

    def __init__(
        self,
        feature: int | nn.Module = 2048,
        reset_real_features: bool = True,
        normalize: bool = False,
        input_img_size: tuple[int, int, int] = (3, 299, 299),
        feature_extractor_weights_path: str | Path | None = None,
        antialias: bool = True,
        **kwargs: Unpack[MetricOptions],
    ) -> None:
        super().__init__(feature, reset_real_features, normalize, feature_extractor_weights_path, antialias, **kwargs)
        width = _width_of(feature, input_img_size, normalize) if isinstance(feature, nn.Module) else int(feature)
        for name in ("real_moments", "fake_moments"):
            self.add_state(name, no_samples(width), dist_reduce_fx=merged)

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
        name = "real_moments" if real else "fake_moments"
        state = getattr(self, name)
        if features.shape[1] != state.shape[1]:
            raise StatisticsError(
                f"the network gave features of width {features.shape[1]}, and {state.shape[1]} was expected from its "
                "num_features, or from an image of input_img_size"
            )
        setattr(self, name, add_samples(state, features))

    def compute(self) -> Tensor:
        """The distance, a scalar of the features' type; never negative.

        Raises:
            TooFewImagesError: (a RuntimeError) if there are fewer than two images on a side.
            StatisticsError: if features are NaN or infinite.
        """
        counts = {"real": num_samples(self.real_moments), "generated": num_samples(self.fake_moments)}
        if min(counts.values()) < 2:
            raise TooFewImagesError(
                f"FID needs more than one image on each side; given are {counts['real']} real and "
                f"{counts['generated']} generated (real=False) images"
            )
        ref, gen = moments_of(self.real_moments), moments_of(self.fake_moments)
        for message in few_samples(gen, ref):
            warn(message)
        device = self.device if self.device.type == "cuda" else torch.device("cpu")
        dtype = features_type(self.real_moments, self.fake_moments)
        return torch.tensor(frechet_distance(gen, ref, device), dtype=dtype, device=self.device)

    def merge_state(self, incoming_state: dict[str, Any] | Metric) -> None:
        """Add the state of another such metric; a number that was computed before is forgotten.

        Args:
            incoming_state: the metric, or its ``metric_state``; that of torchmetrics' own metric is taken as well.
        """
        super().merge_state(_ours(incoming_state, "") if isinstance(incoming_state, dict) else incoming_state)

    @property
    def real_features_sum(self) -> Tensor:
        """Σ x of the real images' features, (d,) float64."""
        return sums_of(self.real_moments)["sum"]

    @property
    def real_features_cov_sum(self) -> Tensor:
        """Σ x xᵀ of them, (d, d) float64."""
        return sums_of(self.real_moments)["cov_sum"]

    @property
    def real_features_num_samples(self) -> Tensor:
        """How many they are, int64."""
        return sums_of(self.real_moments)["num_samples"]

    @property
    def fake_features_sum(self) -> Tensor:
        """Σ x of the generated images' features, (d,) float64."""
        return sums_of(self.fake_moments)["sum"]

    @property
    def fake_features_cov_sum(self) -> Tensor:
        """Σ x xᵀ of them, (d, d) float64."""
        return sums_of(self.fake_moments)["cov_sum"]

    @property
    def fake_features_num_samples(self) -> Tensor:
        """How many they are, int64."""
        return sums_of(self.fake_moments)["num_samples"]

    def plot(self, val: Tensor | Sequence[Tensor] | None = None, ax: Any = None) -> Any:
        """Plot a value, or several in their order.

        Args:
            val: what ``forward`` or ``compute`` gave, or a list of that; None computes it.
            ax: axes of matplotlib to draw on.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
        """
        return self._plot(val, ax)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Load; of a checkpoint with torchmetrics' own metric the sums become moments."""
        converted = _ours(state_dict, prefix)
        state_dict.clear()
        state_dict.update(converted)
        super()._load_from_state_dict(state_dict, prefix, *args)


def _ours(state: dict[str, Any], prefix: str) -> dict[str, Any]:
    """A state in which torchmetrics' sums are replaced by our moments."""
    found = dict(state)
    for side in ("real", "fake"):
        keys = [f"{prefix}{side}_features_{name}" for name in _SUMS]
        if all(key in found for key in keys):
            total, products, count = (found.pop(key) for key in keys)
            found[f"{prefix}{side}_moments"] = from_sums(total, products, int(count))
    return found


def _width_of(network: nn.Module, image: tuple[int, int, int], floats: bool) -> int:
    """The width of a module's features: what it says, or gives for an image of noise."""
    told = getattr(network, "num_features", None)
    if told is None:
        noise = torch.rand(1, *image) if floats else torch.randint(0, 255, (1, *image), dtype=torch.uint8)
        with torch.no_grad():
            return int(network(noise).shape[-1])
    if not isinstance(told, (int, Tensor)):
        raise ArgumentTypeError(f"num_features of the network is {told!r}, expected a whole number or a tensor of one")
    return int(told)
