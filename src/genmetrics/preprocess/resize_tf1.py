"""TensorFlow 1's bilinear resize, bit for bit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, Float64, Int64, Shaped
from torch import Tensor

__all__ = ["PlaneResizer", "resize_tf1_bilinear", "resize_tf1_bilinear_by_torch", "resize_tf1_bilinear_f64"]


def resize_tf1_bilinear(
    images: Float32[Tensor, "n c h w"], size: tuple[int, int], *, by_plane: bool | None = None
) -> Float32[Tensor, "n c out_h out_w"]:
    """Resize as ``tf.compat.v1.image.resize_bilinear(align_corners=False)`` does.

    Output pixel i looks at source position ``i · in/out``: no half-pixel centre and no antialiasing. The
    2015 Inception graph contains this operator, so every published FID rests on it.

    Args:
        images: (n, c, h, w) float32, any range.
        size: output height and width.
        by_plane: whether channels are resized one after another in NumPy, and not all together in torch; None does so
            where the images are on the CPU.

    Returns:
        (n, c, height, width) float32 in the range of the input.

    Source: Heusel et al. 2017 (arXiv:1706.08500), the ``ResizeBilinear`` node of ``classify_image_graph_def.pb``.
    Matches: TensorFlow 2.21's operator bit for bit on CPU; tests/conformance/test_tensorflow_goldens.py. On a CUDA
    device within 1e-4 of 255, see ``resize_tf1_bilinear_by_torch``.
    """
    if images.device.type == "cuda" and by_plane is None:
        return resize_tf1_bilinear_by_torch(images, size)
    if images.device.type == "cpu" if by_plane is None else by_plane:
        out = torch.empty((*images.shape[:2], *size), dtype=torch.float32)
        resizer = PlaneResizer((images.shape[2], images.shape[3]), size)
        for plane, target in zip(images.flatten(0, 1).numpy(), out.flatten(0, 1).numpy(), strict=True):
            resizer(plane, target)
        return out
    top, bottom, down = _Positions.of(images.shape[2], size[0]).on(images.device)
    low, high, across = _Positions.of(images.shape[3], size[1]).on(images.device)
    if images.shape[2] > 2 * size[0]:
        upper = _interpolate_columns(images.index_select(2, top), low, high, across)
        lower = _interpolate_columns(images.index_select(2, bottom), low, high, across)
    else:
        interpolated = _interpolate_columns(images, low, high, across)
        upper, lower = interpolated.index_select(2, top), interpolated.index_select(2, bottom)
    # Separate subtract, multiply and add: a fused multiply-add would round differently from TensorFlow.
    return lower.sub_(upper).mul_(down[:, None]).add_(upper)


class PlaneResizer:
    """The same of one channel after another, between arrays: on a CPU all that is in use then stays in its cache.

    It is not to be shared by threads. It computes in NumPy, which never starts threads of its own: operations on a
    single channel are too short to be shared out, and each would wait for the slowest of them.
    """

    def __init__(self, source: tuple[int, int], size: tuple[int, int]) -> None:
        """Make tables and room.

        Args:
            source: height and width of what is resized.
            size: height and width of the result.
        """
        self._rows, self._columns = (_Positions.of(length, new) for length, new in zip(source, size, strict=True))
        self._down = self._rows.fraction[:, None]
        # Rows that no output looks at are left out before anything else is done.
        used = np.unique(np.concatenate((self._rows.low, self._rows.high)))
        self._used = None if len(used) == source[0] else used
        self._top, self._bottom = np.searchsorted(used, self._rows.low), np.searchsorted(used, self._rows.high)
        self._same_width, self._same_height = source[1] == size[1], source[0] == size[0]
        self._plane = np.empty((len(used), source[1]), dtype=np.float32)
        self._start, self._end = np.empty((2, len(used), size[1]), dtype=np.float32)
        self._upper = np.empty(size, dtype=np.float32)

    def __call__(self, plane: Shaped[np.ndarray, "h w"], out: Float32[np.ndarray, "out_h out_w"]) -> None:
        """Resize a channel.

        Args:
            plane: (h, w) of any number type.
            out: (out_h, out_w) float32, contiguous; is written to.
        """
        # Numbers outside the table cannot occur; ``clip`` only spares NumPy looking for them.
        np.copyto(self._plane, plane if self._used is None else plane[self._used])
        columns = self._plane
        if not self._same_width:
            start = np.take(self._plane, self._columns.low, axis=1, out=self._start, mode="clip")
            columns = np.take(self._plane, self._columns.high, axis=1, out=self._end, mode="clip")
            columns -= start
            columns *= self._columns.fraction
            columns += start
        if self._same_height:
            np.copyto(out, columns)
            return
        upper = np.take(columns, self._top, axis=0, out=self._upper, mode="clip")
        np.take(columns, self._bottom, axis=0, out=out, mode="clip")
        out -= upper
        out *= self._down
        out += upper


@dataclass(frozen=True)
class _Positions:
    """Lower neighbour, upper neighbour and float32 fraction of each output position along one axis."""

    low: Int64[np.ndarray, " out"]
    high: Int64[np.ndarray, " out"]
    fraction: Float32[np.ndarray, " out"]

    @classmethod
    def of(cls, length: int, out: int) -> _Positions:
        scale = np.float32(length) / np.float32(out)
        position = np.arange(out, dtype=np.float32) * scale
        floor = np.floor(position)
        low = np.minimum(floor.astype(np.int64), length - 1)
        return cls(low, np.minimum(low + 1, length - 1), position - floor)

    def on(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """The three as tensors on a device."""
        low, high, fraction = (torch.from_numpy(table).to(device) for table in (self.low, self.high, self.fraction))
        return low, high, fraction


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


def resize_tf1_bilinear_f64(
    images: Float64[Tensor, "n c h w"], size: tuple[int, int]
) -> Float64[Tensor, "n c out_h out_w"]:
    """The same operator in float64, but for the scale ``in/out``, which is the number that float32 has for it.

    Args:
        images: (n, c, h, w) float64, any range.
        size: output height and width.

    Matches: torch-fidelity 0.4.0's resize of float64 images bit for bit, and ``resize_tf1_bilinear`` within 1e-3 of
    255, its rounding of positions; tests/preprocess/test_resize_tf1.py.
    """
    tables = []
    for length, out in zip(images.shape[2:], size, strict=True):
        scale = torch.tensor(length / out, dtype=torch.float32, device=images.device)
        position = torch.arange(out, dtype=torch.float64, device=images.device) * scale
        low = position.long().clamp_max(length - 1)
        tables.append((low, (low + 1).clamp_max(length - 1), position - low))
    (top, bottom, down), (left, right, across) = tables
    columns = _interpolate_columns(images, left, right, across)
    upper, lower = columns.index_select(2, top), columns.index_select(2, bottom)
    return lower.sub_(upper).mul_(down[:, None]).add_(upper)


def _interpolate_columns(rows: Tensor, left: Tensor, right: Tensor, across: Tensor) -> Tensor:
    start = rows.index_select(3, left)
    return rows.index_select(3, right).sub_(start).mul_(across).add_(start)
