"""What a feature extractor is for torch-fidelity; classes that were written for it derive from this one unchanged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from genmetrics.compat.torch_fidelity.helpers import check_settings, internal_dtype
from genmetrics.errors import UsageError
from genmetrics.preprocess.resize_tf1 import resize_tf1_bilinear_f64
from genmetrics.preprocess.spec import get_preprocess

__all__ = ["BuiltInFeatureExtractor", "FeatureExtractorBase"]


class FeatureExtractorBase(nn.Module):
    """Images in, a tuple of features out.

    A subclass is called with its name, the features that are wanted and everything that ``calculate_metrics`` was
    given; it overrides ``get_provided_features_list`` and ``forward``, and ``get_default_feature_layer_for_metric``
    unless each metric is told its layer.
    """

    def __init__(self, name: str, features_list: Sequence[str]) -> None:
        """Check the features.

        Args:
            name: under which the class is registered.
            features_list: names of the features that ``forward`` is to give, in this order; a list or a tuple.

        Raises:
            UsageError: if there is none, one twice, or one that the class does not provide.
        """
        super().__init__()
        if not isinstance(name, str):
            raise UsageError(f"a feature extractor's name is {name!r}; expected a text")
        if not isinstance(features_list, list | tuple):
            raise UsageError(
                f"features_list of feature extractor {name!r} is {features_list!r}; expected a list of names, such as "
                f"[{features_list!r}]"
            )
        provided = tuple(self.get_provided_features_list())
        unknown = [feature for feature in features_list if feature not in provided]
        if unknown:
            raise UsageError(
                f"feature extractor {name!r} has no feature {unknown[0]!r}; it provides: "
                f"{', '.join(map(repr, provided))}"
            )
        if not features_list:
            raise UsageError(
                f"no feature of extractor {name!r} was asked for; it provides: {', '.join(map(repr, provided))}"
            )
        if len(set(features_list)) < len(features_list):
            raise UsageError(f"a feature of extractor {name!r} was asked for twice: {list(features_list)}")
        self.name = name
        self.features_list = features_list

    def get_name(self) -> str:
        """The name that it was made with."""
        return self.name

    @staticmethod
    def get_provided_features_list() -> Sequence[str]:
        """The names of all its features."""
        raise NotImplementedError

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        """The feature that a metric (``isc``, ``fid``, ``kid``, ``prc``, ``mind``) takes unless it is told another."""
        raise NotImplementedError

    @staticmethod
    def can_be_compiled() -> bool:
        """Whether ``torch.compile`` may be used on it."""
        raise NotImplementedError

    @staticmethod
    def get_dummy_input_for_compile() -> Tensor:
        """Images with which a compiled one is tried."""
        raise NotImplementedError

    def get_requested_features_list(self) -> Sequence[str]:
        """The names of the features that ``forward`` gives, in its order."""
        return self.features_list

    def convert_features_tuple_to_dict(self, features: object) -> dict[str, Any]:
        """What ``forward`` gave, by name.

        Raises:
            UsageError: if it is no tuple of as many features as were asked for.
        """
        if not isinstance(features, tuple) or len(features) != len(self.features_list):
            given = f"a tuple of {len(features)}" if isinstance(features, tuple) else f"a {type(features).__name__}"
            raise UsageError(
                f"feature extractor {self.name!r} gave {given}; expected a tuple of the {len(self.features_list)} "
                f"features {', '.join(map(repr, self.features_list))}"
            )
        return dict(zip(self.features_list, features, strict=True))

    def forward(self, input: Any) -> Any:
        """The wanted features of a batch of images, a tuple in the order of ``get_requested_features_list``."""
        raise NotImplementedError


class BuiltInFeatureExtractor(FeatureExtractorBase):
    """What the extractors share that come with the program: uint8 images in, float32 features out, no gradients."""

    def __init__(
        self,
        name: str,
        features_list: Sequence[str],
        feature_extractor_internal_dtype: str | None,
        settings: dict[str, object],
    ) -> None:
        """Check what was given.

        Args:
            name: under which the class is registered.
            features_list: the wanted features.
            feature_extractor_internal_dtype: ``float32`` (also for None) or ``float64``.
            settings: whatever else ``calculate_metrics`` was given, which has no effect here.

        Raises:
            UsageError: if a name or the type is not known.
        """
        super().__init__(name, features_list)
        check_settings(settings)
        self.feature_extractor_internal_dtype = internal_dtype(feature_extractor_internal_dtype)

    def _finish(self) -> None:
        """Bring the network, which is there by now, to its type and into evaluation."""
        self.to(self.feature_extractor_internal_dtype)
        self.requires_grad_(False)
        self.eval()

    @staticmethod
    def can_be_compiled() -> bool:
        """Yes."""
        return True

    @staticmethod
    def get_dummy_input_for_compile() -> Tensor:
        """One image of 4x4, uint8."""
        return torch.zeros((1, 3, 4, 4), dtype=torch.uint8)

    def _inputs(self, images: object, preprocess: str) -> Tensor:
        """What the network is given for a batch of images.

        Args:
            images: (n, 3, h, w) uint8, on any device.
            preprocess: the id of ours, by ``tf1-bilinear``.

        Raises:
            UsageError: if this is no batch of images.
        """
        spec = get_preprocess(preprocess)
        given = self._checked(images).to(next(self.parameters()).device)
        if self.feature_extractor_internal_dtype == torch.float32:
            return spec(given)
        assert spec.size is not None
        pixels = resize_tf1_bilinear_f64(given.to(torch.float64), spec.size)
        mean, std = (pixels.new_tensor(channels)[:, None, None] for channels in (spec.mean, spec.std))
        return pixels.sub_(mean).div_(std)

    def _wanted(self, found: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """The features that were asked for, in float32."""
        return tuple(found[feature].to(torch.float32) for feature in self.features_list)

    def _checked(self, images: object) -> Tensor:
        """That this is a batch of images.

        Raises:
            UsageError: if it is not.
        """
        if not isinstance(images, Tensor):
            raise UsageError(
                f"feature extractor {self.name!r} was given a {type(images).__name__}; expected a tensor uint8 "
                "(n, 3, h, w)"
            )
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            dtype = str(images.dtype).removeprefix("torch.")
            raise UsageError(
                f"feature extractor {self.name!r} was given {dtype} {tuple(images.shape)}; expected uint8 (n, 3, h, w)"
                + (
                    "; quantise float images first: `(x * 255).round().clamp(0, 255).to(torch.uint8)` of 0..1"
                    if images.is_floating_point()
                    else ""
                )
            )
        return images
