"""TensorFlow 1's resize against its formula in NumPy's float32, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from genmetrics.preprocess.resize_tf1 import resize_tf1_bilinear, resize_tf1_bilinear_by_torch, resize_tf1_bilinear_f64
from support.peers import import_peer


def pixels(height: int, width: int, seed: int, count: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 2, height, width)).astype(np.float32)


def formula(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """TensorFlow's kernel, ``resize_bilinear_op.cc``, legacy scaler; every operation rounds to float32."""
    neighbours = []
    for length, out in zip(images.shape[2:], size, strict=True):
        scale = np.float32(length) / np.float32(out)
        position = np.arange(out, dtype=np.float32) * scale
        low = np.floor(position).astype(np.int64)
        fraction = position - np.floor(position)
        neighbours.append((low, np.minimum(low + 1, length - 1), fraction.astype(np.float32)))
    (top, bottom, down), (left, right, across) = neighbours
    corners = [images[:, :, rows[:, None], columns] for rows in (top, bottom) for columns in (left, right)]
    upper = corners[0] + (corners[1] - corners[0]) * across
    lower = corners[2] + (corners[3] - corners[2]) * across
    result = upper + (lower - upper) * down[:, None]
    assert result.dtype == np.float32
    return result


def random_sizes(count: int) -> list[tuple[int, int]]:
    rng = np.random.default_rng(0)
    return [(int(height), int(width)) for height, width in rng.integers(1, 701, (count, 2))]


@pytest.mark.parametrize("by_plane", [True, False])
@pytest.mark.parametrize("start", range(0, 60, 10))
def test_random_sizes_are_bit_equal(start: int, by_plane: bool) -> None:
    for number, (height, width) in enumerate(random_sizes(60)[start : start + 10]):
        images = pixels(height, width, start + number)
        ours = resize_tf1_bilinear(torch.from_numpy(images), (299, 299), by_plane=by_plane).numpy()
        np.testing.assert_array_equal(ours, formula(images, (299, 299)), err_msg=f"{height}x{width}")


# Above twice the output's height the rows are picked before the columns are interpolated.
@pytest.mark.parametrize("height", [597, 598, 599, 600, 700, 1500])
@pytest.mark.parametrize("width", [5, 299, 650])
@pytest.mark.parametrize("by_plane", [True, False])
def test_both_orders_of_interpolation_are_bit_equal(height: int, width: int, by_plane: bool) -> None:
    images = pixels(height, width, height + width)
    ours = resize_tf1_bilinear(torch.from_numpy(images), (299, 299), by_plane=by_plane).numpy()
    np.testing.assert_array_equal(ours, formula(images, (299, 299)))


@pytest.mark.parametrize("by_plane", [True, False])
@pytest.mark.parametrize(
    ("source", "size"), [((1, 1), (4, 3)), ((1, 9), (5, 5)), ((8, 1), (3, 7)), ((30, 41), (7, 90))]
)
def test_other_outputs_are_bit_equal(source: tuple[int, int], size: tuple[int, int], by_plane: bool) -> None:
    images = pixels(*source, seed=1)
    ours = resize_tf1_bilinear(torch.from_numpy(images), size, by_plane=by_plane).numpy()
    np.testing.assert_array_equal(ours, formula(images, size))


@pytest.mark.parametrize(
    ("source", "size"), [((1, 1), (4, 3)), ((32, 45), (299, 299)), ((700, 310), (299, 299)), ((30, 41), (7, 90))]
)
def test_float64_is_torch_fidelitys(source: tuple[int, int], size: tuple[int, int]) -> None:
    peer = import_peer("torch_fidelity.interpolate_compat_tensorflow")
    images = torch.from_numpy(pixels(*source, seed=2)).double()
    ours = resize_tf1_bilinear_f64(images, size)
    assert ours.dtype == torch.float64
    assert torch.equal(ours, peer.interpolate_bilinear_2d_like_tensorflow1x(images, size, align_corners=False))
    rounded = resize_tf1_bilinear(images.float(), size).double()
    assert float((ours - rounded).abs().max()) < 1e-2
    assert source == (1, 1) or not torch.equal(ours, rounded)


def test_doubling_by_hand() -> None:
    """Position i/2, without a half-pixel centre; beyond the last pixel its value is repeated."""
    row = torch.tensor([[[[0.0, 10.0, 40.0]]]])
    ours = resize_tf1_bilinear(row, (1, 6))
    assert ours.flatten().tolist() == [0.0, 5.0, 10.0, 25.0, 40.0, 40.0]


def test_native_size_is_the_identity() -> None:
    images = torch.from_numpy(pixels(299, 299, seed=2))
    assert torch.equal(resize_tf1_bilinear(images, (299, 299)), images)


@pytest.mark.parametrize("align_corners", [False, True])
def test_torchs_resize_would_be_noticed(align_corners: bool) -> None:
    """Negative control: neither of torch's sampling grids passes for TensorFlow 1's."""
    images = pixels(64, 80, seed=3)
    other = F.interpolate(torch.from_numpy(images), size=(299, 299), mode="bilinear", align_corners=align_corners)
    assert np.abs(other.numpy() - formula(images, (299, 299))).max() > 10


@pytest.mark.parametrize("height", [100, 650])
def test_each_image_is_resized_as_if_alone(height: int) -> None:
    images = torch.from_numpy(pixels(height, 90, seed=4, count=7))
    whole = resize_tf1_bilinear(images, (299, 299))
    for size in (1, 2, 3):
        parts = [resize_tf1_bilinear(part, (299, 299)) for part in images.split(size)]
        assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize("height", [50, 299, 700])
def test_input_is_not_changed(height: int) -> None:
    images = torch.from_numpy(pixels(height, height, seed=5))
    before = images.clone()
    resize_tf1_bilinear(images, (299, 299))
    assert torch.equal(images, before)


def test_strided_input() -> None:
    images = torch.from_numpy(pixels(60, 50, seed=6))
    strided = images.contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(resize_tf1_bilinear(strided, (299, 299)).numpy(), formula(images.numpy(), (299, 299)))


ON_A_GPU = [(256, 256), (32, 32), (512, 512), (299, 299), (300, 301), (17, 1), (1, 1), (600, 280), (333, 77)]


@pytest.mark.parametrize(("height", "width"), ON_A_GPU)
def test_what_a_gpu_does_is_the_same_to_rounding(height: int, width: int) -> None:
    images = torch.from_numpy(pixels(height, width, height + width))
    before = images.clone()
    ours = resize_tf1_bilinear_by_torch(images, (299, 299))
    assert torch.equal(images, before)
    torch.testing.assert_close(ours, resize_tf1_bilinear(images, (299, 299)), rtol=0, atol=1e-4)


def test_torchs_own_positions_are_not_tensorflows() -> None:
    """The negative control: without the row and column more, either of torch's conventions is another resize."""
    images = torch.from_numpy(pixels(256, 256, 1))
    expected = resize_tf1_bilinear(images, (299, 299))
    for align_corners in (False, True):
        other = F.interpolate(images, size=(299, 299), mode="bilinear", align_corners=align_corners)
        assert float((other - expected).abs().max()) > 10


@pytest.mark.gpu
@pytest.mark.parametrize(("height", "width"), ON_A_GPU)
def test_a_gpu_equals_the_cpu(height: int, width: int) -> None:
    images = torch.from_numpy(pixels(height, width, height + width))
    found = resize_tf1_bilinear(images.cuda(), (299, 299)).cpu()
    torch.testing.assert_close(found, resize_tf1_bilinear(images, (299, 299)), rtol=0, atol=1e-4)
