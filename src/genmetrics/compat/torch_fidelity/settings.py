"""What ``calculate_metrics`` can be told, by torch-fidelity's names and with its defaults."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

__all__ = ["RENAMED", "Settings", "with_new_names"]

#: Names that torch-fidelity has given up, and those that took their place.
RENAMED: Mapping[str, str] = {
    "kid_degree": "kid_kernel_poly_degree",
    "kid_gamma": "kid_kernel_poly_gamma",
    "kid_coef0": "kid_kernel_poly_coef0",
}


@dataclass(frozen=True)
class Settings:
    """The keywords of ``calculate_metrics``, where they are described."""

    input1: Any = None
    input2: Any = None
    cuda: bool = True
    batch_size: int = 64
    isc: bool = False
    fid: bool = False
    kid: bool = False
    prc: bool = False
    ppl: bool = False
    mind: bool = False
    feature_extractor: str | None = None
    feature_layer_isc: str | None = None
    feature_layer_fid: str | None = None
    feature_layer_kid: str | None = None
    feature_layer_prc: str | None = None
    feature_layer_mind: str | None = None
    feature_extractor_weights_path: str | None = None
    feature_extractor_internal_dtype: str | None = None
    feature_extractor_compile: bool = False
    isc_splits: int = 10
    kid_subsets: int = 100
    kid_subset_size: int = 1000
    kid_kernel: str = "poly"
    kid_kernel_poly_degree: int | float = 3
    kid_kernel_poly_gamma: int | float | None = None
    kid_kernel_poly_coef0: int | float = 1
    kid_kernel_rbf_sigma: int | float = 10
    ppl_epsilon: int | float = 1e-4
    ppl_reduction: str = "mean"
    ppl_sample_similarity: str = "lpips-vgg16"
    ppl_sample_similarity_resize: int | None = 64
    ppl_sample_similarity_dtype: str | None = "uint8"
    ppl_discard_percentile_lower: int | float | None = 1
    ppl_discard_percentile_higher: int | float | None = 99
    ppl_z_interp_mode: str = "lerp"
    prc_neighborhood: int = 3
    prc_batch_size: int = 10000
    mind_num_projections: int = 1000
    samples_shuffle: bool = True
    samples_find_deep: bool = False
    samples_find_ext: str = "png,jpg,jpeg"
    samples_ext_lossy: str | None = "jpg,jpeg"
    samples_resize_and_crop: int = 0
    datasets_root: str | None = None
    datasets_download: bool = True
    cache_root: str | None = None
    cache: bool = True
    input1_cache_name: str | None = None
    input1_model_z_type: str = "normal"
    input1_model_z_size: int | None = None
    input1_model_num_classes: int = 0
    input1_model_num_samples: int | None = None
    input2_cache_name: str | None = None
    input2_model_z_type: str = "normal"
    input2_model_z_size: int | None = None
    input2_model_num_classes: int = 0
    input2_model_num_samples: int | None = None
    rng_seed: int = 2020
    save_cpu_ram: bool = False
    verbose: bool = True
    fid_statistics_file: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """All of them by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def with_new_names(given: Mapping[str, Any], *, stacklevel: int = 3) -> dict[str, Any]:
    """Settings under the names of today, with a warning for each that has another.

    Args:
        given: settings by name.
        stacklevel: whose line the warning names; 3 is the caller's caller.
    """
    renamed = dict(given)
    for old, new in RENAMED.items():
        if old in renamed:
            warnings.warn(f"{old!r} is now called {new!r}; use that", FutureWarning, stacklevel=stacklevel)
            renamed[new] = renamed.pop(old)
    return renamed
