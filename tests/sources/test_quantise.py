from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from genmetrics.errors import BadImageError, SourceError, UsageError
from genmetrics.sources.arrays import ArraySource
from genmetrics.sources.parse import open_source
from genmetrics.sources.quantise import RANGES, Quantiser, quantise
from sources.helpers import Collected, pixels

IMAGES = np.stack([pixels(index) for index in range(4)])


def values(value_range: tuple[int, int], kind: type = np.float32) -> np.ndarray:
    """What a network would have to give for each of the 256 levels."""
    low, high = value_range
    return (np.arange(256) / 255 * (high - low) + low).astype(kind)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("value_range", RANGES)
def test_each_level_comes_back(value_range: tuple[int, int], kind: type) -> None:
    assert quantise(torch.from_numpy(values(value_range, kind)), value_range).tolist() == list(range(256))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_short_floats_are_computed_in_float32(kind: torch.dtype) -> None:
    given = torch.linspace(-1, 1, 999).to(kind)

    assert torch.equal(quantise(given, (-1, 1)), quantise(given.float(), (-1, 1)))


def test_the_published_lines() -> None:
    x = torch.from_numpy(np.random.default_rng(0).uniform(-1.3, 1.3, 100_000).astype(np.float32))
    y = torch.from_numpy(np.random.default_rng(1).uniform(-0.2, 1.2, 100_000).astype(np.float32))

    edm_and_stylegan = (x * 127.5 + 128).clip(0, 255).to(torch.uint8)
    adm = ((x + 1) * 127.5).clamp(0, 255).to(torch.uint8)
    save_image = y.mul(255).add(0.5).clamp(0, 255).to(torch.uint8)
    torchmetrics = (y.clamp(0, 1) * 255).byte()
    assert torch.equal(quantise(x, (-1, 1)), edm_and_stylegan)
    assert torch.equal(quantise(x, (-1, 1), "truncate"), adm)
    assert torch.equal(quantise(y, (0, 1)), save_image)
    assert torch.equal(quantise(y, (0, 1), "truncate"), torchmetrics)
    # The two conventions are really two.
    assert (quantise(x, (-1, 1)) != adm).float().mean() > 0.3
    assert (quantise(y, (0, 1)) != torchmetrics).float().mean() > 0.3


def test_0_to_255() -> None:
    given = torch.tensor([-3.0, 0.4, 0.5, 127.5, 254.49, 255.0, 260.0])

    assert quantise(given, (0, 255)).tolist() == [0, 0, 1, 128, 254, 255, 255]
    assert quantise(given, (0, 255), "truncate").tolist() == [0, 0, 0, 127, 254, 255, 255]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("value_range", RANGES)
def test_float_arrays_are_the_uint8_images(
    value_range: tuple[int, int], workers: int, collect: Callable[..., Collected]
) -> None:
    low, high = value_range
    floats = (IMAGES / 255.0 * (high - low) + low).astype(np.float32)
    for given in (floats, torch.from_numpy(floats).permute(0, 3, 1, 2), floats.astype(">f8")[:, :, ::-1][:, :, ::-1]):
        source = open_source(given, value_range=value_range)
        got = collect(source, workers=workers, batch_size=3)

        np.testing.assert_array_equal(np.stack([got.images[index] for index in range(4)]), IMAGES)
        assert source.notes == ()


def test_bfloat16_and_an_array_that_cannot_be_written(collect: Callable[..., Collected]) -> None:
    given = torch.rand(2, 3, 4, 5).bfloat16()
    frozen = given.float().permute(0, 2, 3, 1).numpy().copy()
    frozen.flags.writeable = False

    first = collect(open_source(given, value_range=(0, 1)))
    second = collect(open_source(frozen, value_range=(0.0, 1.0)))

    np.testing.assert_array_equal(first.images[1], second.images[1])


def test_overshoot_is_clipped_and_noted(collect: Callable[..., Collected]) -> None:
    given = np.zeros((3, 4, 4, 3), np.float32)
    given[0, 0, 0] = 1.5
    given[1, 0, 0, 0] = -1.01
    source = ArraySource(given, (-1, 1))

    for _ in range(2):  # the second pass begins to count anew
        got = collect(source)

        assert got.images[0][0, 0].tolist() == [255, 255, 255]
        assert got.images[1][0, 0].tolist() == [0, 128, 128]
        assert source.notes == (
            "4 values of 2 of 3 images lay outside -1..1 and were clipped; all values lay in -1.01..1.5",
        )


def test_another_range_than_stated(collect: Callable[..., Collected]) -> None:
    with pytest.raises(SourceError) as caught:
        collect(ArraySource(IMAGES.astype(np.float32), (0, 1)), on_bad_image="skip")

    assert str(caught.value) == (
        f"array 4x8x6x3 float32[0]: its values run from {IMAGES[0].min()} to {IMAGES[0].max()}, most of them outside "
        "the stated value_range=(0, 1); state the range that they have, one of (0, 1), (-1, 1) and (0, 255)"
    )


def test_nearly_black(collect: Callable[..., Collected]) -> None:
    source = ArraySource((IMAGES / 255).astype(np.float32), (0, 255))
    collect(source)

    assert source.notes[0].startswith("the values were said to run from 0 to 255, and all lay in 0..1")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_no_numbers(value: float, collect: Callable[..., Collected]) -> None:
    given = np.zeros((3, 4, 4, 3), np.float32)
    given[1, 2, 3, 0] = value

    with pytest.raises(BadImageError, match=r"array 3x4x4x3 float32\[1\]: 1 value of it are NaN or infinite"):
        collect(ArraySource(given, (0, 1)))
    assert sorted(collect(ArraySource(given, (0, 1)), on_bad_image="skip").images) == [0, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"value_range": (0, 2)}, "value_range is (0, 2), expected what the values run from and to: (0, 1), (-1, 1)"),
        ({"value_range": (0, 1), "rounding": "up"}, "rounding is 'up', expected 'round' or 'truncate'"),
        (
            {"rounding": "truncate"},
            "rounding='truncate' was given without value_range; uint8 images are not rounded. For float images give "
            "both, such as value_range=(-1, 1)",
        ),
    ],
)
def test_what_cannot_be_meant(options: dict, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_source(np.zeros((1, 2, 2, 3), np.float32), **options)
    assert message in str(caught.value)


def test_a_range_for_uint8_and_none_for_floats() -> None:
    with pytest.raises(UsageError) as caught:
        open_source(IMAGES, value_range=(0, 1))
    assert str(caught.value) == (
        "value_range=(0, 1) was given, and the array is uint8, whose values run from 0 to 255; leave value_range and "
        "rounding out"
    )
    with pytest.raises(
        SourceError, match=r"or state the range from Python, `gm.open_source\(x, value_range=\(0, 1\)\)"
    ):
        open_source(IMAGES / 255)
    with pytest.raises(SourceError, match=r"the array is int64, expected uint8 0..255, or floats with a stated"):
        open_source(IMAGES.astype(np.int64), value_range=(0, 255))
    with pytest.raises(
        SourceError, match=r"the array is float32 of shape \(4, 3, 8, 6\), expected float32 \(n, h, w, 3"
    ):
        open_source(IMAGES.transpose(0, 3, 1, 2).astype(np.float32), value_range=(0, 255))


def test_a_range_for_files(tmp_path) -> None:
    for given in (str(tmp_path), tmp_path, f"folder:{tmp_path}", "cifar10:train", [str(tmp_path)]):
        with pytest.raises(UsageError, match=r"value_range=\(0, 1\) was given with .*uint8 already, 0..255; leave it"):
            open_source(given, value_range=(0, 1))
    with pytest.raises(UsageError, match="rounding='truncate' was given with an open ImageSource"):
        open_source(ArraySource(IMAGES), rounding="truncate")


def test_a_quantiser_says_what_it_does() -> None:
    assert Quantiser(None, "round").text == ""
    assert Quantiser((-1, 1), "truncate").text == "-1..1 truncate"
