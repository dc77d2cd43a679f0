from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genmetrics.sources.decode import BadImage, _to_rgb, decode_array, decode_bytes, decode_file
from sources.helpers import pixels, png


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def rgb_image(seed: int = 0) -> Image.Image:
    return Image.fromarray(pixels(seed, 24, 20))


def pillow_rgb(data: bytes) -> np.ndarray:
    """The published protocols' conversion."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of palettes with transparency
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def half_transparent(channels: int = 4) -> Image.Image:
    array = pixels(3, 24, 20, channels)
    array[..., -1] = np.where(np.arange(24)[:, None] < 12, 40, 255)
    return Image.fromarray(array)


def palette_with_transparency(transparency: bytes | int) -> bytes:
    image = Image.fromarray((np.arange(480).reshape(24, 20) % 7).astype(np.uint8)).convert("P")
    image.putpalette(pixels(5, 1, 256).tobytes())
    return encoded(image, "PNG", transparency=transparency)


CORPUS = {
    "1": encoded(rgb_image().convert("1"), "PNG"),
    "L": encoded(rgb_image().convert("L"), "PNG"),
    "LA": encoded(half_transparent(2), "PNG"),
    "P": encoded(rgb_image().convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
    "P tRNS bytes": palette_with_transparency(bytes([0, 100] + [255] * 254)),
    "P tRNS index": palette_with_transparency(3),
    "RGB": png(pixels(1)),
    "RGB tRNS": encoded(rgb_image(), "PNG", transparency=tuple(pixels(0, 24, 20)[0, 0].tolist())),
    "RGBA": encoded(half_transparent(), "PNG"),
    "RGBA opaque": encoded(rgb_image().convert("RGBA"), "PNG"),
    "CMYK JPEG": encoded(rgb_image().convert("CMYK"), "JPEG"),
    "CMYK TIFF": encoded(rgb_image().convert("CMYK"), "TIFF"),
    "YCbCr JPEG": encoded(rgb_image(), "JPEG", quality=90),
    "grey JPEG": encoded(rgb_image().convert("L"), "JPEG"),
    "YCbCr TIFF": encoded(rgb_image().convert("YCbCr"), "TIFF"),
    "LAB TIFF": encoded(Image.new("LAB", (4, 5), (90, 20, 30)), "TIFF"),
    "GIF": encoded(rgb_image(), "GIF"),
    "GIF animated": encoded(rgb_image(), "GIF", save_all=True, append_images=[rgb_image(1)]),
    "WebP": encoded(rgb_image(), "WEBP", quality=80),
    "WebP alpha": encoded(half_transparent(), "WEBP", lossless=True),
    "AVIF": encoded(rgb_image(), "AVIF"),
    "BMP": encoded(rgb_image(), "BMP"),
    "PPM": encoded(rgb_image(), "PPM"),
    "PGM": encoded(rgb_image().convert("L"), "PPM"),
}
TRANSPARENT = ("LA", "P tRNS bytes", "P tRNS index", "RGB tRNS", "RGBA", "WebP alpha")


@pytest.mark.parametrize("name", CORPUS)
def test_pixels_are_those_of_pillows_convert(name: str) -> None:
    decoded = decode_bytes(CORPUS[name], "drop")

    assert decoded.pixels.dtype == np.uint8
    np.testing.assert_array_equal(decoded.pixels, pillow_rgb(CORPUS[name]))


@pytest.mark.parametrize("alpha", ["drop", "white", "black"])
@pytest.mark.parametrize("name", CORPUS)
def test_transparency_is_noticed_under_every_policy(name: str, alpha: str) -> None:
    assert decode_bytes(CORPUS[name], alpha).transparent == (name in TRANSPARENT)


@pytest.mark.parametrize("alpha", ["white", "black"])
@pytest.mark.parametrize("name", CORPUS)
def test_compositing_over_a_colour(name: str, alpha: str) -> None:
    rgba = Image.open(io.BytesIO(CORPUS[name])).convert("RGBA") if name in TRANSPARENT else None
    if rgba is None:
        expected = pillow_rgb(CORPUS[name])
    else:
        colour, opacity = np.float64(np.asarray(rgba)[..., :3]), np.asarray(rgba)[..., 3:] / 255
        expected = colour * opacity + (255 if alpha == "white" else 0) * (1 - opacity)

    got = decode_bytes(CORPUS[name], alpha).pixels

    np.testing.assert_allclose(got, expected, atol=1)
    if rgba is not None:  # the negative control: dropping is something else
        assert np.abs(np.float64(got) - pillow_rgb(CORPUS[name])).max() > 20


def test_sixteen_bit_grey_is_scaled_and_not_clipped() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    data = encoded(Image.fromarray(values), "PNG")

    got = decode_bytes(data, "drop").pixels

    expected = np.round(values.astype(np.float64) * 255 / 65535).astype(np.uint8)
    for channel in range(3):
        np.testing.assert_array_equal(got[..., channel], expected)
    assert np.abs(pillow_rgb(data).astype(int) - got).max() > 250  # what Pillow's conversion would give


@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_sixteen_bit_tiff_of_either_byte_order(byte_order: str) -> None:
    data = tiff(byte_order, 16, struct.pack(f"{byte_order}2H", 65535, 32768))

    np.testing.assert_array_equal(decode_bytes(data, "drop").pixels[0, :, 0], [255, 128])


def test_twelve_bit_tiff_is_scaled_by_its_own_range() -> None:
    data = tiff("<", 12, bytes([0xFF, 0xF8, 0x00]))  # 4095, 2048

    np.testing.assert_array_equal(decode_bytes(data, "drop").pixels[0, :, 0], [255, 128])


def test_sixteen_bit_pgm() -> None:
    data = b"P5 3 1 65535\n" + np.array([0, 257, 65535], dtype=">u2").tobytes()

    np.testing.assert_array_equal(decode_bytes(data, "drop").pixels[0, :, 0], [0, 1, 255])


@pytest.mark.parametrize(("alpha", "expected"), [("drop", 1), ("white", 255), ("black", 0)])
def test_transparent_value_of_sixteen_bit_grey(alpha: str, expected: int) -> None:
    data = png_file(2, 16, 0, np.array([257, 65535], dtype=">u2").tobytes(), trns=struct.pack(">H", 257))

    decoded = decode_bytes(data, alpha)

    assert decoded.transparent
    np.testing.assert_array_equal(decoded.pixels[0, :, 0], [expected, 255])


def test_sixteen_bit_colour_keeps_the_high_byte() -> None:
    data = png_file(2, 16, 2, np.array([255, 256, 511, 65535, 65280, 0], dtype=">u2").tobytes())

    np.testing.assert_array_equal(decode_bytes(data, "drop").pixels[0], [[0, 1, 1], [255, 255, 0]])


def test_exif_orientation_is_not_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.fromarray(pixels(0, 24, 10)), "JPEG", exif=exif)

    assert decode_bytes(data, "drop").pixels.shape == (24, 10, 3)


def test_first_frame_of_several() -> None:
    frames = [Image.fromarray(pixels(seed)) for seed in range(3)]
    data = encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:])

    np.testing.assert_array_equal(decode_bytes(data, "drop").pixels, pixels(0))


def reason(data: bytes) -> str:
    with pytest.raises(BadImage) as caught:
        decode_bytes(data, "drop")
    return str(caught.value)


@pytest.mark.parametrize(
    ("array", "kind"),
    [(np.ones((4, 4), dtype=np.int32), "32-bit integer"), (np.ones((4, 4), dtype=np.float32), "float")],
)
def test_images_without_a_known_range_are_refused(array: np.ndarray, kind: str) -> None:
    assert reason(encoded(Image.fromarray(array), "TIFF")) == (
        f"{kind} pixels (Pillow mode '{'I' if kind != 'float' else 'F'}'), whose range cannot be known; "
        "expected 8- or 16-bit pixels: convert them to 8-bit with the range you mean, e.g. save as PNG uint8"
    )


def test_modes_that_cannot_become_rgb_are_refused() -> None:
    with pytest.raises(BadImage, match=r"Pillow mode 'La' cannot become RGB .*save the image as 8-bit RGB"):
        _to_rgb(Image.new("La", (3, 3)), "drop")


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF"])
def test_truncated_files(format: str) -> None:
    data = encoded(Image.fromarray(pixels(0, 64, 64)), format)

    assert reason(data[: len(data) * 3 // 5]).startswith(("damaged or truncated: ", "not an image"))


def test_truncated_png_says_so() -> None:
    assert "truncated" in reason(png(pixels(0, 64, 64))[:500])


def test_not_an_image() -> None:
    assert reason(b"<!DOCTYPE html><html>") == ("not an image that Pillow can read (it starts with b'<!DOCTYPE ht')")


def test_empty_file() -> None:
    assert reason(b"") == "an empty file (0 bytes)"


def test_postscript_is_never_run() -> None:
    assert reason(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n").startswith("not an image")


@pytest.mark.parametrize("limit", [300, 150, 100])
@pytest.mark.parametrize("action", ["error", "default"])
def test_decompression_bombs_are_refused(limit: int, action: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between one and two times the limit Pillow only warns; both come out alike and no warning gets out."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with warnings.catch_warnings(record=action == "default") as caught:
        warnings.simplefilter(action)
        text = reason(png(pixels(0, 20, 20)))

    assert text == (
        f"too large: 20x20 = 400 pixels, the limit is {limit} pixels (PIL.Image.MAX_IMAGE_PIXELS), against "
        "files made to fill the memory; if the file is trusted, raise PIL.Image.MAX_IMAGE_PIXELS or save it "
        "smaller"
    )
    assert not caught


@pytest.mark.parametrize("limit", [400, None])
def test_the_limit_itself_and_none_are_allowed(limit: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)

    assert decode_bytes(png(pixels(0, 20, 20)), "drop").pixels.shape == (20, 20, 3)


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="cannot be opened: No such file or directory"):
        decode_file(tmp_path / "none.png", "drop")


def test_decode_file_reads_what_decode_bytes_reads(tmp_path: Path) -> None:
    path = tmp_path / "wrong-extension.jpg"
    path.write_bytes(CORPUS["RGBA"])

    np.testing.assert_array_equal(decode_file(path, "white").pixels, decode_bytes(CORPUS["RGBA"], "white").pixels)


def test_arrays_of_one_three_and_four_channels() -> None:
    grey, rgb, rgba = pixels(0, channels=1), pixels(1), np.asarray(half_transparent())

    np.testing.assert_array_equal(decode_array(grey, "drop").pixels, np.repeat(grey, 3, axis=2))
    np.testing.assert_array_equal(decode_array(rgb, "drop").pixels, rgb)
    np.testing.assert_array_equal(decode_array(rgba, "drop").pixels, rgba[..., :3])
    over_white = decode_array(rgba, "white")
    np.testing.assert_array_equal(over_white.pixels, decode_bytes(png(rgba), "white").pixels)
    assert over_white.transparent
    assert not decode_array(rgb, "drop").transparent


def png_file(width: int, depth: int, colour: int, row: bytes, trns: bytes | None = None) -> bytes:
    """One row of pixels as PNG, written by hand, since Pillow cannot write all kinds."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, 1, depth, colour, 0, 0, 0)
    transparency = chunk(b"tRNS", trns) if trns is not None else b""
    data = chunk(b"IDAT", zlib.compress(b"\0" + row))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + transparency + data + chunk(b"IEND", b"")


def tiff(byte_order: str, bits: int, data: bytes) -> bytes:
    """A grey TIFF of 2x1 pixels, written by hand."""
    tags = [
        (256, 2),
        (257, 1),
        (258, bits),
        (259, 1),
        (262, 1),
        (273, 8 + 2 + 8 * 12 + 4),
        (277, 1),
        (279, len(data)),
    ]
    body = b"".join(struct.pack(f"{byte_order}HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    mark = b"II*\0" if byte_order == "<" else b"MM\0*"
    return mark + struct.pack(f"{byte_order}IH", 8, len(tags)) + body + struct.pack(f"{byte_order}I", 0) + data
