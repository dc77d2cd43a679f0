"""What clean-fid calls a feature model: a function from images to features, here one of our extractors."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from types import MappingProxyType

import torch
from torch import Tensor

from genmetrics.compat.cleanfid.resize import resize_of_mode
from genmetrics.engine.networks import Networks
from genmetrics.engine.options import Options
from genmetrics.errors import GenmetricsWarning, UsageError
from genmetrics.extractors.base import Extractor
from genmetrics.metrics import METRICS
from genmetrics.preprocess.spec import Preprocess, get_preprocess
from genmetrics.registry import did_you_mean

__all__ = ["CLIP", "INCEPTION", "METRIC_OF_MODE", "DeviceLike", "Network", "check_mode", "device_text", "network_of"]

#: A device, its name, its number, or ``auto`` for a GPU where there is one.
DeviceLike = torch.device | str | int

#: The metric whose network and resize each mode is.
METRIC_OF_MODE: Mapping[str, str] = MappingProxyType(
    {"clean": "fid_clean", "legacy_tensorflow": "fid", "legacy_pytorch": "fid_pytorch"}
)
INCEPTION, CLIP = "inception_v3", "clip_vit_b_32"


class Network:
    """A function of images, 0..255, that have the network's size already, to their features.

    Attributes:
        info: the metric whose network, feature and preprocessing these are.
        networks: holds the extractor, which is built when it is first used.
        resizes: whether it resizes its images itself, of whatever size they are, as TensorFlow 1 does.
    """

    def __init__(
        self, metric: str, device: DeviceLike = "auto", *, resizes: bool = False, extractor: str | None = None
    ) -> None:
        """Find device and weights; the network is built when it is first used.

        Args:
            metric: a metric's id.
            device: where it runs.
            resizes: whether images are resized in it.
            extractor: a relative of the metric's network; None takes that.

        Raises:
            DeviceError: if the device does not exist.
            WeightsError: if the weights are missing or refused.
        """
        info = METRICS.get(metric)
        if extractor not in (None, info.extractor):
            info = replace(info, id=f"{info.id}.{extractor}", extractor=str(extractor))
        self.info = info
        self.resizes = resizes
        self.networks = self._on(device)
        weights = self.networks.weights(info.extractor)
        if weights.official is False:
            warnings.warn(
                f"the weights of {info.extractor!r} are not the published ones (sha256 {str(weights.sha256)[:12]}…): "
                "numbers from them do not compare with published ones",
                GenmetricsWarning,
                stacklevel=3,
            )

    def _on(self, device: DeviceLike) -> Networks:
        return Networks([self.info.extractor], Options(device=device_text(device)))

    def to(self, device: DeviceLike) -> Network:
        """Itself on another device, as a module's ``to``.

        Raises:
            DeviceError: if the device does not exist.
        """
        self.networks = self._on(device)
        self.__dict__.pop("_extractor", None)
        return self

    def eval(self) -> Network:
        """Itself, as a module's ``eval``: it is never trained."""
        return self

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.networks.device

    @property
    def width(self) -> int:
        """How many features an image has."""
        return self._extractor.features[self.info.feature]

    @property
    def preprocess(self) -> Preprocess:
        """Resize and normalisation, as the metric has them."""
        return get_preprocess(self.info.preprocess)

    @cached_property
    def _extractor(self) -> Extractor:
        return self.networks.extractor(self.info.extractor)

    def __call__(self, images: Tensor) -> Tensor:
        """The features, (n, d) float32 on the network's device, without gradients.

        Args:
            images: (n, 3, h, w), 0..255, of any number type, on any device.

        Raises:
            UsageError: if they are of another shape, or were not resized.
        """
        size = self.preprocess.size
        assert size is not None
        if images.ndim != 4 or images.shape[1] != 3:
            raise UsageError(f"images have shape {tuple(images.shape)}; expected (n, 3, h, w), 0..255")
        pixels = images.to(self.device, torch.float32)
        if self.resizes:
            pixels = resize_of_mode("legacy_tensorflow", pixels, size)
        elif tuple(images.shape[2:]) != size:
            raise UsageError(
                f"images have shape {tuple(images.shape)}; expected (n, 3, {size[0]}, {size[1]}): resize them first, "
                "with genmetrics.compat.cleanfid.resize.build_resizer(mode)"
            )
        return self._run(self._normalised(pixels))

    def of_any_size(self, images: Tensor, mode: str) -> Tensor:
        """The features of images that were not resized, (n, d) float32.

        Args:
            images: (n, 3, h, w), 0..255, of any number type, on any device. Floats are not rounded, but for CLIP, of
                which clean-fid truncates them to 8 bits.
            mode: whose resize the images undergo.
        """
        pixels = images.to(self.device)
        if pixels.dtype != torch.uint8 and self.preprocess.resizer == "pil-bicubic":
            pixels = pixels.clamp(0, 255).to(torch.uint8)
        if pixels.dtype == torch.uint8:
            return self._run(self.preprocess(pixels))
        size = self.preprocess.size
        assert size is not None
        return self._run(self._normalised(resize_of_mode(mode, pixels.to(torch.float32), size)))

    def _normalised(self, pixels: Tensor) -> Tensor:
        spec = self.preprocess
        mean, std = (
            torch.tensor(values, dtype=torch.float32, device=pixels.device)[:, None, None]
            for values in (spec.mean, spec.std)
        )
        return pixels.div(spec.divisor).sub_(mean).div_(std)

    def _run(self, inputs: Tensor) -> Tensor:
        features = self._extractor.run(inputs, [self.info.feature])[self.info.feature]
        # Outside of inference mode, so that whoever gets it may compute on with it.
        return features.clone()


def network_of(mode: str, model_name: str = INCEPTION, device: DeviceLike = "auto") -> Network:
    """The network of a mode and model.

    Raises:
        UsageError: if there is no such mode or model.
    """
    check_mode(mode)
    if model_name == INCEPTION:
        return Network(METRIC_OF_MODE[mode], device, resizes=mode == "legacy_tensorflow")
    if model_name == CLIP:
        from genmetrics.compat.cleanfid.clip_features import CLIP_fx

        return CLIP_fx(device=device)
    raise UsageError(f"model_name {model_name!r}: {did_you_mean(model_name, [INCEPTION, CLIP])}")


def check_mode(mode: str) -> None:
    """Refuse what is no mode.

    Raises:
        UsageError: naming those that there are.
    """
    if mode not in METRIC_OF_MODE:
        raise UsageError(f"mode {mode!r}: {did_you_mean(mode, [*METRIC_OF_MODE])}")


def device_text(device: DeviceLike) -> str:
    """A device as our options take it."""
    return f"cuda:{device}" if isinstance(device, int) else str(device)
