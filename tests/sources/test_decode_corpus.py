"""Every kind of PNG, JPEG and WebP that can be made here, whole and damaged: Pillow's pixels, or refused as it does."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from genmetrics.sources import decode
from genmetrics.sources.decode import BadImage, decode_bytes
from sources.helpers import pixels

SIZES = [(1, 1), (1, 17), (2, 3), (7, 5), (8, 8), (9, 16), (13, 11), (15, 17), (17, 1), (101, 103)]


@pytest.fixture(params=["pixel by pixel", "channel by channel"], autouse=True)
def _both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of Pillow in both of the ways in which images of different sizes are taken out of it."""
    monkeypatch.setattr(decode, "_LARGE", 0 if request.param == "channel by channel" else 1 << 40)


def photo(height: int, width: int, seed: int = 0) -> Image.Image:
    """Smooth with some noise, so that every coefficient of a JPEG has something to say."""
    rows, columns = np.mgrid[:height, :width]
    waves = [128 + 60 * np.sin(0.3 * (c + 1) * rows + 0.2 * columns) + 40 * np.cos(0.5 * columns) for c in range(3)]
    noisy = np.stack(waves, axis=2) + np.random.default_rng(seed).normal(0, 12, (height, width, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def jpegs(height: int, width: int) -> Iterator[tuple[str, bytes]]:
    image = photo(height, width)
    for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
        for progressive in (False, True):
            options = {"subsampling": subsampling, "progressive": progressive}
            yield f"{options}", encoded(image, "JPEG", quality=90, **options)
        restarts = {"subsampling": subsampling, "restart_marker_blocks": 2}
        yield f"{restarts}", encoded(image, "JPEG", quality=90, **restarts)
    orientation = Image.Exif()
    orientation[0x0112] = 6
    yield "EXIF", encoded(image, "JPEG", exif=orientation)
    yield "grey", encoded(image.convert("L"), "JPEG")
    yield "CMYK", encoded(image.convert("CMYK"), "JPEG", quality=90)
    yield "RGB kept", encoded(image, "JPEG", quality=90, keep_rgb=True)
    yield "optimised", encoded(image, "JPEG", quality=75, optimize=True)
    yield "trailing bytes", encoded(image, "JPEG") + b"more"


def pngs(height: int, width: int) -> Iterator[tuple[str, bytes]]:
    image = photo(height, width)
    alpha = image.convert("RGBA")
    alpha.putalpha(image.getchannel("G"))
    grey_alpha = Image.merge("LA", (image.convert("L"), image.getchannel("B")))
    palette = image.convert("P", palette=Image.Palette.ADAPTIVE)
    yield "RGB", encoded(image, "PNG")
    yield "RGBA", encoded(alpha, "PNG")
    yield "RGB with a transparent colour", encoded(image, "PNG", transparency=image.getpixel((0, 0)))
    yield "L", encoded(image.convert("L"), "PNG")
    yield "LA", encoded(grey_alpha, "PNG")
    yield "P", encoded(palette, "PNG")
    yield "P with transparency", encoded(palette, "PNG", transparency=bytes(range(0, 256)))
    yield "1", encoded(image.convert("1"), "PNG")
    yield "16-bit colour", raw_png(height, width, 16, 2, 6)
    for colour_type, samples in ((0, 1), (2, 3), (4, 2), (6, 4)):
        yield f"interlaced, colour type {colour_type}", raw_png(height, width, 8, colour_type, samples, interlaced=True)


def webps(height: int, width: int) -> Iterator[tuple[str, bytes]]:
    image = photo(height, width)
    alpha = image.convert("RGBA")
    alpha.putalpha(image.getchannel("G"))
    yield "lossy", encoded(image, "WEBP", quality=70)
    yield "lossless", encoded(image, "WEBP", lossless=True)
    yield "alpha", encoded(alpha, "WEBP", quality=70)
    yield "lossless alpha", encoded(alpha, "WEBP", lossless=True, exact=True)


def raw_png(
    height: int, width: int, bits: int, colour_type: int, bytes_a_pixel: int, interlaced: bool = False
) -> bytes:
    """Unfiltered random pixels in a PNG of a kind that Pillow does not write."""
    rng = np.random.default_rng(height * width)
    passes = [(0, 0, 1, 1)]
    if interlaced:  # Adam7
        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = b""
    for top, left, down, across in passes:
        high, wide = len(range(top, height, down)), len(range(left, width, across))
        rows += b"".join(b"\0" + rng.bytes(wide * bytes_a_pixel) for _ in range(high) if wide)
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, interlaced)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def by_pillow(data: bytes) -> np.ndarray | None:
    """What the published protocols' loaders get of a file; None if Pillow refuses it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of transparency in a palette, of damaged metadata
        try:
            return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        except Exception:
            return None


def by_us(data: bytes) -> np.ndarray | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return decode_bytes(data, "drop").pixels
        except BadImage:
            return None


def check(data: bytes, what: str) -> bool:
    """That both get the same pixels or none; whether they got any."""
    expected, found = by_pillow(data), by_us(data)
    if expected is None or found is None:
        assert expected is found, f"{what}: only {'Pillow' if found is None else 'genmetrics'} reads it"
        return False
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected, err_msg=what)
    return True


@pytest.mark.parametrize("kinds", [jpegs, pngs, webps])
def test_all_kinds_at_odd_sizes(kinds) -> None:
    for height, width in SIZES:
        for what, data in kinds(height, width):
            assert check(data, f"{height}x{width} {what}")


def test_every_quality_of_jpeg() -> None:
    image = photo(19, 21)
    for quality in range(1, 101):
        for subsampling in ("4:4:4", "4:2:0"):
            assert check(encoded(image, "JPEG", quality=quality, subsampling=subsampling), f"{quality} {subsampling}")


@pytest.mark.parametrize("kinds", [jpegs, pngs, webps])
def test_truncated_files_are_refused_where_pillow_refuses_them(kinds) -> None:
    verdicts = {
        check(data[:length], f"{what} cut to {length} of {len(data)} bytes")
        for what, data in kinds(24, 33)
        for length in np.linspace(1, len(data) - 1, 12).astype(int)
    }
    assert False in verdicts  # else nothing was tried


@pytest.mark.parametrize("kinds", [jpegs, pngs, webps])
def test_flipped_bytes_give_pillows_pixels_or_its_refusal(kinds) -> None:
    rng = np.random.default_rng(1)
    verdicts = []
    for what, data in kinds(24, 33):
        for _ in range(40):
            damaged = bytearray(data)
            place = int(rng.integers(2, len(data)))
            damaged[place] ^= int(rng.integers(1, 256))
            verdicts.append(check(bytes(damaged), f"{what} with byte {place} changed to {damaged[place]}"))
    assert {True, False} == set(verdicts)


def test_another_dct_would_be_noticed() -> None:
    """The comparison is of single levels: a half-size decoding scaled up is not taken for the image."""
    data = encoded(photo(64, 64), "JPEG", quality=90)
    draft = Image.open(io.BytesIO(data))
    draft.draft("RGB", (32, 32))
    other = np.asarray(draft.resize((64, 64)))
    found = by_us(data)
    assert found is not None and (found != other).any()


def test_pixels_are_a_copy_of_their_own() -> None:
    data = encoded(Image.fromarray(pixels(0, 9, 9)), "PNG")
    first, second = by_us(data), by_us(data)
    assert first is not None and second is not None and not np.shares_memory(first, second)
