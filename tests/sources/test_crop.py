"""Centre crops, against transcriptions of the tools that define them and against torch-fidelity's own transform."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genmetrics.errors import BadImageError, UsageError
from genmetrics.preprocess.crop_id import CROPS
from genmetrics.sources import crop as crop_module
from genmetrics.sources.base import BatchSpec
from genmetrics.sources.crop import Crop, parse_crop
from genmetrics.sources.folder import FolderSource
from genmetrics.types import Shard
from sources.helpers import Collected, pixels, png
from support.peers import import_peer

#: Heights and widths: landscape, portrait, odd remainders, far larger, smaller, square, one side right already.
SIZES = [(31, 64), (64, 31), (47, 40), (40, 47), (300, 171), (129, 260), (9, 14), (90, 90), (32, 57), (32, 33), (5, 5)]
SIZE = 32


def adm(image: Image.Image, size: int) -> np.ndarray:
    """openai/guided-diffusion, image_datasets.py, center_crop_arr at 8fb3ad9, as DiT has it too."""
    while min(*image.size) >= 2 * size:
        image = image.resize(tuple(x // 2 for x in image.size), resample=Image.BOX)
    scale = size / min(*image.size)
    image = image.resize(tuple(round(x * scale) for x in image.size), resample=Image.BICUBIC)
    arr = np.array(image)
    crop_y = (arr.shape[0] - size) // 2
    crop_x = (arr.shape[1] - size) // 2
    return arr[crop_y : crop_y + size, crop_x : crop_x + size]


def torchvision(interpolation: str) -> Callable[[Image.Image, int], np.ndarray]:
    def run(image: Image.Image, size: int) -> np.ndarray:
        transforms = import_peer("torch_fidelity.utils").torchvision.transforms
        mode = transforms.InterpolationMode[interpolation]
        resize = transforms.Resize(size, interpolation=mode)
        return np.asarray(transforms.Compose([resize, transforms.CenterCrop(size)])(image))

    return run


def square(image: Image.Image, size: int) -> np.ndarray:
    """NVlabs/edm and stylegan2-ada-pytorch, dataset_tool.py, center_crop."""
    img = np.array(image)
    crop = np.min(img.shape[:2])
    img = img[
        (img.shape[0] - crop) // 2 : (img.shape[0] + crop) // 2, (img.shape[1] - crop) // 2 : (img.shape[1] + crop) // 2
    ]
    return np.array(Image.fromarray(img).resize((size, size), Image.LANCZOS))


ORIGINALS = {
    "adm": adm,
    "pil-bicubic": torchvision("BICUBIC"),
    "pil-bilinear": torchvision("BILINEAR"),
    "square": square,
}


def test_every_algorithm_is_tested_and_carried_out() -> None:
    assert set(ORIGINALS) == set(CROPS) == set(crop_module._ALGORITHMS)


@pytest.mark.parametrize("algorithm", CROPS)
@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("size", [SIZE, 33])
def test_equals_the_original(algorithm: str, height: int, width: int, size: int) -> None:
    array = pixels(height * width, height, width)

    found = parse_crop(f"{algorithm}-{size}")(array)

    np.testing.assert_array_equal(found, ORIGINALS[algorithm](Image.fromarray(array), size))
    assert found.shape == (size, size, 3)


def test_torch_fidelitys_own_transform(tmp_path: Path, collect: Callable[..., Collected]) -> None:
    """What ``samples_resize_and_crop`` makes of a folder, through its own dataset."""
    utils = import_peer("torch_fidelity.utils")
    for index, (height, width) in enumerate(SIZES):
        (tmp_path / f"{index:02}.png").write_bytes(png(pixels(index, height, width)))
    options = {"samples_resize_and_crop": SIZE, "samples_find_deep": False, "samples_find_ext": "png", "verbose": False}
    peer = utils.prepare_input_from_descriptor(
        {"input": str(tmp_path), **dict.fromkeys(("input_cache_name", "input_model_z_type"))}, **options
    )

    got = collect(FolderSource(tmp_path), crop=f"pil-bilinear-{SIZE}", workers=2)

    assert len(peer) == len(SIZES)
    for index in range(len(SIZES)):
        np.testing.assert_array_equal(got.images[index], peer[index].permute(1, 2, 0).numpy())


def test_the_algorithms_differ() -> None:
    """Negative control: no crop passes for another."""
    array = pixels(0, 150, 90)
    results = [parse_crop(f"{algorithm}-{SIZE}")(array) for algorithm in CROPS]
    for index, result in enumerate(results):
        for other in results[:index]:
            assert not np.array_equal(result, other)


@pytest.mark.parametrize("algorithm", CROPS)
def test_an_image_of_the_size_is_unchanged(algorithm: str) -> None:
    array = pixels(0, SIZE, SIZE)
    array.setflags(write=False)

    assert parse_crop(f"{algorithm}-{SIZE}")(array) is array


@pytest.mark.parametrize("workers", [0, 3])
def test_batches_are_of_one_size(workers: int, tmp_path: Path, collect: Callable[..., Collected]) -> None:
    for index, (height, width) in enumerate(SIZES):
        (tmp_path / f"{index:02}.png").write_bytes(png(pixels(index, height, width)))

    got = collect(FolderSource(tmp_path), crop="adm-16", workers=workers, batch_size=4)

    assert [shape for shape, _ in got.shape_of_batches] == [(4, 3, 16, 16), (4, 3, 16, 16), (3, 3, 16, 16)]
    for index, (height, width) in enumerate(SIZES):
        np.testing.assert_array_equal(got.images[index], Crop("adm", 16)(pixels(index, height, width)))


def test_an_extreme_shape_is_a_bad_image(
    tmp_path: Path, collect: Callable[..., Collected], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.png").write_bytes(png(pixels(0, 1, 300)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 32 * 32 * 300 - 1)

    with pytest.raises(BadImageError, match=r"x\.png: 300x1 with its shorter side at 32 has 307,200 pixels, the limit"):
        collect(FolderSource(tmp_path), crop="pil-bicubic-32")


def test_ids() -> None:
    assert parse_crop("pil-bicubic-256") == Crop("pil-bicubic", 256)
    assert parse_crop("pil-bicubic-256").id == "pil-bicubic-256"


@pytest.mark.parametrize("text", ["pil-bicubc-256", "256", "adm", "adm-0256", "adm-256x256", ""])
def test_unknown_crops(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        parse_crop(text)
    assert str(caught.value) == (
        f"unknown crop '{text}'; expected <algorithm>-<size>, such as adm-256, pil-bicubic-256, pil-bilinear-256, "
        "square-256"
    )
    (tmp_path / "x.png").write_bytes(png(pixels(0)))
    with pytest.raises(UsageError, match="unknown crop"):  # at once, before any image is asked for
        FolderSource(tmp_path).batches(Shard(), BatchSpec(crop=text))
