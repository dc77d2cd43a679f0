"""Inception as a module inside a metric: its weights are in the metric's state dict, its work is done by a backend."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from genmetrics.errors import MissingWeightsError, SourceError, UsageError
from genmetrics.extractors.backends.base import Backend
from genmetrics.extractors.backends.choose import backend_name, make_backend
from genmetrics.extractors.base import load_extractor
from genmetrics.extractors.inception_v3 import InceptionV3
from genmetrics.extractors.weights import WeightsFile
from genmetrics.precision import computing_at
from genmetrics.preprocess.spec import get_preprocess
from genmetrics.registry import did_you_mean

__all__ = ["NoTrainInceptionV3"]

_EXTRACTOR = "inception-v3.tf2015"
_FEATURES = ("64", "192", "768", "2048", "logits_unbiased", "logits")


class NoTrainInceptionV3(nn.Module):
    """The Inception of 2015, always in evaluation: uint8 images in, features out.

    The names of its parameters are those of torchmetrics' network, so that checkpoints fit either. It computes in
    float32 without TF32 and outside of autocast, whatever the module around it is cast to; only
    ``compute_in`` changes that.

    Attributes:
        name: any.
        features_list: the outputs; ``forward`` gives the first.
        use_antialias: whether images are resized bilinearly with antialiasing (torchmetrics' default), and not as the
            2015 graph does it (every published FID).
        weights: the file that the weights were read from.

    Matches: torchmetrics 1.9.0's network, features to 2e-5 relative; tests/compat/torchmetrics/test_network.py.
    """

    INPUT_IMAGE_SIZE = 299

    def __init__(
        self,
        name: str,
        features_list: Sequence[str],
        feature_extractor_weights_path: str | Path | None = None,
        antialias: bool = True,
    ) -> None:
        """Read the weights.

        Args:
            name: any.
            features_list: of ``64``, ``192``, ``768``, ``2048``, ``logits_unbiased`` and ``logits``, as text.
            feature_extractor_weights_path: a file with weights; None finds the published ones or fetches them.
            antialias: see the class.

        Raises:
            UsageError: if there is no such output.
            WeightsError: if the weights are missing, damaged or refused.
        """
        super().__init__()
        self.name = name
        self.features_list = list(features_list)
        self.use_antialias = antialias
        for feature in self.features_list or [""]:
            if feature not in _FEATURES:
                raise UsageError(f"Inception has no output {feature!r}; {did_you_mean(feature, list(_FEATURES))}")
        network, self.weights = _read(feature_extractor_weights_path)
        for child, module in network.named_children():
            self.add_module(child, module)
        # Not as a child: its own children are ours already.
        object.__setattr__(self, "_network", network)
        self._backend: Backend | None = None
        self.eval()
        self.to(torch.get_default_device())

    def forward(self, x: Tensor) -> Tensor:
        """The features of images.

        Args:
            x: (n, 3, h, w) uint8 RGB, 0..255, on any device.

        Returns:
            (n, d) of the type that the network computes in, on its device.

        Raises:
            SourceError: if the images are of another type or shape.
        """
        if x.dtype != torch.uint8:
            raise SourceError(
                f"images are {x.dtype}, expected torch.uint8 with values 0..255; give floats in 0..1 to a metric with "
                "normalize=True"
            )
        if x.ndim != 4 or x.shape[1] != 3:
            raise SourceError(f"images are of shape {tuple(x.shape)}, expected (n, 3, height, width), RGB")
        network, feature = self._own(), self.features_list[0]
        weight = network.fc.weight
        spec = get_preprocess("torch-bilinear-antialias-299" if self.use_antialias else "tf1-bilinear-299")
        with torch.inference_mode(mode=False), torch.no_grad():
            # The clone leaves inference mode, in which a loop around this may be.
            inputs = spec((x.clone() if x.is_inference() else x).to(weight.device))
            if weight.dtype != torch.float32:
                with computing_at("exact", weight.device):
                    return cast(Tensor, network(inputs.to(weight.dtype), (feature,))[feature].to(weight.dtype))
            if self._backend is None:
                chosen = backend_name("auto", weight.device, "exact")
                self._backend = make_backend(chosen, lambda: copy.deepcopy(network), weight.device, "exact")
            return self._backend.start(inputs, (feature,))()[feature].clone()

    def train(self, mode: bool = True) -> NoTrainInceptionV3:
        """Stay in evaluation."""
        return super().train(False)

    def compute_in(self, dtype: torch.dtype) -> None:
        """Compute in another type than float32: layer by layer, on inputs that were resized in float32."""
        self._backend = None
        for module in self.children():
            module.to(dtype)

    def extra_repr(self) -> str:
        """What two networks of equal weights may differ in."""
        return f"features={','.join(self.features_list)}, antialias={self.use_antialias}"

    def _own(self) -> InceptionV3:
        return cast(InceptionV3, self.__dict__["_network"])

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> NoTrainInceptionV3:
        """Go where the module around it goes, but stay of the type that it is: a cast would change the numbers."""
        self._backend = None
        weight = self._own().fc.weight
        moved = fn(torch.empty(0, dtype=weight.dtype, device=weight.device))
        device, keeps = moved.device, moved.dtype == weight.dtype
        super()._apply(fn if keeps else lambda values: values.to(device), recurse)  # type: ignore[no-untyped-call]
        return self

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._backend = None  # it has the weights from before
        super()._load_from_state_dict(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        """Without the backend, which is made again where it is needed."""
        return {**self.__dict__, "_backend": None}


def _read(path: str | Path | None) -> tuple[InceptionV3, WeightsFile]:
    try:
        extractor = load_extractor(_EXTRACTOR, None if path is None else Path(path))
    except MissingWeightsError as error:
        raise MissingWeightsError(f"{error}\n  here: feature_extractor_weights_path='PATH'") from error
    network = extractor.network
    assert isinstance(network, InceptionV3)
    return network, extractor.weights
