"""Torch's resizes against Pillow's filters and against the sampling formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from genmetrics.preprocess.resize_torch import (
    resize_torch_bicubic_antialias,
    resize_torch_bilinear,
    resize_torch_bilinear_antialias,
)

# (source height, width), (target height, width): down, up, both at once, not square.
SIZES = [
    ((512, 512), (224, 224)),
    ((301, 200), (224, 224)),
    ((100, 640), (224, 224)),
    ((37, 53), (224, 224)),
    ((32, 32), (299, 299)),
    ((225, 223), (224, 224)),
    ((90, 120), (33, 61)),
    ((640, 480), (17, 300)),
]
TOLERANCE = 0.005


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """(3, h, w) float32, 0..255: edges at both ends of the range, waves and noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    waves = [127 + 100 * np.sin(rows * a + columns * b) for a, b in rng.uniform(-1, 1, (3, 2))]
    image = np.stack(waves) + rng.normal(0, 15, (3, height, width))
    image[:, height // 4 : height // 2, width // 3 : width // 2] = 255
    image[:, height // 2 :, : width // 4] = 0
    return np.clip(np.round(image), 0, 255).astype(np.float32)


def pillow_bicubic(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pillow's bicubic of each channel as 32-bit float, clipped: clean-fid's resize without the rounding."""
    resized = [Image.fromarray(plane).resize(size[::-1], Image.Resampling.BICUBIC) for plane in image]
    assert resized[0].mode == "F"
    return np.clip(np.stack([np.asarray(plane) for plane in resized]), 0, 255)


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_bicubic_is_pillows(source: tuple[int, int], target: tuple[int, int]) -> None:
    image = photo(*source)
    ours = resize_torch_bicubic_antialias(torch.from_numpy(image)[None], target)[0].numpy()
    assert ours.shape == (3, *target)
    np.testing.assert_allclose(ours, pillow_bicubic(image, target), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(("source", "target"), [pair for pair in SIZES if pair[0][0] > 1.3 * pair[1][0]])
def test_bicubic_without_antialiasing_would_be_noticed(source: tuple[int, int], target: tuple[int, int]) -> None:
    """Negative control."""
    image = photo(*source)
    aliased = F.interpolate(torch.from_numpy(image)[None], size=target, mode="bicubic").clamp(0, 255)[0].numpy()
    assert np.abs(aliased - pillow_bicubic(image, target)).max() > 1000 * TOLERANCE


def test_bicubic_stays_in_the_range() -> None:
    """The filter overshoots at edges; without the clipping the values would leave 0..255."""
    image = torch.from_numpy(photo(40, 40))[None]
    raw = F.interpolate(image, size=(224, 224), mode="bicubic", antialias=True)
    assert float(raw.max()) > 256 and float(raw.min()) < -1
    ours = resize_torch_bicubic_antialias(image, (224, 224))
    assert float(ours.max()) == 255.0 and float(ours.min()) == 0.0


def half_pixel_bilinear(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Output i looks at (i + 1/2)·in/out - 1/2, clamped to the image; float64."""
    weights = []
    for length, out in zip(image.shape[1:], size, strict=True):
        position = np.clip((np.arange(out) + 0.5) * length / out - 0.5, 0, length - 1)
        low = np.minimum(position.astype(int), max(length - 2, 0))
        matrix = np.zeros((out, length))
        matrix[np.arange(out), low] += 1 - (position - low)
        matrix[np.arange(out), np.minimum(low + 1, length - 1)] += position - low
        weights.append(matrix)
    return weights[0] @ image.astype(np.float64) @ weights[1].T


@pytest.mark.parametrize(("source", "target"), [*SIZES, ((1, 1), (5, 7)), ((2, 1), (9, 3))])
def test_bilinear_has_half_pixel_centres_and_no_antialiasing(source: tuple[int, int], target: tuple[int, int]) -> None:
    image = photo(*source)
    ours = resize_torch_bilinear(torch.from_numpy(image)[None], target)[0].numpy()
    np.testing.assert_allclose(ours, half_pixel_bilinear(image, target), rtol=0, atol=1e-2)


def test_bilinear_with_aligned_corners_would_be_noticed() -> None:
    """Negative control."""
    image = photo(37, 53)
    aligned = F.interpolate(torch.from_numpy(image)[None], size=(224, 224), mode="bilinear", align_corners=True)
    assert np.abs(aligned[0].numpy() - half_pixel_bilinear(image, (224, 224))).max() > 1


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_bilinear_with_antialiasing_is_pillows(source: tuple[int, int], target: tuple[int, int]) -> None:
    image = photo(*source)
    ours = resize_torch_bilinear_antialias(torch.from_numpy(image)[None], target)[0].numpy()
    pillows = [Image.fromarray(plane).resize(target[::-1], Image.Resampling.BILINEAR) for plane in image]
    np.testing.assert_allclose(ours, np.stack([np.asarray(plane) for plane in pillows]), rtol=0, atol=TOLERANCE)
    if source[0] > 1.3 * target[0]:  # without it, negative control
        assert np.abs(ours - half_pixel_bilinear(image, target)).max() > 1000 * TOLERANCE


@pytest.mark.parametrize(
    "resize", [resize_torch_bilinear, resize_torch_bilinear_antialias, resize_torch_bicubic_antialias]
)
def test_input_is_not_changed(resize) -> None:
    image = torch.from_numpy(photo(50, 40))[None]
    for size in ((50, 40), (20, 60)):
        before = image.clone()
        resize(image, size)
        assert torch.equal(image, before)
