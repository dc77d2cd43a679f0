"""Seeded random weights in the layout of the published Inception file."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from genmetrics.extractors.inception_v3 import InceptionV3

__all__ = ["random_inception_state_dict"]

# The last convolutions before the pooled features, which this scale brings to the size of the published network's:
# about 0.4. He-scaled ones make them eight times as large, and KID's cubes of their products lose float32's digits.
_LAST = tuple(f"Mixed_7c.branch{name}." for name in ("1x1", "3x3_2a", "3x3_2b", "3x3dbl_3a", "3x3dbl_3b", "_pool"))
_LAST_SCALE = 1 / 8
# With it the logits of unlike images differ by a few units, so that no softmax is uniform and few are one-hot:
# the Inception Score of noise images is 1.03, of smooth ones 1.2.
_LOGIT_SCALE = 32.0


def random_inception_state_dict(seed: int = 0) -> dict[str, Tensor]:
    """566 tensors under the published names, drawn by NumPy and so the same under every torch.

    Args:
        seed: of the draws.
    """
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in InceptionV3().state_dict().items()}
    rng = np.random.RandomState(seed)  # the one generator whose stream NumPy never changes
    return {name: torch.from_numpy(_draw(rng, name, shape)) for name, shape in shapes.items()}


def _draw(rng: np.random.RandomState, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, dtype=np.int64)
    if name.endswith(("bn.weight", "running_var")):
        values = rng.uniform(0.5, 1.5, shape)
    elif name.endswith(("bn.bias", "running_mean", "fc.bias")):
        values = 0.1 * rng.standard_normal(shape)
    elif name == "fc.weight":
        values = rng.standard_normal(shape) * _LOGIT_SCALE / shape[1] ** 0.5
        # Pooled features are positive: without this their mean alone would decide the class.
        values -= values.mean(axis=1, keepdims=True)
    else:
        # He: the variance stays the same from layer to layer.
        values = rng.standard_normal(shape) * (2.0 / np.prod(shape[1:])) ** 0.5
    if name.startswith(_LAST) and name.endswith(("conv.weight", "bn.bias", "running_mean")):
        values *= _LAST_SCALE
    return values.astype(np.float32)
