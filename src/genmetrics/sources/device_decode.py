"""JPEG files decoded many at a time on a GPU: an explicit choice, whose pixels are not Pillow's.

The only file that imports torchvision.
"""

from __future__ import annotations

import importlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
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
_ADOBE, _SCAN = 0xEE, 0xDA
#: What torchvision's ``decode_jpegs_cuda`` says of a file, with nvJPEG's status.
_OF_A_FILE = re.compile(
    r"Unknown chroma subsampling|Failed to (?:get image info|parse jpeg stream|decode jpeg stream|decode batch): "
    r"(?P<status>\d+)"
)
#: From nvjpeg.h: invalid parameter, bad JPEG, JPEG not supported, implementation not supported, incomplete bitstream.
_FILE_STATUSES = (2, 3, 4, 9, 10)


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
        """All in one go; one after another if a file is at fault, to find out which cannot be decoded.

        Raises:
            RuntimeError: torch's or torchvision's, of anything else that fails, such as the device's memory.
        """
        encoded = [torch.frombuffer(bytearray(data), dtype=torch.uint8) for data in files]
        try:
            return list(self._decode(encoded)) if encoded else []
        except RuntimeError as error:
            if not _is_of_a_file(error):
                raise
            return [None] if len(files) == 1 else [one for data in files for one in self.decode([data])]

    def _decode(self, encoded: list[Tensor]) -> list[Tensor]:
        decoded: list[Tensor] = self._io.decode_jpeg(encoded, mode=self._io.ImageReadMode.RGB, device=self._device)
        return decoded


def _is_of_a_file(error: RuntimeError) -> bool:
    """Whether torchvision says that a file cannot be decoded: it makes a plain ``RuntimeError`` of whatever fails."""
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return False
    found = _OF_A_FILE.search(str(error))
    return found is not None and (found["status"] is None or int(found["status"]) in _FILE_STATUSES)


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
    plain = False
    for marker, part in _segments(data):
        if marker in _OTHER_FRAMES or marker == _ADOBE:  # Adobe's marker says of other colours
            return False
        if marker in _PLAIN_FRAMES:
            if plain or not _is_plain_frame(part, most_pixels):
                return False
            plain = True
        if marker == _SCAN:
            return plain
    return False


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The markers of a JPEG file up to the pixels, and what each holds."""
    place = len(_START)
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        yield marker, data[place + 4 : place + 2 + length]
        place += 2 + length


def _is_plain_frame(part: bytes, most_pixels: int | None) -> bool:
    """Whether a frame's head is of 8 bits, grey or YCbCr, and of a size that is allowed."""
    if len(part) < 6:
        return False
    bits, channels = part[0], part[5]
    pixels = int.from_bytes(part[1:3], "big") * int.from_bytes(part[3:5], "big")
    small = most_pixels is None or pixels <= most_pixels
    # libjpeg, and Pillow with it, takes channels of these names for what they say where no marker says otherwise.
    names = part[6 : 6 + 3 * channels : 3]
    return bits == 8 and channels in (1, 3) and len(names) == channels and names != b"RGB" and pixels > 0 and small
