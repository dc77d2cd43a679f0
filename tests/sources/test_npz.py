from __future__ import annotations

import io
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from genmetrics.errors import SourceError
from genmetrics.sources.base import BatchSpec
from genmetrics.sources.npz import NpzSource
from genmetrics.types import Shard
from sources.helpers import Collected, pixels

SAVERS = {"stored": np.savez, "deflated": np.savez_compressed}


def stack(count: int = 7, channels: int = 3) -> np.ndarray:
    return np.stack([pixels(index, 8, 6, channels) for index in range(count)])


@pytest.fixture(params=SAVERS)
def save(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Path]:
    def run(*arrays: np.ndarray, **named: np.ndarray) -> Path:
        path = tmp_path / "x.npz"
        SAVERS[request.param](path, *arrays, **named)
        return path

    return run


@pytest.mark.parametrize("workers", [0, 3])
@pytest.mark.parametrize("shards", [1, 2, 9])
def test_every_image_with_its_label(
    shards: int, workers: int, save: Callable[..., Path], collect: Callable[..., Collected]
) -> None:
    labels = np.arange(7, dtype=np.uint16) * 100
    source = NpzSource(save(stack(), labels))

    images, found = {}, {}
    for shard in range(shards):
        got = collect(source, Shard(shard, shards), workers=workers, batch_size=3)
        images |= got.images
        found |= got.labels

    np.testing.assert_array_equal(np.stack([images[index] for index in range(7)]), stack())
    assert found == {index: index * 100 for index in range(7)}


def test_selection(save: Callable[..., Path], collect: Callable[..., Collected]) -> None:
    got = collect(NpzSource(save(stack())), selection=(1, 2, 6))

    for index, position in enumerate((1, 2, 6)):
        np.testing.assert_array_equal(got.images[index], pixels(position, 8, 6))
    assert got.labels == {}


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_rgba(channels: int, save: Callable[..., Path], collect: Callable[..., Collected]) -> None:
    array = stack(channels=channels)
    got = collect(NpzSource(save(array)))

    np.testing.assert_array_equal(got.images[3], np.broadcast_to(array[3, ..., :3], (8, 6, 3)))
    assert sum(batch.num_transparent for batch in got.batches) == (7 if channels == 4 else 0)


def test_other_arrays_beside_the_images_are_left_alone(save: Callable[..., Path]) -> None:
    """The ADM reference batches hold images and statistics."""
    assert len(NpzSource(save(arr_0=stack(), mu=np.zeros(4), sigma=np.eye(4)))) == 7


@pytest.mark.parametrize("shard", [Shard(), Shard(1, 2)])
def test_images_are_streamed(shard: Shard, save: Callable[..., Path]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2000, 32, 32, 3), dtype=np.uint8)
    images[:, :, :, 1] = 0  # so that it does compress
    path, size = save(images), images.nbytes
    del images
    tracemalloc.start()
    try:
        total = sum(len(batch.images) for batch in NpzSource(path).batches(shard, BatchSpec(batch_size=16)))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        with np.load(path) as file:
            file["arr_0"]
        whole = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert total == 2000 // shard.count
    assert whole > size  # the negative control
    assert peak < size / 4


def test_pixels_of_a_stored_array_are_read_where_they_are(
    tmp_path: Path, collect: Callable[..., Collected], monkeypatch: pytest.MonkeyPatch
) -> None:
    from genmetrics.sources.shared_file import SharedFile

    path = tmp_path / "x.npz"
    np.savez(path, stack(200))
    source = NpzSource(path)
    sizes = []
    read = SharedFile.read
    monkeypatch.setattr(SharedFile, "read", lambda self, offset, size: sizes.append(size) or read(self, offset, size))

    collect(source, selection=(3, 199))

    assert sorted(sizes) == [30, 144, 144]


def message(path: Path) -> str:
    with pytest.raises(SourceError) as caught:
        NpzSource(path)
    return str(caught.value)


def test_without_images(save: Callable[..., Path]) -> None:
    path = save(images=stack(), y=np.zeros(3))

    assert message(path) == (
        f"'{path}' holds 'images', 'y'; expected 'arr_0', uint8 (n, h, w, 3), and perhaps 'arr_1' with n integer "
        "labels, as `np.savez(path, images)` writes it"
    )


def test_statistics(save: Callable[..., Path]) -> None:
    path = save(mu=np.zeros(4), sigma=np.eye(4))

    assert message(path).startswith(
        f"'{path}' is a statistics file (it holds 'mu' and 'sigma'), not an image source; for a source, expected"
    )


def test_wrong_type_and_shape(save: Callable[..., Path]) -> None:
    assert "'arr_0' of '" in message(save(stack() / 255))
    assert "is float64 of shape (7, 8, 6, 3), expected uint8 (n, h, w, 3)" in message(save(stack() / 255))
    assert "give `x.transpose(0, 2, 3, 1)`" in message(save(stack().transpose(0, 3, 1, 2)[:, :, :5].copy()))
    assert "it holds no image" in message(save(stack()[:0]))


def test_fortran_order(save: Callable[..., Path]) -> None:
    path = save(np.asfortranarray(stack()))

    assert message(path) == (
        f"'arr_0' of '{path}' is in Fortran order, expected C order; save `np.ascontiguousarray(x)`"
    )


@pytest.mark.parametrize("key", ["arr_0", "arr_1"])
def test_pickled_objects_are_never_loaded(key: str, save: Callable[..., Path]) -> None:
    objects = np.array([print] * 7, dtype=object)

    assert f"'{key}' of " in message(save(**({"arr_0": stack()} | {key: objects})))
    assert "holds pickled Python objects, which are never loaded" in message(
        save(**({"arr_0": stack()} | {key: objects}))
    )


@pytest.mark.parametrize("labels", [np.arange(6), np.zeros(7), np.zeros((7, 2), int), np.zeros(7, bool)])
def test_labels_that_are_none(labels: np.ndarray, save: Callable[..., Path]) -> None:
    path = save(stack(), labels)

    assert message(path) == (
        f"'arr_1' of '{path}' is {labels.dtype} of shape {labels.shape}, expected one integer label for each of "
        "the 7 images; save the images alone, or the labels as `labels.astype(np.int64)`"
    )


@pytest.mark.parametrize("fraction", [0, 0.01, 0.5, 0.99])
def test_a_truncated_file(fraction: float, save: Callable[..., Path]) -> None:
    path = save(stack())
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * fraction)])

    assert message(path).startswith(f"'{path}' is not an .npz file that can be read, or it is damaged or cut short (")


def test_damage_inside_a_compressed_array(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, stack(200))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)

    with pytest.raises(SourceError, match=rf"'{path}' is not an \.npz file .*damaged or cut short .*save it again"):
        list(NpzSource(path).batches(Shard(), BatchSpec()))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_header_that_promises_too_much(method: int, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, stack())
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("arr_0.npy", buffer.getvalue()[:-144])

    assert message(path) == f"'{path}' is damaged: 'arr_0' holds 864 values, its header says 1,008"


def test_the_fingerprint_is_of_the_content(save: Callable[..., Path]) -> None:
    path = save(stack())
    first = NpzSource(path).fingerprint()
    assert NpzSource(path).fingerprint() == first
    # Saved once more it is another file of the same set.
    identity = NpzSource(path).identity()
    again = NpzSource(save(stack()))
    assert (again.identity() == identity, again.fingerprint() == first) == (True, False)
    assert first.kind == "npz"
    changed = stack()
    changed[0, 0, 0, 0] ^= 1
    assert NpzSource(save(changed)).fingerprint().digest != first.digest
    assert NpzSource(save(stack(), np.arange(7))).fingerprint().digest != first.digest
