"""Small pictures are of the images that were asked for, and what cannot be read again ends nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, TensorDataset

from genmetrics.engine.chosen import Chosen, choose
from genmetrics.engine.options import Options
from genmetrics.engine.thumbnails import thumbnail, thumbnails
from genmetrics.sources.generator import GeneratorSource
from genmetrics.sources.parse import open_source
from support.pictures import pixels_of

ALL = Chosen(None, None, None)


@pytest.fixture
def folder(tmp_path: Path, smooth_images) -> Path:
    for number, image in enumerate(smooth_images(6, 40, 30, seed=1)):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    return tmp_path


@pytest.mark.parametrize(("height", "width"), [(64, 64), (1, 30), (40, 64)])
def test_small_images_stay_as_they_are(smooth_images, height, width):
    image = smooth_images(1, height, width, seed=1)[0]
    found = thumbnail(torch.from_numpy(image).permute(2, 0, 1))
    assert found.address.startswith("data:image/png;")
    assert found.size == (width, height)
    assert np.array_equal(pixels_of(found.address), image)


@pytest.mark.parametrize(
    ("height", "width", "shown"),
    [(65, 20, (65, 20)), (256, 256, (128, 128)), (500, 250, (128, 64)), (2, 900, (1, 128))],
)
def test_larger_ones_become_small(smooth_images, height, width, shown):
    image = smooth_images(1, height, width, seed=1)[0]
    found = thumbnail(torch.from_numpy(image).permute(2, 0, 1))
    assert found.address.startswith("data:image/jpeg;")
    assert found.size == (width, height)
    picture = pixels_of(found.address)
    assert picture.shape[:2] == shown
    # A tenth of the images' own spread: it is this image, and not another.
    assert abs(picture.mean(axis=(0, 1)) - image.mean(axis=(0, 1))).max() < 4


def test_noise_is_small_enough_for_a_page():
    """The worst that there is: a page has at most 152 pictures by default."""
    for side in (64, 512):
        noise = torch.randint(0, 256, (3, side, side), dtype=torch.uint8)
        assert len(thumbnail(noise).address) * 152 < 2_900_000


def test_images_of_a_run_by_their_index(folder):
    source = open_source(folder)
    found = thumbnails(source, choose(source, None, 0), {4, 1}, Options())
    assert set(found) == {1, 4}
    for index, small in found.items():
        assert np.array_equal(pixels_of(small.address), np.asarray(Image.open(folder / f"{index}.png")))


def test_of_a_selection_the_index_is_that_within_it(folder):
    source = open_source(folder)
    chosen = choose(source, 3, 7)
    assert chosen.positions != (0, 1, 2)
    found = thumbnails(source, chosen, {0, 2}, Options())
    for index, small in found.items():
        expected = np.asarray(Image.open(folder / f"{chosen.positions[index]}.png"))
        assert np.array_equal(pixels_of(small.address), expected)
    assert set(found) == {0, 2}


def test_cropped_and_composited_as_in_the_run(tmp_path, smooth_images):
    image = np.dstack((smooth_images(1, 80, 50, seed=1)[0], np.zeros((80, 50), np.uint8)))
    Image.fromarray(image, "RGBA").save(tmp_path / "0.png")
    source = open_source(tmp_path)
    (small,) = thumbnails(source, ALL, {0}, Options(alpha="white", crop="square-32")).values()
    assert small.size == (32, 32)
    assert (pixels_of(small.address) == 255).all()


def test_an_image_that_is_bad_is_left_out(folder):
    source = open_source(folder)
    (folder / "4.png").write_bytes(b"no image")
    assert set(thumbnails(source, ALL, {3, 4, 5}, Options())) == {3, 5}


def test_what_goes_wrong_ends_nothing(folder):
    source = open_source(folder)
    for path in folder.iterdir():
        path.unlink()
    assert thumbnails(source, ALL, {0}, Options()) == {}

    class Failing(Dataset):
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> torch.Tensor:
            if index == 2:
                raise KeyError("gone")
            return torch.full((3, 8, 8), 7, dtype=torch.uint8)

    assert set(thumbnails(open_source(Failing()), ALL, {1, 2}, Options())) == {1}


def test_drawn_images_are_drawn_again():
    source = GeneratorSource(_paint, z_size=4, num_samples=9, value_range=(0, 1), batch_size=4).seeded(5)
    expected = torch.cat([batch.images for batch in source.batches(*_whole())])
    found = thumbnails(source, ALL, {2, 7}, Options())
    for index in (2, 7):
        assert np.array_equal(pixels_of(found[index].address), expected[index].permute(1, 2, 0).numpy())


def test_streams_are_not_read_again():
    """Of one that is used up there would be an error, of another thousands of images would be read for a few."""
    images = torch.zeros((4, 3, 8, 8), dtype=torch.uint8)

    def one_by_one() -> Iterator[torch.Tensor]:
        yield from images

    for given in (one_by_one(), DataLoader(TensorDataset(images))):
        source = open_source(given)
        assert not source.repeatable
        assert thumbnails(source, ALL, {0}, Options()) == {}
    for given in (list(images), images, TensorDataset(images)):
        source = open_source(given)
        assert source.repeatable
        assert set(thumbnails(source, ALL, {3}, Options())) == {3}


def test_labels_and_functions_are_as_what_they_are_of(tmp_path, monkeypatch):
    from genmetrics.sources.labels import label_source

    stream = open_source(iter([torch.zeros((3, 8, 8), dtype=torch.uint8)]))
    assert not label_source(stream, "none").repeatable
    assert label_source(open_source(torch.zeros((2, 3, 8, 8), dtype=torch.uint8)), "none").repeatable
    (tmp_path / "made.py").write_text(
        "import torch\n"
        "def stream():\n    return iter([torch.zeros((3, 8, 8), dtype=torch.uint8)])\n"
        "def tensor():\n    return torch.zeros((2, 3, 8, 8), dtype=torch.uint8)\n"
    )
    assert not open_source(f"python:{tmp_path}/made.py:stream").repeatable
    assert open_source(f"python:{tmp_path}/made.py:tensor").repeatable


def _paint(z: torch.Tensor) -> torch.Tensor:
    return torch.sigmoid(z[:, :3, None, None] * z[:, 3:4, None, None]).expand(-1, 3, 8, 8)


def _whole() -> tuple:
    from genmetrics.sources.base import BatchSpec
    from genmetrics.types import Shard

    return Shard(), BatchSpec()
