"""torch-fidelity's names on our engine: ``import genmetrics.compat.torch_fidelity as torch_fidelity``.

``python -m genmetrics.compat.torch_fidelity`` is its command ``fidelity``. What differs is told in
docs/compat/torch-fidelity.md.
"""

from __future__ import annotations

from genmetrics.compat.torch_fidelity.feature_extractor_base import FeatureExtractorBase
from genmetrics.compat.torch_fidelity.feature_extractor_clip import FeatureExtractorCLIP
from genmetrics.compat.torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2
from genmetrics.compat.torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from genmetrics.compat.torch_fidelity.feature_extractor_vgg16 import FeatureExtractorVGG16
from genmetrics.compat.torch_fidelity.generative_model_base import GenerativeModelBase
from genmetrics.compat.torch_fidelity.generative_model_modulewrapper import GenerativeModelModuleWrapper
from genmetrics.compat.torch_fidelity.generative_model_onnx import GenerativeModelONNX
from genmetrics.compat.torch_fidelity.metric_fid import KEY_METRIC_FID
from genmetrics.compat.torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, KEY_METRIC_ISC_STD
from genmetrics.compat.torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD
from genmetrics.compat.torch_fidelity.metric_mind import KEY_METRIC_MIND
from genmetrics.compat.torch_fidelity.metric_ppl import KEY_METRIC_PPL_MEAN, KEY_METRIC_PPL_RAW, KEY_METRIC_PPL_STD
from genmetrics.compat.torch_fidelity.metric_prc import KEY_METRIC_F_SCORE, KEY_METRIC_PRECISION, KEY_METRIC_RECALL
from genmetrics.compat.torch_fidelity.metrics import calculate_metrics
from genmetrics.compat.torch_fidelity.registry import (
    register_dataset,
    register_feature_extractor,
    register_interpolation,
    register_noise_source,
    register_sample_similarity,
)
from genmetrics.compat.torch_fidelity.sample_similarity_base import SampleSimilarityBase
from genmetrics.compat.torch_fidelity.sample_similarity_lpips import SampleSimilarityLPIPS
from genmetrics.compat.torch_fidelity.version import __version__

__all__ = [
    "KEY_METRIC_FID",
    "KEY_METRIC_F_SCORE",
    "KEY_METRIC_ISC_MEAN",
    "KEY_METRIC_ISC_STD",
    "KEY_METRIC_KID_MEAN",
    "KEY_METRIC_KID_STD",
    "KEY_METRIC_MIND",
    "KEY_METRIC_PPL_MEAN",
    "KEY_METRIC_PPL_RAW",
    "KEY_METRIC_PPL_STD",
    "KEY_METRIC_PRECISION",
    "KEY_METRIC_RECALL",
    "FeatureExtractorBase",
    "FeatureExtractorCLIP",
    "FeatureExtractorDinoV2",
    "FeatureExtractorInceptionV3",
    "FeatureExtractorVGG16",
    "GenerativeModelBase",
    "GenerativeModelModuleWrapper",
    "GenerativeModelONNX",
    "SampleSimilarityBase",
    "SampleSimilarityLPIPS",
    "__version__",
    "calculate_metrics",
    "register_dataset",
    "register_feature_extractor",
    "register_interpolation",
    "register_noise_source",
    "register_sample_similarity",
]
