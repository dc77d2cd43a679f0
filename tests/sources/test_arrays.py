from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from genmetrics.errors import SourceError
from genmetrics.sources.arrays import ArraySource, NpySource
from genmetrics.types import Shard
from sources.helpers import Collected, pixels


def stack(count: int = 7, channels: int = 3) -> np.ndarray:
    return np.stack([pixels(index, 8, 6, channels) for index in range(count)])


def save(folder: Path, array: np.ndarray, **options: bool) -> Path:
    path = folder / "x.npy"
    np.save(path, array, **options)
    return path


@pytest.mark.parametrize("workers", [0, 3])
@pytest.mark.parametrize("shards", [1, 2, 9])
@pytest.mark.parametrize("kind", ["numpy", "tensor", "npy", "strided"])
def test_every_image(kind: str, shards: int, workers: int, tmp_path: Path, collect: Callable[..., Collected]) -> None:
    array = stack()
    source = {
        "numpy": lambda: ArraySource(array),
        "tensor": lambda: ArraySource(torch.from_numpy(array).permute(0, 3, 1, 2).contiguous()),
        "npy": lambda: NpySource(save(tmp_path, array)),
        "strided": lambda: ArraySource(np.repeat(array, 2, axis=0)[::2, :, ::-1][:, :, ::-1]),
    }[kind]()

    images: dict[int, np.ndarray] = {}
    for shard in range(shards):
        images |= collect(source, Shard(shard, shards), workers=workers, batch_size=3).images

    assert sorted(images) == list(range(7))
    np.testing.assert_array_equal(np.stack([images[index] for index in range(7)]), array)


def test_the_callers_array_is_not_changed_or_shared(collect: Callable[..., Collected]) -> None:
    array = stack()
    array.flags.writeable = False
    got = collect(ArraySource(array))
    got.batches[0].images.zero_()

    np.testing.assert_array_equal(array, stack())


@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize(("channels", "alpha"), [(1, "drop"), (4, "drop"), (4, "white")])
def test_grey_and_rgba(channels: int, alpha: str, as_tensor: bool, collect: Callable[..., Collected]) -> None:
    array = stack(channels=channels)
    source = ArraySource(torch.from_numpy(array).permute(0, 3, 1, 2) if as_tensor else array)

    got = collect(source, alpha=alpha)

    if channels == 1:
        expected = np.repeat(array[2], 3, axis=2).astype(float)
    else:
        opacity = array[2, ..., 3:] / 255 if alpha == "white" else 1
        expected = array[2, ..., :3] * opacity + 255 * (1 - opacity)
    np.testing.assert_allclose(got.images[2], expected, atol=1)
    assert sum(batch.num_transparent for batch in got.batches) == (7 if channels == 4 else 0)


def test_fingerprints_are_of_the_content() -> None:
    array = stack()
    first = ArraySource(array).fingerprint()
    tensor = ArraySource(torch.from_numpy(array).permute(0, 3, 1, 2)).fingerprint()
    changed = array.copy()
    changed[3, 2, 1, 0] ^= 1

    assert tensor.digest == first.digest
    assert ArraySource(changed).fingerprint().digest != first.digest
    assert ArraySource(array.reshape(7, 6, 8, 3)).fingerprint().digest != first.digest
    assert (first.kind, first.description) == ("array", "array 7x8x6x3 uint8")


def test_fingerprints_of_floats_are_of_the_values_as_they_are() -> None:
    """What becomes of a value, such as NaN, is not what it is."""
    array = stack().astype(np.float32) / 255
    array[0, 0, 0, 0] = 0
    unreal = array.copy()
    unreal[0, 0, 0, 0] = np.nan
    digests = [
        ArraySource(given, (0, 1), rounding).fingerprint().digest
        for given, rounding in (
            (array, "round"),
            (unreal, "round"),
            (array, "truncate"),
            (array.astype(np.float64), "round"),
            (array.astype(np.float16), "round"),
        )
    ]
    digests.append(ArraySource(array, (0, 255)).fingerprint().digest)
    digests.append(ArraySource(stack()).fingerprint().digest)

    assert len(set(digests)) == 7


def test_fingerprints_of_floats_in_another_order() -> None:
    array = stack().astype(np.float32) / 255
    same = (array, torch.from_numpy(array).permute(0, 3, 1, 2), array.astype(">f4"))
    other = array.view(">f4")  # the same bytes, other values

    assert len({ArraySource(given, (0, 1)).fingerprint().digest for given in same}) == 1
    assert ArraySource(other, (0, 1)).fingerprint().digest != ArraySource(array, (0, 1)).fingerprint().digest


def test_the_fingerprint_of_a_file_changes_with_it(tmp_path: Path) -> None:
    digests = {NpySource(save(tmp_path, stack(count))).fingerprint().digest for count in (2, 3)}

    assert len(digests) == 2


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (
            np.zeros((2, 8, 6, 3), np.float32),
            "the array is float32 of shape (2, 8, 6, 3), expected uint8 (n, h, w, 3), values 0..255; for values in "
            "[0, 1] give `(x.clip(0, 1) * 255).round().astype(np.uint8)`, for values in [-1, 1] "
            "`((x + 1) * 127.5).round().clip(0, 255).astype(np.uint8)`",
        ),
        (
            torch.zeros(2, 3, 8, 6),
            "the tensor is float32 of shape (2, 3, 8, 6), expected uint8 (n, 3, h, w), values 0..255; for values in "
            "[0, 1] give `(x.clamp(0, 1) * 255).round().to(torch.uint8)`, for values in [-1, 1] "
            "`((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)`",
        ),
        (np.zeros((2, 8, 6, 3), np.int64), "if all values are in 0..255, give `x.astype(np.uint8)`"),
        (torch.zeros(2, 3, 8, 6, dtype=torch.int32), "if all values are in 0..255, give `x.to(torch.uint8)`"),
        (np.zeros((2, 3, 8, 6), np.uint8), "it looks like (n, 3, h, w): give `x.transpose(0, 2, 3, 1)`"),
        (torch.zeros(2, 8, 6, 3, dtype=torch.uint8), "it looks like (n, h, w, 3): give `x.permute(0, 3, 1, 2)`"),
        (np.zeros((2, 3, 8, 3), np.uint8), "this may be (n, h, w, c) as well as (n, c, h, w), and is not guessed"),
        (
            torch.zeros(2, 3, 8, 3, dtype=torch.uint8),
            "this may be (n, c, h, w) as well as (n, h, w, c), and is not guessed",
        ),
        (np.zeros((8, 6, 3), np.uint8), "for one colour image, give `x[None]`"),
        (np.zeros((5, 8, 6), np.uint8), "for grey images, give `x[..., None]`"),
        (torch.zeros(3, 8, 6, dtype=torch.uint8), "for one colour image, give `x[None]`"),
        (torch.zeros(5, 8, 6, dtype=torch.uint8), "for grey images, give `x[:, None]`"),
        (np.zeros((5, 192), np.uint8), "give four dimensions"),
        (torch.zeros(5, 192, dtype=torch.uint8), "give four dimensions"),
        (np.zeros((5, 8, 6, 2), np.uint8), "(1 channel for grey and 4 for RGBA are taken too)"),
        (torch.zeros(5, 2, 8, 6, dtype=torch.uint8), "(1 channel for grey and 4 for RGBA are taken too)"),
        (np.zeros((0, 8, 6, 3), np.uint8), "it holds no image"),
        (torch.zeros(0, 3, 8, 6, dtype=torch.uint8), "it holds no image"),
        (np.zeros((5, 0, 6, 3), np.uint8), "its images have no pixels"),
    ],
)
def test_what_is_no_images_is_refused(array: np.ndarray | torch.Tensor, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        ArraySource(array)

    assert message in str(caught.value)
    assert str(caught.value).startswith("the tensor is" if isinstance(array, torch.Tensor) else "the array is")


class TestNpyFiles:
    def test_nothing_is_loaded_at_once(self, tmp_path: Path) -> None:
        assert isinstance(NpySource(save(tmp_path, stack()))._rows, np.memmap)

    def test_wrong_type(self, tmp_path: Path) -> None:
        path = save(tmp_path, stack() / 255)
        with pytest.raises(SourceError, match=rf"'{path}' is float64 of shape \(7, 8, 6, 3\), expected uint8"):
            NpySource(path)

    def test_pickled_objects_are_never_loaded(self, tmp_path: Path) -> None:
        path = save(tmp_path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
        with pytest.raises(SourceError, match="hold pickled objects, which are never loaded"):
            NpySource(path)

    def test_fortran_order(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match=r"is in Fortran order.*save `np.ascontiguousarray\(x\)`"):
            NpySource(save(tmp_path, np.asfortranarray(stack())))

    @pytest.mark.parametrize("size", [0, 20, 500])
    def test_truncated(self, size: int, tmp_path: Path) -> None:
        path = save(tmp_path, stack())
        path.write_bytes(path.read_bytes()[:size])
        with pytest.raises(SourceError, match=rf"'{path}' is not an \.npy file that can be read .*cut short"):
            NpySource(path)

    def test_an_npz_file(self, tmp_path: Path) -> None:
        path = tmp_path / "x.npz"
        np.savez(path, stack())
        with pytest.raises(SourceError, match=rf"is an \.npz archive; give 'npz:{path}'"):
            NpySource(path)
