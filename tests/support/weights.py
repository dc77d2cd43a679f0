"""Seeded random weights in the layouts of the published files."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from genmetrics.extractors.inception_v3 import InceptionV3
from genmetrics.extractors.inception_v3_torchvision import InceptionV3Torchvision

__all__ = [
    "CLIP_SIZES",
    "DINOV2_SIZES",
    "alexnet_shapes",
    "clip_hub_shapes",
    "dinov2_hub_shapes",
    "random_inception_state_dict",
    "random_inception_torchvision_state_dict",
    "random_state_dict",
    "vgg16_shapes",
]

Shapes = dict[str, tuple[int, ...]]

#: Width and depth of each DINOv2, by extractor.
DINOV2_SIZES = {
    "dinov2-vits14.lvd142m": (384, 12),
    "dinov2-vitb14.lvd142m": (768, 12),
    "dinov2-vitl14.lvd142m": (1024, 24),
    "dinov2-vitg14.lvd142m": (1536, 40),
}
#: Image side, patch, width and depth of the image tower, width of the text tower, width of the embedding.
CLIP_SIZES = {
    "clip-vit-b32.openai": (224, 32, 768, 12, 512, 512),
    "clip-vit-b16.openai": (224, 16, 768, 12, 512, 512),
    "clip-vit-l14.openai": (224, 14, 1024, 24, 768, 768),
    "clip-vit-l14-336.openai": (336, 14, 1024, 24, 768, 768),
}

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
    return _random_inception(InceptionV3, seed)


def random_inception_torchvision_state_dict(seed: int = 0) -> dict[str, Tensor]:
    """Likewise under torchvision's names, without the auxiliary head."""
    return _random_inception(InceptionV3Torchvision, seed)


def _random_inception(module: Callable[[], nn.Module], seed: int) -> dict[str, Tensor]:
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in module().state_dict().items()}
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


def random_state_dict(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> dict[str, Tensor]:
    """Tensors of the given shapes whose signal neither dies nor grows from layer to layer, of any of the layouts below.

    Args:
        shapes: by name.
        seed: of the draws.
    """
    generator = torch.Generator().manual_seed(seed)
    return {name: _drawn(generator, name, shape) for name, shape in shapes.items()}


def _drawn(generator: torch.Generator, name: str, shape: tuple[int, ...]) -> Tensor:
    if "position_ids" in name:
        return torch.arange(shape[-1]).expand(shape).clone()
    # The largest repeat a million draws, shifted from row to row: drawing them all takes longer than using them.
    count = math.prod(shape)
    values = torch.randn(min(count, 1_000_003), generator=generator)
    values = values.repeat(-(-count // len(values)))[:count].reshape(shape)
    if "norm" in name or "layrnorm" in name or "lambda" in name:
        return values.mul_(0.1) if name.endswith("bias") else values.mul_(0.1).add_(1)
    if name.endswith("bias"):
        return values.mul_(0.1)
    if "position" in name or "token" in name or "class_embedding" in name or not shape:
        return values.mul_(0.5)
    # He for what a ReLU follows, and a little less elsewhere, which the norms make good.
    fan_in = values[0].numel()
    gain = 2.0 if name.startswith(("features", "classifier")) else 1.0
    return values.mul_((gain / fan_in) ** 0.5)


def _layer(shapes: Shapes, name: str, *shape: int, bias: bool = True) -> None:
    shapes[f"{name}.weight"] = shape
    if bias:
        shapes[f"{name}.bias"] = shape[:1]


def vgg16_shapes(classifier: bool = True) -> Shapes:
    """torchvision's vgg16."""
    shapes: Shapes = {}
    widths = {0: 64, 2: 64, 5: 128, 7: 128, 10: 256, 12: 256, 14: 256}
    widths |= dict.fromkeys((17, 19, 21, 24, 26, 28), 512)
    channels = 3
    for index, width in widths.items():
        _layer(shapes, f"features.{index}", width, channels, 3, 3)
        channels = width
    if classifier:
        for index, (out, wide) in {0: (4096, 25088), 3: (4096, 4096), 6: (1000, 4096)}.items():
            _layer(shapes, f"classifier.{index}", out, wide)
    return shapes


def alexnet_shapes() -> Shapes:
    """torchvision's alexnet, without its classifier."""
    shapes: Shapes = {}
    for index, shape in {
        0: (64, 3, 11, 11),
        3: (192, 64, 5, 5),
        6: (384, 192, 3, 3),
        8: (256, 384, 3, 3),
        10: (256, 256, 3, 3),
    }.items():
        _layer(shapes, f"features.{index}", *shape)
    return shapes


def dinov2_hub_shapes(width: int, depth: int, swiglu: bool = False) -> Shapes:
    """The files of facebook/dinov2-* on the hub: position embeddings for 37 x 37 patches."""
    shapes: Shapes = {
        "embeddings.cls_token": (1, 1, width),
        "embeddings.mask_token": (1, width),
        "embeddings.position_embeddings": (1, 37 * 37 + 1, width),
    }
    _layer(shapes, "embeddings.patch_embeddings.projection", width, 3, 14, 14)
    for index in range(depth):
        block = f"encoder.layer.{index}"
        _layer(shapes, f"{block}.norm1", width)
        for part in ("query", "key", "value"):
            _layer(shapes, f"{block}.attention.attention.{part}", width, width)
        _layer(shapes, f"{block}.attention.output.dense", width, width)
        shapes[f"{block}.layer_scale1.lambda1"] = (width,)
        _layer(shapes, f"{block}.norm2", width)
        if swiglu:
            hidden = (width * 4 * 2 // 3 + 7) // 8 * 8
            _layer(shapes, f"{block}.mlp.weights_in", 2 * hidden, width)
            _layer(shapes, f"{block}.mlp.weights_out", width, hidden)
        else:
            _layer(shapes, f"{block}.mlp.fc1", 4 * width, width)
            _layer(shapes, f"{block}.mlp.fc2", width, 4 * width)
        shapes[f"{block}.layer_scale2.lambda1"] = (width,)
    _layer(shapes, "layernorm", width)
    return shapes


def clip_hub_shapes(
    side: int, patch: int, width: int, depth: int, text_width: int, embedding: int, text_depth: int = 12
) -> Shapes:
    """The files of openai/clip-vit-* on the hub, both towers."""
    positions = (side // patch) ** 2 + 1
    shapes: Shapes = {
        "logit_scale": (),
        "text_model.embeddings.position_ids": (1, 77),
        "text_model.embeddings.token_embedding.weight": (49408, text_width),
        "text_model.embeddings.position_embedding.weight": (77, text_width),
        "text_projection.weight": (embedding, text_width),
        "vision_model.embeddings.class_embedding": (width,),
        "vision_model.embeddings.patch_embedding.weight": (width, 3, patch, patch),
        "vision_model.embeddings.position_ids": (1, positions),
        "vision_model.embeddings.position_embedding.weight": (positions, width),
        "visual_projection.weight": (embedding, width),
    }
    for tower, wide, layers in (("vision", width, depth), ("text", text_width, text_depth)):
        for index in range(layers):
            block = f"{tower}_model.encoder.layers.{index}"
            _layer(shapes, f"{block}.layer_norm1", wide)
            for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                _layer(shapes, f"{block}.self_attn.{part}", wide, wide)
            _layer(shapes, f"{block}.layer_norm2", wide)
            _layer(shapes, f"{block}.mlp.fc1", 4 * wide, wide)
            _layer(shapes, f"{block}.mlp.fc2", wide, 4 * wide)
    _layer(shapes, "vision_model.pre_layrnorm", width)
    _layer(shapes, "vision_model.post_layernorm", width)
    _layer(shapes, "text_model.final_layer_norm", text_width)
    return shapes
