"""A preprocessing as a frozen value, and the one function that carries it out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from genmetrics.devices import sent
from genmetrics.errors import UnknownNameError, UsageError
from genmetrics.preprocess.crop_id import split_crop
from genmetrics.preprocess.on_cpu import normalise, share_out
from genmetrics.preprocess.resize_pil import resize_pil_bicubic_f32, resize_pil_bicubic_u8, resize_pil_u8
from genmetrics.preprocess.resize_tf1 import PlaneResizer, resize_tf1_bilinear
from genmetrics.preprocess.resize_torch import (
    resize_torch_bicubic_antialias,
    resize_torch_bicubic_antialias_raw,
    resize_torch_bilinear,
    resize_torch_bilinear_antialias,
)
from genmetrics.registry import did_you_mean

__all__ = [
    "BYTE_RESIZERS",
    "PREPROCESS",
    "RESIZERS",
    "CropRounding",
    "Fit",
    "Preprocess",
    "get_preprocess",
    "register_preprocess",
    "with_crop",
]

Resizer = Callable[[Tensor, tuple[int, int]], Tensor]
Channels = tuple[float, float, float]
Scale = tuple[Channels, Channels]
Fit = Literal["squash", "cover", "square"]
CropRounding = Literal["round", "floor"]

#: Resizes of float32 images.
RESIZERS: dict[str, Resizer] = {
    "tf1-bilinear": resize_tf1_bilinear,
    "torch-bilinear": resize_torch_bilinear,
    "torch-bilinear-antialias": resize_torch_bilinear_antialias,
    "torch-bicubic-antialias": resize_torch_bicubic_antialias,
    "torch-bicubic-antialias-raw": resize_torch_bicubic_antialias_raw,
}
#: Resizes of uint8 images, which therefore come before any division.
BYTE_RESIZERS: dict[str, Resizer] = {
    "pil-bicubic": resize_pil_bicubic_u8,
    "pil-bicubic-f32": resize_pil_bicubic_f32,
    "pil-bilinear": partial(resize_pil_u8, filter="bilinear"),
}

# Pixels that torch resizes in one go. On a CPU the working set should stay in cache; a GPU wants whole batches.
_CPU_PIXELS = 1 << 18
_GPU_PIXELS = 1 << 26


@dataclass(frozen=True)
class Preprocess:
    """How uint8 images become a network's input.

    The steps, in order: centre crop, conversion to float32, division by ``divisor``, resize, and
    ``(x - mean) / std`` per channel; ``divide_after`` moves the division behind the resize.

    Attributes:
        id: the name that protocols carry. It stands for all the other fields.
        resizer: which resize; ``none`` where ``size`` is None.
        size: height and width of the network's input; None leaves images at the size that they have.
        mean: per channel, on the scale after ``divisor``.
        std: per channel, likewise.
        divisor: 1 keeps 0..255, 255 makes 0..1 of it.
        crop: the side of the centred square that is kept, as a fraction of the shorter side; None keeps
            the whole image and squashes it to ``size``.
        source_crop: the id of the crop and resize that images have undergone as they were read, before all of
            this; the source does it, to 8 bits.
        fit: how an image that is not square becomes ``size``. ``squash`` distorts it; ``square`` resizes its centre
            square alone; ``cover`` brings its shorter side to ``size``, or to ``cover``, and keeps the centre.
        divide_after: whether the division comes after the resize; always where that resizes 8-bit images.
        cover: the length of the shorter side before the centre is taken; None for that of ``size``.
        crop_rounding: where the centre begins if what is left over is odd, for ``cover``: ``round`` to even halves as
            torchvision's CenterCrop, or ``floor`` as the transformers library's processors.
    """

    id: str
    resizer: str
    size: tuple[int, int] | None
    mean: Channels
    std: Channels
    divisor: float = 1.0
    crop: float | None = None
    source_crop: str | None = None
    fit: Fit = "squash"
    divide_after: bool = False
    cover: int | None = None
    crop_rounding: CropRounding = "round"

    def __call__(self, images: UInt8[Tensor, "n 3 h w"]) -> Float32[Tensor, "n 3 out_h out_w"]:
        """Carry it out on the images' own device; a CPU uses as many threads as torch computes with.

        The numbers are the same for any number of threads.

        Args:
            images: (n, 3, h, w) uint8 RGB, 0..255.
        """
        if self.crop is not None:
            images = _centre_square(images, self.crop)
        if self.fit == "square":
            images = _square(images)
        height, width = self.size or images.shape[2:]
        shape = (images.shape[0], 3, height, width)
        if images.device.type == "cpu" and self._is_one_by_one():
            out = _empty(shape, images.device)
            work = partial(self._one_by_one, images, out.numpy())
            share_out(images.shape[0], torch.get_num_threads(), work)
            return out
        budget = _CPU_PIXELS if images.device.type == "cpu" else _GPU_PIXELS
        step = max(1, budget // (images.shape[2] * images.shape[3]))
        if images.device.type != "cpu" and 0 < images.shape[0] <= step:
            return self._normalised(images)
        out = _empty(shape, images.device)
        for start in range(0, images.shape[0], step):
            out[start : start + step] = self._normalised(images[start : start + step])
        return out

    def as_dict(self) -> dict[str, object]:
        """The fields, for a report; those that came later are left out where they do nothing."""
        fields = asdict(self)
        return {name: value for name, value in fields.items() if name not in _LATER or value != _LATER[name]}

    def _is_one_by_one(self) -> bool:
        """Whether it is done outside torch on a CPU, which is quicker for the resizes that torch does not have."""
        if self.resizer in BYTE_RESIZERS:
            return True
        return self.resizer == "tf1-bilinear" and self.fit != "cover" and (self.divisor == 1.0 or self.divide_after)

    def _one_by_one(self, images: Tensor, out: Float32[np.ndarray, "n 3 out_h out_w"], part: slice) -> None:
        """Fill a part of the output."""
        assert self.size is not None
        divisor = self.divisor if self.divide_after else 1.0
        planes = PlaneResizer((images.shape[2], images.shape[3]), self.size) if self.resizer == "tf1-bilinear" else None
        for image, target in zip(images[part], out[part], strict=True):
            if planes is None:
                np.copyto(target, self._resized(image[None], BYTE_RESIZERS[self.resizer])[0].numpy())
            else:
                for plane, resized in zip(image.numpy(), target, strict=True):
                    planes(plane, resized)
            normalise(target, divisor, self.mean, self.std)

    def _normalised(self, images: Tensor) -> Tensor:
        if self.resizer in BYTE_RESIZERS:
            pixels = self._resized(images, BYTE_RESIZERS[self.resizer]).to(torch.float32)
        else:
            pixels = images.to(torch.float32)
            if self.divisor != 1.0 and not self.divide_after:
                pixels = pixels.div_(self.divisor)
            if self.size is not None:
                pixels = self._resized(pixels, RESIZERS[self.resizer])
        if self.divisor != 1.0 and self.divide_after:
            pixels = pixels.div_(self.divisor)
        mean, std = (
            sent(torch.tensor(channels, dtype=torch.float32), images.device)[:, None, None]
            for channels in (self.mean, self.std)
        )
        return pixels.sub_(mean).div_(std)

    def _resized(self, images: Tensor, resize: Resizer) -> Tensor:
        assert self.size is not None
        if self.fit != "cover":
            return resize(images, self.size)
        height, width = images.shape[2:]
        side, shorter = self.size[0], self.cover or self.size[0]
        longer = int(shorter * max(height, width) / min(height, width))
        covering = (longer, shorter) if width <= height else (shorter, longer)
        whole = math.floor if self.crop_rounding == "floor" else round
        top, left = (whole((length - side) / 2) for length in covering)
        return resize(images, covering)[:, :, top : top + side, left : left + side]


def _empty(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Room for float32 values."""
    if device.type == "cpu":
        # NumPy asks the system for large pages, without which new memory takes longer to come than to be filled.
        return torch.from_numpy(np.empty(shape, dtype=np.float32))
    return torch.empty(shape, dtype=torch.float32, device=device)


# What a preprocessing that was recorded before these fields were thought of does.
_LATER: Mapping[str, object] = MappingProxyType(
    {"fit": "squash", "divide_after": False, "cover": None, "crop_rounding": "round"}
)


def _square(images: Tensor) -> Tensor:
    height, width = images.shape[2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return images[:, :, top : top + side, left : left + side]


def _centre_square(images: Tensor, fraction: float) -> Tensor:
    height, width = images.shape[2:]
    side = max(1, int(fraction * min(height, width)))
    top, left = (height - side + 1) // 2, (width - side + 1) // 2
    return images[:, :, top : top + side, left : left + side]


_IMAGENET: Scale = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CLIP: Scale = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_SYMMETRIC: Scale = ((128.0,) * 3, (128.0,) * 3)


def _tf1(name: str, size: int, scale: Scale) -> Preprocess:
    """torch-fidelity's for its networks other than Inception, which stays on 0..255."""
    mean, std = ((255 * red, 255 * green, 255 * blue) for red, green, blue in scale)
    return Preprocess(f"tf1-bilinear-{size}-{name}", "tf1-bilinear", (size, size), mean, std)


def _divided_after(name: str, resizer: str, size: int, scale: Scale, fit: Fit = "squash") -> Preprocess:
    """Resized on 0..255, then ``(x / 255 - mean) / std``."""
    mean, std = scale
    return Preprocess(name, resizer, (size, size), mean, std, divisor=255.0, fit=fit, divide_after=True)


PREPROCESS: dict[str, Preprocess] = {
    spec.id: spec
    for spec in (
        # The 2015 Inception graph's own: official FID, torch-fidelity, StyleGAN, EDM, ADM.
        Preprocess("tf1-bilinear-299", "tf1-bilinear", (299, 299), *_SYMMETRIC),
        # pytorch-fid: on [0, 1], then 2x - 1, which (x - 0.5) / 0.5 equals bit for bit.
        Preprocess("torch-bilinear-299", "torch-bilinear", (299, 299), (0.5,) * 3, (0.5,) * 3, divisor=255.0),
        # torchmetrics since 1.8, unless told otherwise.
        Preprocess("torch-bilinear-antialias-299", "torch-bilinear-antialias", (299, 299), *_SYMMETRIC),
        # clean-fid's mode "clean".
        Preprocess("pil-bicubic-f32-299", "pil-bicubic-f32", (299, 299), *_SYMMETRIC),
        # EfficientNet-Lite's evaluation: centred square of 224/256 of the shorter side, (x - 127) / 128.
        Preprocess(
            "crop875-bicubic-224",
            "torch-bicubic-antialias",
            (224, 224),
            (127.0,) * 3,
            (128.0,) * 3,
            crop=0.875,
        ),
        # dgm-eval's DINOv2, and EDM2's; torch-fidelity's DINOv2 and VGG16.
        _divided_after("pil-bicubic-224-imagenet", "pil-bicubic", 224, _IMAGENET),
        _divided_after("torch-bicubic-antialias-224", "torch-bicubic-antialias-raw", 224, _IMAGENET),
        _tf1("imagenet", 224, _IMAGENET),
        # torch-fidelity's CLIP.
        _tf1("clip", 224, _CLIP),
        _tf1("clip", 336, _CLIP),
        # clean-fid's CLIP, which is OpenAI's own for CLIP; CMMD's.
        _divided_after("pil-bicubic-crop-224-clip", "pil-bicubic", 224, _CLIP, "cover"),
        # The transformers library's processor of CLIP, whose centre begins elsewhere.
        replace(
            _divided_after("pil-bicubic-crop-224-clip-hf", "pil-bicubic", 224, _CLIP, "cover"), crop_rounding="floor"
        ),
        _divided_after("square-pil-bicubic-224-clip", "pil-bicubic", 224, _CLIP, "square"),
        _divided_after("square-pil-bicubic-336-clip", "pil-bicubic", 336, _CLIP, "square"),
        # For comparing images pair by pair, at the size that they have: -1..1, and 0..255.
        Preprocess("native-sym", "none", None, (1.0,) * 3, (1.0,) * 3, divisor=127.5),
        Preprocess("native-255", "none", None, (0.0,) * 3, (1.0,) * 3),
    )
}


def register_preprocess(preprocess: Preprocess) -> str:
    """Make a preprocessing known under its id, and give that back; one that does the same may be known already.

    Raises:
        UsageError: if another one has that id.
    """
    if PREPROCESS.setdefault(preprocess.id, preprocess) != preprocess:
        raise UsageError(
            f"preprocessing {preprocess.id!r} is registered already and does something else; give yours another id"
        )
    return preprocess.id


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
