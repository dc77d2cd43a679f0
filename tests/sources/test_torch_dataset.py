from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, TensorDataset

from genmetrics.errors import BadImageError, SourceError, UsageError
from genmetrics.sources.arrays import ArraySource
from genmetrics.sources.parse import _open, open_source
from genmetrics.sources.torch_dataset import DatasetSource
from genmetrics.types import Shard
from sources.helpers import Collected, pixels

IMAGES = np.stack([pixels(index) for index in range(7)])
TENSORS = torch.from_numpy(IMAGES).permute(0, 3, 1, 2).contiguous()


class Items(Dataset):
    def __init__(self, items: list) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> object:
        item = self.items[index]
        if isinstance(item, Exception):
            raise item
        return item


FORMS: dict[str, Callable[[int], object]] = {
    "tensor": lambda i: TENSORS[i],
    "array": lambda i: IMAGES[i],
    "pillow": lambda i: Image.fromarray(IMAGES[i]),
    "float": lambda i: TENSORS[i] / 255,
    "float64 array": lambda i: IMAGES[i] / 255,
    "pair": lambda i: (TENSORS[i], i),
    "pair with a tensor": lambda i: [Image.fromarray(IMAGES[i]), torch.tensor(i)],
    "triple": lambda i: (IMAGES[i], np.int64(i), "name"),
    "dict": lambda i: {"image": Image.fromarray(IMAGES[i]), "label": i},
    "dict of pixels": lambda i: {"pixel_values": TENSORS[i], "labels": i, "text": "x"},
    "caption": lambda i: (TENSORS[i], "a dog"),
}


@pytest.mark.parametrize("shards", [1, 3, 9])
@pytest.mark.parametrize("form", FORMS)
def test_every_image(form: str, shards: int, collect: Callable[..., Collected]) -> None:
    stated = {"value_range": (0, 1)} if "float" in form else {}
    source = open_source(Items([FORMS[form](index) for index in range(7)]), **stated)
    images: dict[int, np.ndarray] = {}
    labels: dict[int, int] = {}
    for shard in range(shards):
        got = collect(source, Shard(shard, shards), workers=shard % 3, batch_size=3)
        assert not images.keys() & got.images.keys()
        images |= got.images
        labels |= got.labels

    assert type(source) is DatasetSource
    assert len(source) == 7
    np.testing.assert_array_equal(np.stack([images[index] for index in range(7)]), IMAGES)
    has_labels = any(word in form for word in ("pair", "triple", "dict"))
    assert labels == ({index: index for index in range(7)} if has_labels else {})


def test_a_selection(collect: Callable[..., Collected]) -> None:
    got = collect(open_source(Items(list(TENSORS))), selection=(1, 4, 6))

    for row, position in enumerate((1, 4, 6)):
        np.testing.assert_array_equal(got.images[row], IMAGES[position])


def test_items_are_read_in_the_calling_thread_and_can_be_used_again(collect: Callable[..., Collected]) -> None:
    import threading

    seen = set()
    buffer = torch.empty(3, 8, 6, dtype=torch.uint8)

    class OneBuffer(Dataset):
        def __len__(self) -> int:
            return 7

        def __getitem__(self, index: int) -> torch.Tensor:
            seen.add(threading.current_thread())
            return buffer.copy_(TENSORS[index])

    got = collect(open_source(OneBuffer()), workers=3, batch_size=2)

    np.testing.assert_array_equal(np.stack([got.images[index] for index in range(7)]), IMAGES)
    assert seen == {threading.current_thread()}


def test_grey_rgba_and_mixed_sizes(collect: Callable[..., Collected]) -> None:
    items = [TENSORS[0, :1], Image.fromarray(IMAGES[1]).convert("RGBA"), pixels(3, 5, 4)]
    got = collect(open_source(Items(items)))

    np.testing.assert_array_equal(got.images[0], np.repeat(IMAGES[0, ..., :1], 3, axis=2))
    np.testing.assert_array_equal(got.images[1], IMAGES[1])
    assert got.images[2].shape == (5, 4, 3)


def test_a_pillow_image_of_the_dataset_is_not_changed(collect: Callable[..., Collected]) -> None:
    image = Image.fromarray(IMAGES[0]).convert("P")
    hidden = image.info["transparency"] = image.getpixel((0, 0))
    source = open_source(Items([image]))

    white = [collect(source, alpha="white").images[0].tolist() for _ in range(2)]

    assert image.info["transparency"] == hidden
    assert white[0] == white[1] != collect(source).images[0].tolist()


def test_only_a_tensor_dataset_has_a_digest() -> None:
    first = open_source(TensorDataset(TENSORS, torch.arange(7))).fingerprint()
    other = open_source(TensorDataset(TENSORS + 1, torch.arange(7))).fingerprint()
    halves = [
        open_source(TensorDataset(TENSORS / 255), value_range=(0, 1), rounding=way).fingerprint().digest
        for way in ("round", "truncate")
    ]

    assert (first.kind, first.description) == ("dataset", "TensorDataset of 7 items")
    assert first.digest == open_source(TensorDataset(TENSORS.clone(), torch.arange(7))).fingerprint().digest
    assert len({first.digest, other.digest, *halves}) == 4
    assert open_source(Items(list(TENSORS))).fingerprint().digest is None


def test_a_hub_dataset_in_memory(collect: Callable[..., Collected]) -> None:
    datasets = pytest.importorskip("datasets", reason="pip install 'genmetrics[hf]'")
    made = datasets.Dataset.from_list(
        [{"image": Image.fromarray(image), "label": index} for index, image in enumerate(IMAGES)],
        features=datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")}),
    )
    got = collect(open_source(made))

    np.testing.assert_array_equal(got.images[5], IMAGES[5])
    assert got.labels[5] == 5


def test_an_item_that_fails(collect: Callable[..., Collected]) -> None:
    source = open_source(Items([TENSORS[0], OSError("disk on fire"), TENSORS[2]]))

    with pytest.raises(
        BadImageError, match="item 1 of the dataset: reading it failed: OSError: disk on fire"
    ) as caught:
        collect(source)
    assert isinstance(caught.value.__cause__.__cause__, OSError)
    got = collect(source, on_bad_image="skip")
    assert sorted(got.images) == [0, 2]
    assert got.skipped == [("item 1 of the dataset", "reading it failed: OSError: disk on fire")]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            3,
            "item 0 of the dataset is a int, expected an image (a tensor (3, h, w), a numpy array (h, w, 3) or",
        ),
        (("a.png", 1), "item 0 of the dataset is a tuple of str, int, expected an image"),
        ((TENSORS[0], TENSORS[1]), "item 0 of the dataset has two images, and it is not guessed which one counts"),
        (
            {"x": TENSORS[0], "y": 1},
            "item 0 of the dataset is a dict with 'x', 'y', expected one of 'image', 'img', 'pixel_values' in it;",
        ),
        ({"image": TENSORS[0], "img": TENSORS[0]}, "is a dict with 'image', 'img', expected one of"),
        ({"image": "a.png"}, "'image' of item 0 of the dataset is a str, expected an image"),
        (
            TENSORS,
            "item 0 of the dataset is a batch of shape (7, 3, 8, 6), expected one image; give the dataset in",
        ),
        (
            TENSORS[0].permute(1, 2, 0),
            "item 0 of the dataset is uint8 of shape (8, 6, 3), expected (3, h, w); its channels seem to be at the "
            "other end: give `x.permute(2, 0, 1)`",
        ),
        (
            IMAGES[0].transpose(2, 0, 1),
            "is uint8 of shape (3, 8, 6), expected (h, w, 3); its channels seem to be at the other end: give "
            "`x.transpose(1, 2, 0)`",
        ),
        (TENSORS[0, :, :3, :3], "is uint8 of shape (3, 3, 3), expected (3, h, w); its channels may be at either end"),
        (TENSORS[0, 0], "is uint8 of shape (8, 6), expected (3, h, w); for a grey image, give `x[None]`"),
        (IMAGES[0, :, :, 0], "for a grey image, give `x[..., None]`"),
        (TENSORS[0, :2], "is uint8 of shape (2, 8, 6), expected (3, h, w) (1 channel for grey and 4 for RGBA"),
        (TENSORS[0, :, :0], "it has no pixels"),
        (
            TENSORS[0] / 255,
            "item 0 of the dataset is float32, and the range of its values is not known; say what they run from and "
            "to: value_range=(0, 1), value_range=(-1, 1) or value_range=(0, 255)",
        ),
        (
            TENSORS[0].long(),
            "item 0 of the dataset is int64, expected uint8 0..255, or floats with a stated value_range",
        ),
    ],
)
def test_what_is_no_image(item: object, message: str, collect: Callable[..., Collected]) -> None:
    with pytest.raises(SourceError) as caught:
        collect(open_source(Items([item])), on_bad_image="skip")
    assert message in str(caught.value)


@pytest.mark.parametrize("item", [TENSORS[0], Image.fromarray(IMAGES[0])])
def test_a_range_for_uint8_items(item: object, collect: Callable[..., Collected]) -> None:
    with pytest.raises(UsageError, match=r"value_range=\(-1, 1\) was given, and item 0 of the dataset.* is uint8"):
        collect(open_source(Items([item]), value_range=(-1, 1)))


def test_an_empty_dataset() -> None:
    with pytest.raises(SourceError, match="the dataset, a Items, is empty; expected at least one image"):
        open_source(Items([]))


def test_labels_that_are_none(collect: Callable[..., Collected]) -> None:
    for label in (-1, True, 0.5, torch.tensor([0.1, 0.9]), None):
        assert collect(open_source(Items([(TENSORS[0], label)]))).labels == {}


def test_a_kind_that_does_not_go_with_it() -> None:
    assert type(open_source(Items([TENSORS[0]]), kind="dataset")) is DatasetSource
    with pytest.raises(UsageError, match="kind='zip' was given with a Items; expected 'dataset' or none"):
        open_source(Items([TENSORS[0]]), kind="zip")
    assert type(open_source(TENSORS)) is ArraySource


def test_modules_and_single_images_are_no_sources() -> None:
    with pytest.raises(UsageError, match=r"a Linear, an nn.Module, .*give `gm.GeneratorSource\(module, z_size=…"):
        _open(torch.nn.Linear(1, 1), None)
    with pytest.raises(UsageError, match="a Image cannot be a source; expected a path"):
        _open(Image.fromarray(IMAGES[0]), None)
