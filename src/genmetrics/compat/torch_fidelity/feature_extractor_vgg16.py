"""VGG16 under torch-fidelity's name for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor

from genmetrics.compat.torch_fidelity.feature_extractor_base import BuiltInFeatureExtractor
from genmetrics.compat.torch_fidelity.networks import network_of
from genmetrics.extractors.vgg16 import VGG16
from genmetrics.precision import computing_at

__all__ = ["FeatureExtractorVGG16"]


class FeatureExtractorVGG16(BuiltInFeatureExtractor):
    """VGG16 with torchvision's ImageNet weights, the network of precision and recall.

    Matches: torch-fidelity 0.4.0 bit for bit on a CPU; tests/compat/torch_fidelity/test_extractor_classes.py.
    """

    INPUT_IMAGE_SIZE = 224

    def __init__(
        self,
        name: str,
        features_list: Sequence[str],
        feature_extractor_weights_path: str | None = None,
        feature_extractor_internal_dtype: str | None = None,
        **settings: object,
    ) -> None:
        """Load the network.

        Args:
            name: under which the class is registered.
            features_list: from ``fc2 fc2_relu``.
            feature_extractor_weights_path: a weight file in torchvision's layout; None finds or fetches the published
                one.
            feature_extractor_internal_dtype: ``float32`` (also for None) or ``float64``.
            settings: whatever else ``calculate_metrics`` was given, which has no effect here.

        Raises:
            UsageError: if a name or the type is not known.
            WeightsError: if there are no weights, or the file does not fit.
        """
        super().__init__(name, features_list, feature_extractor_internal_dtype, settings)
        self.model = cast(VGG16, network_of("vgg16.tv-in1k", feature_extractor_weights_path))
        del self.model.classifier["6"]  # the classes, which no feature is
        self._finish()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """The wanted features, (n, 4096) float32 each, of (n, 3, h, w) uint8 images.

        Raises:
            UsageError: if these are no such images.
        """
        inputs = self._inputs(x, "tf1-bilinear-224-imagenet")
        with computing_at("exact", inputs.device):
            return self._wanted(self.model(inputs, self.features_list))

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        """The names of all its features."""
        return "fc2", "fc2_relu"

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        """``fc2_relu`` for every metric."""
        return dict.fromkeys(("isc", "fid", "kid", "prc", "mind"), "fc2_relu")[metric]
