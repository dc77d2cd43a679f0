"""The options of torch-fidelity's ``calculate_metrics`` and what each is unless it is given."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["DEFAULTS"]

_OF_AN_INPUT: Mapping[str, object] = MappingProxyType(
    {
        "cache_name": None,
        "model_z_type": "normal",
        "model_z_size": None,
        "model_num_classes": 0,
        "model_num_samples": None,
    }
)

DEFAULTS: Mapping[str, object] = MappingProxyType(
    {
        "input1": None,
        "input2": None,
        "cuda": True,
        "batch_size": 64,
        **dict.fromkeys(("isc", "fid", "kid", "prc", "ppl", "mind"), False),
        "feature_extractor": None,
        **dict.fromkeys([f"feature_layer_{metric}" for metric in ("isc", "fid", "kid", "prc", "mind")]),
        "feature_extractor_weights_path": None,
        "feature_extractor_internal_dtype": None,
        "feature_extractor_compile": False,
        "isc_splits": 10,
        "kid_subsets": 100,
        "kid_subset_size": 1000,
        "kid_kernel": "poly",
        "kid_kernel_poly_degree": 3,
        "kid_kernel_poly_gamma": None,
        "kid_kernel_poly_coef0": 1,
        "kid_kernel_rbf_sigma": 10,
        "ppl_epsilon": 1e-4,
        "ppl_reduction": "mean",
        "ppl_sample_similarity": "lpips-vgg16",
        "ppl_sample_similarity_resize": 64,
        "ppl_sample_similarity_dtype": "uint8",
        "ppl_discard_percentile_lower": 1,
        "ppl_discard_percentile_higher": 99,
        "ppl_z_interp_mode": "lerp",
        "prc_neighborhood": 3,
        "prc_batch_size": 10_000,
        "mind_num_projections": 1000,
        "samples_shuffle": True,
        "samples_find_deep": False,
        "samples_find_ext": "png,jpg,jpeg",
        "samples_ext_lossy": "jpg,jpeg",
        "samples_resize_and_crop": 0,
        "datasets_root": None,
        "datasets_download": True,
        "cache_root": None,
        "cache": True,
        **{f"input{side}_{name}": value for side in (1, 2) for name, value in _OF_AN_INPUT.items()},
        "rng_seed": 2020,
        "save_cpu_ram": False,
        "verbose": True,
    }
)
