"""Preprocessings as data, and the steps that they stand for."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch

from genmetrics.errors import UnknownNameError, UsageError
from genmetrics.preprocess import spec
from genmetrics.preprocess.on_cpu import normalise, share_out
from genmetrics.preprocess.spec import PREPROCESS, Preprocess, get_preprocess, with_crop
from support.late_device import waiting_is_an_error


def images(count: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 3, height, width), dtype=np.uint8)
    return torch.from_numpy(pixels)


@pytest.mark.parametrize("name", PREPROCESS)
@pytest.mark.parametrize(("height", "width"), [(32, 32), (300, 211), (1, 1), (640, 480)])
def test_output_is_float32_of_the_declared_size(name: str, height: int, width: int) -> None:
    preprocess = get_preprocess(name)
    out = preprocess(images(3, height, width))
    assert out.shape == (3, 3, *(preprocess.size or (height, width)))
    assert out.dtype == torch.float32
    assert bool(torch.isfinite(out).all())


@pytest.mark.parametrize("name", PREPROCESS)
def test_id_is_the_key_and_names_the_size(name: str) -> None:
    preprocess = PREPROCESS[name]
    assert preprocess.id == name
    if preprocess.size is None:
        assert preprocess.resizer == "none" and name.startswith("native-")
    else:
        assert f"-{preprocess.size[0]}-" in f"{name}-"
        assert (preprocess.resizer in spec.RESIZERS) != (preprocess.resizer in spec.BYTE_RESIZERS)


# What the published code does to black, grey and white: (x - 128) / 128, 2x - 1 of x / 255, (x - 127) / 128.
@pytest.mark.parametrize(
    ("name", "black", "grey", "white"),
    [
        ("tf1-bilinear-299", -1.0, 0.0, 127 / 128),
        ("torch-bilinear-299", -1.0, 2 * 128 / 255 - 1, 1.0),
        ("crop875-bicubic-224", -127 / 128, 1 / 128, 1.0),
        ("pil-bicubic-f32-299", -1.0, 0.0, 127 / 128),
        ("native-sym", -1.0, 128 / 127.5 - 1, 1.0),
        ("native-255", 0.0, 128.0, 255.0),
    ],
)
def test_normalisation_of_even_images(name: str, black: float, grey: float, white: float) -> None:
    for level, expected in ((0, black), (128, grey), (255, white)):
        out = get_preprocess(name)(torch.full((1, 3, 40, 50), level, dtype=torch.uint8))
        np.testing.assert_allclose(out.numpy(), expected, rtol=0, atol=2e-6)


def test_channels_are_normalised_each_by_its_own() -> None:
    own = Preprocess("own-4", "torch-bilinear", (4, 4), (10.0, 20.0, 30.0), (1.0, 2.0, 4.0))
    out = own(torch.full((1, 3, 4, 4), 50, dtype=torch.uint8))
    assert out[0, :, 0, 0].tolist() == [40.0, 15.0, 5.0]
    assert bool((out == out[:, :, :1, :1]).all())


def test_division_comes_before_the_mean() -> None:
    own = Preprocess("own-2", "torch-bilinear", (2, 2), (0.5,) * 3, (0.25,) * 3, divisor=255.0)
    out = own(torch.full((1, 3, 2, 2), 51, dtype=torch.uint8))
    np.testing.assert_allclose(out.numpy(), (0.2 - 0.5) / 0.25, rtol=1e-6)


@pytest.mark.parametrize("name", PREPROCESS)
def test_images_do_not_influence_one_another(name: str) -> None:
    """Also where a batch is resized in several goes."""
    preprocess, batch = get_preprocess(name), images(5, 640, 500)
    assert batch[0, 0].numel() * 5 > spec._CPU_PIXELS, "the batch must be more than is resized in one go"
    together = preprocess(batch)
    for index in range(5):
        assert torch.equal(preprocess(batch[index : index + 1])[0], together[index])


@pytest.mark.parametrize("name", PREPROCESS)
def test_memory_layout_does_not_matter(name: str) -> None:
    preprocess, batch = get_preprocess(name), images(2, 60, 45)
    expected = preprocess(batch)
    views = torch.from_numpy(batch.permute(0, 2, 3, 1).numpy().copy()).permute(0, 3, 1, 2)
    assert not views.is_contiguous()
    torch.testing.assert_close(preprocess(views), expected, rtol=0, atol=1e-6)


def test_input_is_not_changed() -> None:
    batch = images(2, 50, 50)
    before = batch.clone()
    for preprocess in PREPROCESS.values():
        preprocess(batch)
    assert torch.equal(batch, before)


@pytest.mark.parametrize("name", PREPROCESS)
def test_empty_batch(name: str) -> None:
    preprocess = get_preprocess(name)
    assert preprocess(torch.empty((0, 3, 9, 9), dtype=torch.uint8)).shape == (0, 3, *(preprocess.size or (9, 9)))


@pytest.mark.parametrize(
    ("height", "width"), [(256, 256), (100, 300), (301, 200), (7, 5), (9, 9), (1, 1), (8, 11), (333, 334)]
)
def test_centre_crop_is_efficientnets(height: int, width: int) -> None:
    """TensorFlow's: side = int(224 / (224 + 32) · shorter), offset = (length - side + 1) // 2."""
    shorter = min(height, width)
    side = max(1, 7 * shorter // 8)
    top, left = (height - side + 1) // 2, (width - side + 1) // 2
    batch = images(2, height, width)
    # At the crop's own size the resize does nothing, so that the pixels show where the crop lies.
    crop_only = Preprocess("crop", "torch-bilinear", (side, side), (0.0,) * 3, (1.0,) * 3, crop=0.875)
    expected = batch[:, :, top : top + side, left : left + side].float()
    assert torch.equal(crop_only(batch), expected)


def test_other_crop_offsets_would_be_noticed() -> None:
    """Negative control: rounding the offset down would shift the crop by a pixel where the rest is odd."""
    crop_only = Preprocess("crop", "torch-bilinear", (8, 8), (0.0,) * 3, (1.0,) * 3, crop=0.875)
    odd = images(1, 10, 11)
    assert torch.equal(crop_only(odd), odd[:, :, 1:9, 2:10].float())
    assert not torch.equal(crop_only(odd), odd[:, :, 1:9, 1:9].float())


def test_spec_is_frozen_and_its_fields_are_all_reported() -> None:
    preprocess = PREPROCESS["crop875-bicubic-224"]
    with pytest.raises(FrozenInstanceError):
        preprocess.crop = None  # type: ignore[misc]
    assert preprocess.as_dict() == {
        "id": "crop875-bicubic-224",
        "resizer": "torch-bicubic-antialias",
        "size": (224, 224),
        "mean": (127.0, 127.0, 127.0),
        "std": (128.0, 128.0, 128.0),
        "divisor": 1.0,
        "crop": 0.875,
        "source_crop": None,
    }


def test_fields_that_came_later_are_recorded_where_they_do_something() -> None:
    """So that statistics that were recorded before them still compare, and others do not."""
    square = PREPROCESS["square-pil-bicubic-224-clip"].as_dict()
    assert (square["fit"], square["divide_after"]) == ("square", True)
    squashed = PREPROCESS["pil-bicubic-224-imagenet"].as_dict()
    assert "fit" not in squashed and squashed["divide_after"] is True
    assert len({str(preprocess.as_dict() | {"id": ""}) for preprocess in PREPROCESS.values()}) == len(PREPROCESS)


def test_a_crop_at_the_source_is_named_and_changes_nothing_else() -> None:
    name = with_crop("adm-256", "tf1-bilinear-299")
    cropped, base = get_preprocess(name), get_preprocess("tf1-bilinear-299")

    assert name == cropped.id == "adm-256+tf1-bilinear-299"
    assert cropped.as_dict() == base.as_dict() | {"id": name, "source_crop": "adm-256"}
    assert torch.equal(cropped(images(2, 60, 45)), base(images(2, 60, 45)))
    assert with_crop(None, "tf1-bilinear-299") == "tf1-bilinear-299"


def test_unknown_preprocessing_after_a_crop() -> None:
    with pytest.raises(UnknownNameError, match=r"^unknown preprocessing 'tf1-bilinear-29'; did you mean"):
        get_preprocess("adm-256+tf1-bilinear-29")


@pytest.mark.parametrize("crop", ["", "adm", "adm-0", "amd-256", "adm-256+adm-256"])
def test_unknown_crop_before_a_preprocessing(crop: str) -> None:
    with pytest.raises(
        UsageError, match=rf"^unknown crop '{re.escape(crop)}'; .*expected <algorithm>-<size>, such as adm"
    ):
        get_preprocess(f"{crop}+tf1-bilinear-299")


def test_unknown_preprocessing() -> None:
    with pytest.raises(
        UnknownNameError,
        match=r"^unknown preprocessing 'tf-bilinear-299'; did you mean 'tf1-bilinear-299' or ",
    ):
        get_preprocess("tf-bilinear-299")


@pytest.mark.gpu
@pytest.mark.parametrize("name", sorted(PREPROCESS))
def test_a_gpu_is_not_waited_for_and_gives_the_same(name: str) -> None:
    images = torch.randint(0, 256, (3, 3, 250, 310), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    preprocess = get_preprocess(name)
    expected, on_gpu = preprocess(images), images.cuda()
    preprocess(on_gpu)  # page-locked blocks are made here
    with waiting_is_an_error():
        found = preprocess(on_gpu)
    # 0.005 of 255, as between torch and Pillow, on the scale of the network's input.
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=0.005 / (preprocess.divisor * min(preprocess.std)))


@pytest.mark.parametrize("name", PREPROCESS)
@pytest.mark.parametrize(("height", "width"), [(40, 52), (331, 300)])
def test_threads_and_torch_alone_give_the_same_bits(name: str, height: int, width: int, monkeypatch) -> None:
    """What runs on a GPU, in torch for the whole batch, and what runs on a CPU in any number of threads."""
    preprocess = PREPROCESS[name]
    batch = images(6, height, width)
    cut = batch if preprocess.crop is None else spec._centre_square(batch, preprocess.crop)
    cut = spec._square(cut) if preprocess.fit == "square" else cut
    alone = preprocess._normalised(cut)
    for threads in (1, 2, 3):
        monkeypatch.setattr(spec.torch, "get_num_threads", lambda threads=threads: threads)
        assert torch.equal(preprocess(batch), alone), threads


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_an_error_in_a_thread_gets_through(threads: int) -> None:
    def fail(part: slice) -> None:
        if part.stop == 6:
            raise ZeroDivisionError("a defect")

    with pytest.raises(ZeroDivisionError, match="a defect"):
        share_out(6, threads, fail)


@pytest.mark.parametrize("count", [0, 1, 2, 5, 12])
@pytest.mark.parametrize("threads", [1, 2, 3, 40])
def test_each_image_is_shared_out_once(count: int, threads: int) -> None:
    seen: list[int] = []
    share_out(count, threads, lambda part: seen.extend(range(count)[part]))
    assert sorted(seen) == list(range(count))


@pytest.mark.parametrize("std", [(128.0, 128.0, 1.0), (0.2, 0.3, 57.0)])
def test_products_with_the_reciprocal_are_taken_only_where_they_are_the_quotient(std: tuple) -> None:
    image = torch.rand(3, 50, 50) * 255
    expected = (image / 255 - torch.tensor([0.5, 3.0, 0.0])[:, None, None]) / torch.tensor(std)[:, None, None]
    found = image.clone()
    normalise(found.numpy(), 255.0, (0.5, 3.0, 0.0), std)
    assert torch.equal(found, expected)
