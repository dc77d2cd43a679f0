"""What the metrics share: a network, images for it, and features from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypedDict

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from typing_extensions import Unpack

from genmetrics.compat.torchmetrics.images import to_bytes, warn
from genmetrics.compat.torchmetrics.network import NoTrainInceptionV3
from genmetrics.errors import StatisticsError, UsageError

__all__ = ["ArgumentTypeError", "ImageMetric", "MetricOptions", "TooFewImagesError", "check_flag"]


class TooFewImagesError(StatisticsError, RuntimeError):
    """Too few images for a number; a RuntimeError and a ValueError, for torchmetrics raises either."""


class ArgumentTypeError(UsageError, TypeError):
    """An argument of a type that cannot be meant; a TypeError, as torchmetrics' is."""


class MetricOptions(TypedDict, total=False):
    """The keywords of ``torchmetrics.Metric``, which is given them and refuses others."""

    compute_on_cpu: bool
    dist_sync_on_step: bool
    process_group: Any
    dist_sync_fn: Callable[..., Any] | None
    distributed_available_fn: Callable[..., Any] | None
    sync_on_compute: bool
    compute_with_cache: bool


def check_flag(name: str, value: object) -> None:
    """Refuse what is not True or False.

    Raises:
        UsageError: if it is not.
    """
    if not isinstance(value, bool):
        raise UsageError(f"{name} is {value!r}, expected True or False")


class ImageMetric(Metric):
    """A metric that puts images through a network.

    Attributes:
        inception: the network, ours or the caller's.
        feature_network: its name, by which ``torchmetrics.wrappers.FeatureShare`` finds it.
        used_custom_model: whether it is the caller's.
        normalize: whether images for our network are floats in 0..1.
    """

    is_differentiable: bool | None = False
    full_state_update: bool | None = False
    plot_lower_bound: float | None = 0.0

    inception: nn.Module
    feature_network: str = "inception"
    #: What ``feature`` may be beside a module.
    layers: ClassVar[tuple[str | int, ...]] = ("logits_unbiased", 64, 192, 768, 2048)

    def __init__(
        self,
        feature: str | int | nn.Module,
        normalize: bool,
        feature_extractor_weights_path: str | Path | None,
        antialias: bool,
        **kwargs: Unpack[MetricOptions],
    ) -> None:
        super().__init__(**kwargs)
        check_flag("normalize", normalize)
        check_flag("antialias", antialias)
        self.normalize = normalize
        self.used_custom_model = isinstance(feature, nn.Module)
        if isinstance(feature, nn.Module):
            self.inception = feature
            return
        if not isinstance(feature, tuple({type(layer) for layer in self.layers})):
            raise ArgumentTypeError(f"feature is {feature!r}, expected one of {self._choices} or a torch.nn.Module")
        if feature not in self.layers:
            raise UsageError(f"feature is {feature!r}, expected one of {self._choices} or a torch.nn.Module")
        network = NoTrainInceptionV3("inception-v3-compat", [str(feature)], feature_extractor_weights_path, antialias)
        self.inception = network
        if not network.weights.official:
            warn(
                f"the weights '{network.weights.path}' are not the published ones of Inception: the number of "
                f"{type(self).__name__} is comparable with others of these weights alone"
            )
        if antialias:
            warn(
                f"{type(self).__name__} resizes images with antialiasing, torchmetrics' default since 1.8: the number "
                "equals torchmetrics' and is of no published protocol. Give antialias=False for the published one"
            )

    @property
    def _choices(self) -> str:
        return ", ".join(map(repr, self.layers))

    def _features(self, imgs: Tensor, as_bytes: bool) -> Tensor:
        """The (n, d) features of a batch.

        Args:
            imgs: what the network takes; floats in 0..1 where they are to be made uint8 first.
            as_bytes: whether they are.

        Raises:
            StatisticsError: if the network gives anything but a row for each image.
        """
        features: Tensor = self.inception(to_bytes(imgs) if as_bytes else imgs)
        if features.ndim == 1 and imgs.shape[0] == 1:  # of networks that squeeze
            features = features[None]
        if features.ndim != 2 or features.shape[0] != imgs.shape[0]:
            raise StatisticsError(
                f"the network gave features of shape {tuple(features.shape)} for a batch of {imgs.shape[0]} images; "
                "expected a row for each image"
            )
        return features.detach()

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = ()) -> nn.Module:
        """Go where the module around it goes; states keep their type, for a cast would cost them digits."""
        super()._apply(fn, tuple(self._defaults))
        for name, default in self._defaults.items():
            state = getattr(self, name)
            if isinstance(default, Tensor):
                self._defaults[name] = default.to(self.device)
                setattr(self, name, state.to(self.device))
            else:
                setattr(self, name, [part.to(self.device) for part in state])
        return self

    def set_dtype(self, dst_type: str | torch.dtype) -> ImageMetric:
        """Let the network compute in another type, and give results of it.

        Args:
            dst_type: as for torchmetrics.
        """
        super().set_dtype(dst_type)
        for module in self.modules():
            if isinstance(module, NoTrainInceptionV3):
                module.compute_in(self.dtype)
        return self

    def merge_state(self, incoming_state: dict[str, Any] | Metric) -> None:
        """Add the state of another such metric, whose images come first; a number from before is forgotten.

        Args:
            incoming_state: the metric, or its ``metric_state``.

        Raises:
            UsageError: (a ValueError) if it is of another metric.
        """
        if isinstance(incoming_state, Metric):
            if not isinstance(incoming_state, type(self)):
                raise UsageError(
                    f"the state of a {type(incoming_state).__name__} cannot be merged into a {type(self).__name__}; of "
                    "torchmetrics' own metric of that name give its metric_state"
                )
            incoming_state = {name: getattr(incoming_state, name) for name in self._defaults}
        missing = [name for name in self._defaults if name not in incoming_state]
        if missing:
            raise UsageError(
                f"the state has no {missing[0]!r}, and a {type(self).__name__} has {', '.join(self._defaults)}; given "
                f"are {', '.join(incoming_state) or 'none'}"
            )
        self._reduce_states(incoming_state)
        self._computed = None
        self._update_count += 1
