"""One encoded image, or one array, to uint8 RGB pixels.

What becomes of each kind of image:

* Palette, grey, 1-bit, CMYK, YCbCr and images with transparency become RGB exactly as Pillow's
  ``convert("RGB")`` does it, which all published protocols use. It drops transparency and shows the colour
  that is hidden under it; the alpha policies ``white`` and ``black`` composite instead.
* 16-bit grey is scaled, ``round(v * 255 / 65535)``; Pillow's own conversion would clip everything above 255
  to white. Of 16-bit colour Pillow keeps the high byte of each channel while it decodes, ``v // 256``.
* 32-bit integer and float images have no range that could be known, and are refused.
* An EXIF orientation is not applied, as the published protocols do not apply it.
* Of files with several frames the first is taken.
"""

from __future__ import annotations

import io
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFile, TiffImagePlugin

from genmetrics.sources.device_decode import is_plain_jpeg
from genmetrics.types import AlphaPolicy

__all__ = [
    "BadImage",
    "Decoded",
    "PlainJpeg",
    "decode_array",
    "decode_bytes",
    "decode_file",
    "decode_image",
    "handing_over_jpegs",
]

_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N")
#: Formats in which Pillow's mode I holds 0..65535.
_SIXTEEN_BIT_AS_INT = ("PNG", "PPM")
_TIFF_BITS_PER_SAMPLE = 258
#: How files of the commonest formats begin, as those of no other format do, and Pillow's names of them.
_BEGINNINGS = ((b"\x89PNG\r\n\x1a\n", "PNG"), (b"\xff\xd8\xff", "JPEG"))
#: Files up to this size are read at once.
_WHOLE_FILE = 64 * 2**20
#: From so many pixels on it pays to take an image out of Pillow channel by channel.
_LARGE = 10_000
_BACKGROUNDS = {"white": (255, 255, 255, 255), "black": (0, 0, 0, 255)}


class BadImage(Exception):
    """An image that cannot be read; the text is the reason, without the image's name.

    It never leaves this package: the loader collects several and raises ``BadImageError``.
    """


class PlainJpeg(Exception):
    """A file that ``handing_over_jpegs`` left undecoded; it never leaves this package either.

    Attributes:
        data: the file.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__("a plain JPEG file, to be decoded elsewhere")
        self.data = data


_HANDING_OVER = ContextVar("handing_over_jpegs", default=False)


@contextmanager
def handing_over_jpegs() -> Iterator[None]:
    """Inside, and in this thread, ``decode_bytes`` and ``decode_file`` raise ``PlainJpeg`` for what a GPU can decode.

    So every container, which knows how to find and check its files, serves such a decoder without knowing of it.
    """
    before = _HANDING_OVER.set(True)
    try:
        yield
    finally:
        _HANDING_OVER.reset(before)


@dataclass(frozen=True, slots=True)
class Decoded:
    """The pixels of one image.

    Attributes:
        pixels: (h, w, 3) uint8 RGB, 0..255; may be read-only, and a view of channels that lie one after another.
        transparent: whether any pixel was not fully opaque, whatever became of it.
        format: of the encoded image, as Pillow names it; empty of an array.
    """

    pixels: UInt8[np.ndarray, "h w 3"]
    transparent: bool
    format: str = ""


def decode_file(path: Path, alpha: AlphaPolicy) -> Decoded:
    """The pixels of an image file.

    Raises:
        BadImage: if the file or its content cannot be read.
    """
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise BadImage(f"cannot be opened: {error.strerror or error}") from error
    with file:
        if not _is_short(file):
            return _decode(io.BufferedReader(file), alpha)
        try:
            data = file.read()
        except OSError as error:
            raise BadImage(f"cannot be read: {error.strerror or error}") from error
    return decode_bytes(data, alpha)


def decode_bytes(data: bytes, alpha: AlphaPolicy) -> Decoded:
    """The pixels of an encoded image in memory.

    Raises:
        BadImage: if it cannot be read.
    """
    if _HANDING_OVER.get() and is_plain_jpeg(data, Image.MAX_IMAGE_PIXELS):
        raise PlainJpeg(data)
    return _decode(io.BytesIO(data), alpha)


def decode_array(pixels: UInt8[np.ndarray, "h w c"], alpha: AlphaPolicy) -> Decoded:
    """RGB of an array of 1 (grey), 3 (RGB) or 4 (RGBA) channels, uint8 0..255."""
    channels = pixels.shape[2]
    if channels == 3:
        return Decoded(pixels, False)
    if channels == 1:
        return Decoded(np.repeat(pixels, 3, axis=2), False)
    return _to_rgb(Image.fromarray(np.ascontiguousarray(pixels)), alpha)


def decode_image(image: Image.Image, alpha: AlphaPolicy) -> Decoded:
    """RGB of an open Pillow image.

    Raises:
        BadImage: if its pixels cannot be read, or are of a kind without a known range.
    """
    info = dict(image.info)
    try:
        image.load()
        return _to_rgb(image, alpha)
    except (BadImage, MemoryError):
        raise
    except Exception as error:
        raise BadImage(f"damaged or truncated: {error or type(error).__name__}") from error
    finally:
        image.info.update(info)  # the image is the caller's, and transparency is taken out of it on the way


def _is_short(file: io.FileIO) -> bool:
    """Whether it is a plain file that may as well be read at once."""
    found = os.fstat(file.fileno())
    return stat.S_ISREG(found.st_mode) and found.st_size <= _WHOLE_FILE


def _decode(stream: io.BytesIO | io.BufferedReader, alpha: AlphaPolicy) -> Decoded:
    try:
        image = _open(stream)
        limit = Image.MAX_IMAGE_PIXELS
        if limit is not None and image.width * image.height > limit:
            raise BadImage(_too_large(f"{image.width}x{image.height} = {image.width * image.height:,} pixels"))
        image.load()
        return _to_rgb(image, alpha)
    except (BadImage, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImage(_too_large(str(error))) from error
    except Exception as error:
        # Pillow's plugins raise all sorts for broken files: OSError, SyntaxError, ValueError, struct.error …
        raise BadImage(f"damaged or truncated: {error or type(error).__name__}") from error


def _open(stream: io.BytesIO | io.BufferedReader) -> ImageFile.ImageFile:
    """What ``Image.open`` does, without its ``DecompressionBombWarning``.

    That warning is for the size check that ``_decode`` makes as an error. It could only be silenced by
    changing the process's warning filters, which is not safe while other threads run. EPS is left out, since
    Pillow would start Ghostscript on it.
    """
    start = stream.read(16)
    if not start:
        raise BadImage("an empty file (0 bytes)")
    tried: list[str] = []
    for find_plugins in (Image.preinit, Image.init):
        find_plugins()
        common = [name for beginning, name in _BEGINNINGS if start.startswith(beginning) and not tried]
        for name in [*common, *Image.ID]:
            if name in tried or name == "EPS":
                continue
            tried.append(name)
            factory, accept = Image.OPEN[name]
            accepted = accept is None or accept(start)
            if not accepted or isinstance(accepted, str):  # a text is the plugin's excuse
                continue
            stream.seek(0)
            try:
                return factory(stream, "")
            except (SyntaxError, IndexError, TypeError, struct.error):
                continue
    raise BadImage(f"not an image that Pillow can read (it starts with {start[:12]!r})")


def _too_large(what: str) -> str:
    limit = f"{Image.MAX_IMAGE_PIXELS:,}" if Image.MAX_IMAGE_PIXELS is not None else "none"
    return (
        f"too large: {what}, the limit is {limit} pixels (PIL.Image.MAX_IMAGE_PIXELS), against files made to "
        "fill the memory; if the file is trusted, raise PIL.Image.MAX_IMAGE_PIXELS or save it smaller"
    )


def _to_rgb(image: Image.Image, alpha: AlphaPolicy) -> Decoded:
    mode = image.mode
    encoded = image.format or ""  # what becomes of the image has none
    if mode in _SIXTEEN_BIT or (mode == "I" and image.format in _SIXTEEN_BIT_AS_INT):
        return _scale_sixteen_bit(image, alpha)
    if mode in ("I", "F"):
        kind = "32-bit integer" if mode == "I" else "float"
        raise BadImage(
            f"{kind} pixels (Pillow mode {mode!r}), whose range cannot be known; expected 8- or 16-bit "
            "pixels: convert them to 8-bit with the range you mean, e.g. save as PNG uint8"
        )
    try:
        rgba = image.convert("RGBA") if image.has_transparency_data else None
        transparent = rgba is not None and _lowest(rgba.getchannel("A")) < 255
        if rgba is not None and transparent and alpha != "drop":
            background = Image.new("RGBA", image.size, _BACKGROUNDS[alpha])
            image = Image.alpha_composite(background, rgba)
        # Pillow warns where it drops a palette's transparency; the loader reports it in its own way.
        image.info.pop("transparency", None)
        return Decoded(_pixels(image if image.mode == "RGB" else image.convert("RGB")), transparent, encoded)
    except ValueError as error:
        raise BadImage(
            f"Pillow mode {mode!r} cannot become RGB ({error}); save the image as 8-bit RGB, e.g. as PNG"
        ) from error


def _pixels(image: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    """What ``np.asarray`` gives of an RGB image; of a large one as three channels, which is what batches consist of.

    Pillow keeps four bytes a pixel and takes single channels out of them faster than NumPy turns pixels into channels.
    """
    width, height = image.size
    if width * height < _LARGE:
        return np.frombuffer(image.tobytes(), dtype=np.uint8).reshape(height, width, 3)
    channels = b"".join([image.tobytes("raw", channel) for channel in "RGB"])
    return np.frombuffer(channels, dtype=np.uint8).reshape(3, height, width).transpose(1, 2, 0)


def _lowest(channel: Image.Image) -> float:
    low = channel.getextrema()[0]
    return float(low[0] if isinstance(low, tuple) else low)


def _scale_sixteen_bit(image: Image.Image, alpha: AlphaPolicy) -> Decoded:
    values = np.asarray(image).astype(np.uint32)
    largest = _largest_value(image)
    grey = ((values * 255 + largest // 2) // largest).astype(np.uint8)
    hidden_value = image.info.get("transparency")
    hidden = values == hidden_value if isinstance(hidden_value, int) else np.zeros(values.shape, dtype=bool)
    if alpha != "drop":
        grey[hidden] = _BACKGROUNDS[alpha][0]
    return Decoded(np.repeat(grey[:, :, None], 3, axis=2), bool(hidden.any()), image.format or "")


def _largest_value(image: Image.Image) -> int:
    """65535, or less for a TIFF of fewer bits (Pillow opens 12-bit files in a 16-bit mode)."""
    bits = 16
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = int(image.tag_v2.get(_TIFF_BITS_PER_SAMPLE, (bits,))[0])
    return (1 << bits) - 1
