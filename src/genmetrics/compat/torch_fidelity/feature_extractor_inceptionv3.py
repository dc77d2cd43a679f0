"""The Inception-v3 of 2015 under torch-fidelity's name for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from torch import Tensor, nn

from genmetrics.compat.torch_fidelity.feature_extractor_base import BuiltInFeatureExtractor
from genmetrics.compat.torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x
from genmetrics.compat.torch_fidelity.networks import network_of
from genmetrics.extractors.inception_v3 import InceptionV3
from genmetrics.extractors.published import PUBLISHED
from genmetrics.precision import computing_at

__all__ = ["URL_INCEPTION_V3", "FeatureExtractorInceptionV3", "interpolate_bilinear_2d_like_tensorflow1x"]

#: The published weights, where torch-fidelity has them.
URL_INCEPTION_V3 = PUBLISHED["inception-v3.tf2015"].urls["weights-inception-2015-12-05-6726825d.pth"]


class FeatureExtractorInceptionV3(BuiltInFeatureExtractor):
    """Inception-v3 with the weights and the preprocessing of the published FID, KID and Inception Score.

    Its layers are attributes under the names of the published weight file, and its state dict is that file's.

    Matches: torch-fidelity 0.4.0 bit for bit on a CPU; tests/compat/torch_fidelity/test_extractor_classes.py.
    """

    INPUT_IMAGE_SIZE = 299
    _compute: Callable[[Tensor, Sequence[str]], dict[str, Tensor]]

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
            features_list: from ``64 192 768 2048 logits_unbiased logits``.
            feature_extractor_weights_path: a weight file; None finds or fetches the published one.
            feature_extractor_internal_dtype: ``float32`` (also for None) or ``float64``.
            settings: whatever else ``calculate_metrics`` was given, which has no effect here.

        Raises:
            UsageError: if a name or the type is not known.
            WeightsError: if there are no weights, or the file does not fit.
        """
        super().__init__(name, features_list, feature_extractor_internal_dtype, settings)
        network = cast(InceptionV3, network_of("inception-v3.tf2015", feature_extractor_weights_path))
        for part, module in network.named_children():
            self.add_module(part, module)
        # Its parts are this module's own; registered itself, it would be in the state dict a second time.
        self.__dict__["_compute"] = network
        # Pools that subclasses written for torch-fidelity call between the layers.
        self.MaxPool_1, self.MaxPool_2 = nn.MaxPool2d(3, stride=2), nn.MaxPool2d(3, stride=2)
        self.AvgPool = nn.AdaptiveAvgPool2d((1, 1))
        self._finish()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """The wanted features, (n, d) float32 each, of (n, 3, h, w) uint8 images.

        Raises:
            UsageError: if these are no such images.
        """
        inputs = self._inputs(x, "tf1-bilinear-299")
        with computing_at("exact", inputs.device):
            return self._wanted(self._compute(inputs, self.features_list))

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        """The names of all its features."""
        return "64", "192", "768", "2048", "logits_unbiased", "logits"

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        """``logits_unbiased`` for ``isc``, ``2048`` for all others."""
        return {"isc": "logits_unbiased", "fid": "2048", "kid": "2048", "prc": "2048", "mind": "2048"}[metric]
