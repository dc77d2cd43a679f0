"""JPEG files decoded many at a time on a GPU: an explicit choice, whose pixels are not Pillow's.

The only file that imports torchvision.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from genmetrics.errors import DependencyError, DeviceError

__all__ = ["DeviceDecoder", "NvJpeg", "check_gpu_decode", "is_plain_jpeg"]

_START, _END = b"\xff\xd8", b"\xff\xd9"
#: Baseline, extended sequential and progressive with Huffman coding; what else begins a frame is rare and left alone.
_PLAIN_FRAMES = (0xC0, 0xC1, 0xC2)
_OTHER_FRAMES = (0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
_ADOBE = 0xEE


class DeviceDecoder(ABC):
    """Decodes plain JPEG files, several at once; any thread may call it.

    Attributes:
        name: what a report calls it.
    """

    name: str

    @abstractmethod
    def decode(self, files: Sequence[bytes]) -> list[UInt8[Tensor, "3 h w"] | None]:
        """The pixels of each file, uint8 RGB 0..255 on any device; None for one that it cannot decode."""


class NvJpeg(DeviceDecoder):
    """nvJPEG through torchvision's ``decode_jpeg``.

    Its inverse DCT and its upsampling of colours round otherwise than libjpeg-turbo's, which Pillow uses.
    """

    name = "nvJPEG"

    def __init__(self, device: torch.device) -> None:
        """Choose the device.

        Args:
            device: a CUDA device.

        Raises:
            DeviceError: if there is none.
            DependencyError: if torchvision is not installed, or without its decoders.
        """
        self._io = check_gpu_decode()
        self._device = device

    def decode(self, files: Sequence[bytes]) -> list[UInt8[Tensor, "3 h w"] | None]:
        """All in one go; one after another if that fails, to find out which cannot be decoded."""
        encoded = [torch.frombuffer(bytearray(data), dtype=torch.uint8) for data in files]
        try:
            return list(self._decode(encoded)) if encoded else []
        except RuntimeError:
            return [None] if len(files) == 1 else [one for data in files for one in self.decode([data])]

    def _decode(self, encoded: list[Tensor]) -> list[Tensor]:
        decoded: list[Tensor] = self._io.decode_jpeg(encoded, mode=self._io.ImageReadMode.RGB, device=self._device)
        return decoded


def check_gpu_decode() -> Any:
    """``torchvision.io``, if JPEG files can be decoded on a GPU here.

    Raises:
        DeviceError: if there is no CUDA device.
        DependencyError: if torchvision is not installed, or without its decoders.
    """
    if not torch.cuda.is_available():
        raise DeviceError(
            "decode 'gpu' needs a CUDA device, and torch finds none on this machine; leave it out: Pillow decodes on "
            "any machine, and its pixels are those of the published protocols"
        )
    try:
        found = importlib.import_module("torchvision.io")
        if not torch.ops.image.decode_jpegs_cuda:
            raise ImportError("it has no decode_jpegs_cuda")
    except (ImportError, RuntimeError, AttributeError) as error:
        raise DependencyError(
            f"decode 'gpu' needs torchvision built for this torch ({error}); install it with "
            "pip install 'genmetrics[gpu-decode]', or leave the option out"
        ) from error
    return found


def is_plain_jpeg(data: bytes, most_pixels: int | None) -> bool:
    """Whether a file is a whole JPEG of 8 bits, grey or YCbCr; anything else is left to Pillow, whose word counts.

    Args:
        data: the file.
        most_pixels: a file that says that it is larger is none; None for any size.
    """
    if not data.startswith(_START) or not data.endswith(_END):
        return False
    place = len(_START)
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker in _OTHER_FRAMES or marker == _ADOBE:  # Adobe's marker says of other colours
            return False
        if marker in _PLAIN_FRAMES:
            head = data[place + 4 : place + 10]
            if len(head) < 6:
                return False
            bits, channels = head[0], head[5]
            pixels = int.from_bytes(head[1:3], "big") * int.from_bytes(head[3:5], "big")
            small = most_pixels is None or pixels <= most_pixels
            return bits == 8 and channels in (1, 3) and pixels > 0 and small
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return False
