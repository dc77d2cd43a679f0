"""A preprocessing as a frozen value, and the one function that carries it out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from genmetrics.errors import UnknownNameError
from genmetrics.preprocess.crop_id import split_crop
from genmetrics.preprocess.resize_tf1 import resize_tf1_bilinear
from genmetrics.preprocess.resize_torch import resize_torch_bicubic_antialias, resize_torch_bilinear
from genmetrics.registry import did_you_mean

__all__ = ["PREPROCESS", "Preprocess", "get_preprocess", "with_crop"]

Resizer = Callable[[Tensor, tuple[int, int]], Tensor]

RESIZERS: dict[str, Resizer] = {
    "tf1-bilinear": resize_tf1_bilinear,
    "torch-bilinear": resize_torch_bilinear,
    "torch-bicubic-antialias": resize_torch_bicubic_antialias,
}

# Pixels resized in one go. On a CPU the working set should stay in cache; a GPU wants whole batches.
_CPU_PIXELS = 1 << 20
_GPU_PIXELS = 1 << 28


@dataclass(frozen=True)
class Preprocess:
    """How uint8 images become a network's input.

    The steps, in order: centre crop, conversion to float32, division by ``divisor``, resize, and
    ``(x - mean) / std`` per channel.

    Attributes:
        id: the name that protocols carry. It stands for all the other fields.
        resizer: which resize.
        size: height and width of the network's input.
        mean: per channel, on the scale after ``divisor``.
        std: per channel, likewise.
        divisor: 1 keeps 0..255 through the resize, 255 makes 0..1 of it.
        crop: the side of the centred square that is kept, as a fraction of the shorter side; None keeps
            the whole image and squashes it to ``size``.
        source_crop: the id of the crop and resize that images have undergone as they were read, before all of
            this; the source does it, to 8 bits.
    """

    id: str
    resizer: str
    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    divisor: float = 1.0
    crop: float | None = None
    source_crop: str | None = None

    def __call__(self, images: UInt8[Tensor, "n 3 h w"]) -> Float32[Tensor, "n 3 out_h out_w"]:
        """Carry it out on the images' own device.

        Args:
            images: (n, 3, h, w) uint8 RGB, 0..255.
        """
        if self.crop is not None:
            images = _centre_square(images, self.crop)
        height, width = self.size
        out = torch.empty((images.shape[0], 3, height, width), dtype=torch.float32, device=images.device)
        budget = _CPU_PIXELS if images.device.type == "cpu" else _GPU_PIXELS
        step = max(1, budget // (images.shape[2] * images.shape[3]))
        for start in range(0, images.shape[0], step):
            out[start : start + step] = self._normalised(images[start : start + step])
        return out

    def as_dict(self) -> dict[str, object]:
        """The fields, for a report."""
        return asdict(self)

    def _normalised(self, images: Tensor) -> Tensor:
        pixels = images.to(torch.float32)
        if self.divisor != 1.0:
            pixels = pixels.div_(self.divisor)
        resized = RESIZERS[self.resizer](pixels, self.size)
        mean = torch.tensor(self.mean, dtype=torch.float32, device=images.device)[:, None, None]
        std = torch.tensor(self.std, dtype=torch.float32, device=images.device)[:, None, None]
        return (resized - mean).div_(std)


def _centre_square(images: Tensor, fraction: float) -> Tensor:
    height, width = images.shape[2:]
    side = max(1, int(fraction * min(height, width)))
    top, left = (height - side + 1) // 2, (width - side + 1) // 2
    return images[:, :, top : top + side, left : left + side]


PREPROCESS: dict[str, Preprocess] = {
    spec.id: spec
    for spec in (
        # The 2015 Inception graph's own: official FID, torch-fidelity, StyleGAN, EDM, ADM.
        Preprocess("tf1-bilinear-299", "tf1-bilinear", (299, 299), (128.0,) * 3, (128.0,) * 3),
        # pytorch-fid: on [0, 1], then 2x - 1, which (x - 0.5) / 0.5 equals bit for bit.
        Preprocess("torch-bilinear-299", "torch-bilinear", (299, 299), (0.5,) * 3, (0.5,) * 3, divisor=255.0),
        # EfficientNet-Lite's evaluation: centred square of 224/256 of the shorter side, (x - 127) / 128.
        Preprocess(
            "crop875-bicubic-224",
            "torch-bicubic-antialias",
            (224, 224),
            (127.0,) * 3,
            (128.0,) * 3,
            crop=0.875,
        ),
    )
}


def get_preprocess(name: str) -> Preprocess:
    """The preprocessing of that id.

    Args:
        name: such as ``tf1-bilinear-299``; ``adm-256+tf1-bilinear-299`` is the same of images that are cropped
            as they are read.

    Raises:
        UnknownNameError: if there is none.
        UsageError: if there is no crop of the name before the ``+``.
    """
    crop, plus, base = name.rpartition("+")
    try:
        found = PREPROCESS[base]
    except KeyError:
        hint = did_you_mean(base, list(PREPROCESS))
        raise UnknownNameError(f"unknown preprocessing {base!r}; {hint}") from None
    if not plus:
        return found
    split_crop(crop)
    return replace(found, id=name, source_crop=crop)


def with_crop(crop: str | None, preprocess: str) -> str:
    """The id of a preprocessing after a crop, ``adm-256+tf1-bilinear-299``; without a crop its own id."""
    return preprocess if crop is None else f"{crop}+{preprocess}"
