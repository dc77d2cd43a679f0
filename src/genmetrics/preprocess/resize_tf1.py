"""TensorFlow 1's bilinear resize, bit for bit."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float32
from torch import Tensor

__all__ = ["resize_tf1_bilinear", "resize_tf1_bilinear_by_torch"]


def resize_tf1_bilinear(
    images: Float32[Tensor, "n c h w"], size: tuple[int, int]
) -> Float32[Tensor, "n c out_h out_w"]:
    """Resize as ``tf.compat.v1.image.resize_bilinear(align_corners=False)`` does.

    Output pixel i looks at source position ``i · in/out``: no half-pixel centre and no antialiasing. The
    2015 Inception graph contains this operator, so every published FID rests on it.

    Args:
        images: (n, c, h, w) float32, any range.
        size: output height and width.

    Returns:
        (n, c, height, width) float32 in the range of the input.

    Source: Heusel et al. 2017 (arXiv:1706.08500), the ``ResizeBilinear`` node of ``classify_image_graph_def.pb``.
    Matches: TensorFlow 2.21's operator bit for bit on CPU; tests/conformance/test_tensorflow_goldens.py. On a CUDA
    device within 1e-4 of 255, see ``resize_tf1_bilinear_by_torch``.
    """
    if images.device.type == "cuda":
        return resize_tf1_bilinear_by_torch(images, size)
    top, bottom, down = _source_positions(images.shape[2], size[0], images.device)
    left, right, across = _source_positions(images.shape[3], size[1], images.device)
    down = down[:, None]
    if images.shape[2] > 2 * size[0]:
        upper = _interpolate_columns(images.index_select(2, top), left, right, across)
        lower = _interpolate_columns(images.index_select(2, bottom), left, right, across)
    else:
        rows = _interpolate_columns(images, left, right, across)
        upper, lower = rows.index_select(2, top), rows.index_select(2, bottom)
    # Separate subtract, multiply and add: a fused multiply-add would round differently from TensorFlow.
    return lower.sub_(upper).mul_(down).add_(upper)


def resize_tf1_bilinear_by_torch(
    images: Float32[Tensor, "n c h w"], size: tuple[int, int]
) -> Float32[Tensor, "n c out_h out_w"]:
    """The same resize by torch's own, in one pass over the images: what a GPU does best.

    With ``align_corners`` torch looks at ``i · (in - 1)/(out - 1)``. With one more row and column on both sides of the
    resize, the last of the input repeated as TensorFlow does, that is ``i · in/out``, in the same float32 arithmetic;
    the one more of the output is cut off. Only the order in which the four neighbours are added is torch's.

    Args:
        images: (n, c, h, w) float32, any range.
        size: output height and width.

    Matches: ``resize_tf1_bilinear`` on a CPU within 1e-4 of 255; tests/preprocess/test_resize_tf1.py.
    """
    height, width = size
    padded = F.pad(images, (0, 1, 0, 1), mode="replicate")
    resized = F.interpolate(padded, size=(height + 1, width + 1), mode="bilinear", align_corners=True)
    return resized[:, :, :height, :width]


def _interpolate_columns(rows: Tensor, left: Tensor, right: Tensor, across: Tensor) -> Tensor:
    start = rows.index_select(3, left)
    return rows.index_select(3, right).sub_(start).mul_(across).add_(start)


def _source_positions(length: int, out: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Lower neighbour, upper neighbour and float32 fraction of each output position."""
    scale = torch.tensor(length, dtype=torch.float32) / torch.tensor(out, dtype=torch.float32)
    position = torch.arange(out, dtype=torch.float32) * scale
    low = position.floor()
    fraction = position - low
    low = low.to(torch.int64).clamp_(max=length - 1)
    high = (low + 1).clamp_(max=length - 1)
    return low.to(device), high.to(device), fraction.to(device)
