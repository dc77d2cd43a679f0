"""Our transcription of Pillow's resampling against Pillow, for devices on which Pillow itself cannot work."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from genmetrics.preprocess.resize_pil import resize_pil_bicubic_f32, resize_pil_f32, resize_pil_u8

# (source height, width), (target height, width): down and up, by little and by much, not square, a line, a point.
SIZES = [
    ((512, 512), (224, 224)),
    ((256, 256), (299, 299)),
    ((32, 32), (299, 299)),
    ((37, 53), (224, 224)),
    ((301, 200), (224, 224)),
    ((100, 640), (224, 224)),
    ((225, 223), (224, 224)),
    ((299, 299), (299, 299)),
    ((224, 100), (224, 224)),
    ((640, 480), (17, 300)),
    ((700, 90), (33, 61)),
    ((1000, 40), (336, 336)),
    ((2, 900), (224, 3)),
    ((3, 3), (2, 2)),
    ((1, 1), (5, 7)),
]
FILTERS = {name: Image.Resampling[name.upper()] for name in ("bicubic", "bilinear", "box", "lanczos")}


def noise(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """(2, 3, h, w) uint8: white noise, and black and white stripes, where the filter overshoots most."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (2, 3, height, width), dtype=np.uint8)
    pixels[1] = 255 * (pixels[1] > 127)
    return torch.from_numpy(pixels)


def pillow(image: np.ndarray, size: tuple[int, int], filter: Image.Resampling) -> np.ndarray:
    """Pillow's resize, one direction after the other; an (h, w, 3) uint8 or an (h, w) float32 image."""
    loaded = Image.fromarray(image)
    return np.asarray(loaded.resize((size[1], loaded.height), filter).resize(size[::-1], filter))


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize(("source", "target"), SIZES)
class TestBothWays:
    def test_eight_bits_are_equal(self, source, target, filter) -> None:
        images = noise(*source)
        expected = np.stack([pillow(image, target, FILTERS[filter]) for image in images.permute(0, 2, 3, 1).numpy()])
        for by_pillow in (False, True, None):
            ours = resize_pil_u8(images, target, filter, by_pillow=by_pillow)
            assert ours.dtype == torch.uint8
            np.testing.assert_array_equal(ours.permute(0, 2, 3, 1).numpy(), expected)

    def test_floats_are_equal(self, source, target, filter) -> None:
        images = noise(*source)
        planes = images.float().numpy()
        expected = np.stack([[pillow(plane, target, FILTERS[filter]) for plane in image] for image in planes])
        np.testing.assert_array_equal(resize_pil_f32(images, target, filter).numpy(), expected)
        ours = resize_pil_f32(images, target, filter, by_pillow=False)
        assert ours.dtype == torch.float32
        # Reached: 0 at all of these sizes.
        np.testing.assert_allclose(ours.numpy(), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("source", "target"), [((512, 512), (224, 224)), ((37, 53), (224, 224)), ((40, 60), (20, 30))])
def test_in_one_call_where_every_pillow_begins_with_the_rows(source, target) -> None:
    images = noise(*source)
    for image, ours in zip(images, resize_pil_u8(images, target, "bicubic", by_pillow=False), strict=True):
        loaded = Image.fromarray(image.permute(1, 2, 0).numpy())
        np.testing.assert_array_equal(
            ours.permute(1, 2, 0).numpy(), np.asarray(loaded.resize(target[::-1], Image.Resampling.BICUBIC))
        )


def test_columns_first_would_be_noticed() -> None:
    """Negative control: the order that Pillow 13 takes here."""
    images = noise(640, 64)
    rows_first = resize_pil_u8(images, (100, 128), "bicubic", by_pillow=False)
    columns_first = resize_pil_u8(resize_pil_u8(images, (100, 64), "bicubic"), (100, 128), "bicubic")
    assert not torch.equal(rows_first, columns_first)


def test_one_bit_less_in_the_weights_would_be_noticed(monkeypatch) -> None:
    """Negative control."""
    images = noise(301, 200)
    expected = resize_pil_u8(images, (224, 224), "bicubic", by_pillow=True)
    monkeypatch.setattr("genmetrics.preprocess.resize_pil._FIXED_POINT_BITS", 10)
    assert not torch.equal(resize_pil_u8(images, (224, 224), "bicubic", by_pillow=False), expected)


def test_the_float_resize_overshoots_and_the_clean_one_is_clipped() -> None:
    images = noise(40, 40)
    raw = resize_pil_f32(images, (299, 299), "bicubic")
    assert float(raw.max()) > 256 and float(raw.min()) < -1
    clean = resize_pil_bicubic_f32(images, (299, 299))
    assert torch.equal(clean, raw.clamp(0, 255))
    assert not torch.equal(clean, clean.round())


def test_input_is_not_changed_and_views_are_taken() -> None:
    images = noise(50, 40)
    before = images.clone()
    view = images[:, :, 5:45, 3:]
    for size in ((40, 37), (20, 60)):
        for by_pillow in (False, True):
            for resize in (resize_pil_u8, resize_pil_f32):
                ours = resize(view, size, "bicubic", by_pillow=by_pillow)
                ours.zero_()
                assert torch.equal(images, before)


@pytest.mark.gpu
@pytest.mark.parametrize(("source", "target"), SIZES)
def test_on_a_gpu(source, target) -> None:
    images = noise(*source)
    assert torch.equal(resize_pil_u8(images.cuda(), target, "bicubic").cpu(), resize_pil_u8(images, target, "bicubic"))
    floats = resize_pil_f32(images.cuda(), target, "bicubic").cpu()
    torch.testing.assert_close(floats, resize_pil_f32(images, target, "bicubic"), rtol=0, atol=1e-3)
