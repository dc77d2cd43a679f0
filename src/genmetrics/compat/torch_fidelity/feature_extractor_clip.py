"""The image towers of OpenAI's CLIP under torch-fidelity's names for them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from genmetrics.compat.torch_fidelity.feature_extractor_base import BuiltInFeatureExtractor
from genmetrics.compat.torch_fidelity.networks import built_in, network_of
from genmetrics.precision import computing_at

__all__ = ["FeatureExtractorCLIP"]


class FeatureExtractorCLIP(BuiltInFeatureExtractor):
    """A vision transformer of CLIP; its feature is the projected embedding, not normalised.

    Matches: torch-fidelity 0.4.0 within 1e-5 relative; tests/compat/torch_fidelity/test_extractor_classes.py.
    """

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
            name: ``clip-vit-b-32``, ``clip-vit-b-16``, ``clip-vit-l-14`` or ``clip-vit-l-14-336px``.
            features_list: ``["clip"]``.
            feature_extractor_weights_path: a state dict in the layout of the hub or of OpenAI; None finds or fetches
                the published one.
            feature_extractor_internal_dtype: ``float32`` (also for None) or ``float64``.
            settings: whatever else ``calculate_metrics`` was given, which has no effect here.

        Raises:
            UsageError: if a name or the type is not known, or the network is one that is not here.
            WeightsError: if there are no weights, or the file does not fit.
        """
        super().__init__(name, features_list, feature_extractor_internal_dtype, settings)
        known = built_in(name, "clip")
        self.resolution = known.side
        self._preprocess = known.preprocess
        self.model = network_of(known.extractor, feature_extractor_weights_path)
        self._finish()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """The embedding, (n, 512) or (n, 768) float32, of (n, 3, h, w) uint8 images, alone in a tuple.

        Raises:
            UsageError: if these are no such images.
        """
        inputs = self._inputs(x, self._preprocess)
        with computing_at("exact", inputs.device):
            return self._wanted({"clip": self.model(pixel_values=inputs).image_embeds})

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        """The name of its feature."""
        return ("clip",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        """``clip`` for every metric."""
        return dict.fromkeys(("isc", "fid", "kid", "prc", "mind"), "clip")[metric]
