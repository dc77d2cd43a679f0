"""DINOv2 under torch-fidelity's names for it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from genmetrics.compat.torch_fidelity.feature_extractor_base import BuiltInFeatureExtractor
from genmetrics.compat.torch_fidelity.networks import built_in, network_of
from genmetrics.precision import computing_at

__all__ = ["FeatureExtractorDinoV2"]


class FeatureExtractorDinoV2(BuiltInFeatureExtractor):
    """A vision transformer of DINOv2; its feature is the normalised class token.

    Matches: torch-fidelity 0.4.0's preprocessing and call around timm's network, within 1e-5 relative;
    tests/compat/torch_fidelity/test_extractor_classes.py.
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
            name: ``dinov2-vit-s-14``, ``dinov2-vit-b-14``, ``dinov2-vit-l-14`` or ``dinov2-vit-g-14``.
            features_list: ``["dinov2"]``.
            feature_extractor_weights_path: a weight file in the layout of Meta or of the hub; None finds or fetches the
                published one.
            feature_extractor_internal_dtype: ``float32`` (also for None) or ``float64``.
            settings: whatever else ``calculate_metrics`` was given, which has no effect here.

        Raises:
            UsageError: if a name or the type is not known.
            WeightsError: if there are no weights, or the file does not fit.
        """
        super().__init__(name, features_list, feature_extractor_internal_dtype, settings)
        known = built_in(name, "dinov2")
        self._preprocess = known.preprocess
        self.model = network_of(known.extractor, feature_extractor_weights_path)
        self._finish()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """The class token, (n, 384) to (n, 1536) float32, of (n, 3, h, w) uint8 images, alone in a tuple.

        Raises:
            UsageError: if these are no such images.
        """
        inputs = self._inputs(x, self._preprocess)
        with computing_at("exact", inputs.device):
            return self._wanted({"dinov2": self.model(pixel_values=inputs).pooler_output})

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        """The name of its feature."""
        return ("dinov2",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        """``dinov2`` for every metric."""
        return dict.fromkeys(("isc", "fid", "kid", "prc", "mind"), "dinov2")[metric]
