from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    TensorDataset,
    WeightedRandomSampler,
)
from torch.utils.data.distributed import DistributedSampler

from genmetrics.errors import SourceError, UsageError
from genmetrics.sources.base import BatchSpec, ImageSource
from genmetrics.sources.parse import open_source
from genmetrics.sources.streams import IterableSource, LoaderSource
from genmetrics.sources.torch_dataset import DatasetSource
from genmetrics.types import Shard
from sources.helpers import Collected, pixels

IMAGES = np.stack([pixels(index) for index in range(7)])
TENSORS = torch.from_numpy(IMAGES).permute(0, 3, 1, 2).contiguous()
SET = TensorDataset(TENSORS, torch.arange(7))


class Stream(IterableDataset):
    """As an IterableDataset should be: each worker gives its own share."""

    def __iter__(self) -> Iterator[torch.Tensor]:
        info = torch.utils.data.get_worker_info()
        start, step = (info.id, info.num_workers) if info else (0, 1)
        return iter(TENSORS[start::step])


def pillow(batch: list[tuple[torch.Tensor, torch.Tensor]]) -> list[Image.Image]:
    return [Image.fromarray(image.permute(1, 2, 0).numpy()) for image, _ in batch]


def pairs(batch: list) -> list:
    return batch


def dicts(batch: list[tuple[torch.Tensor, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {"image": torch.stack([image for image, _ in batch]), "label": torch.stack([label for _, label in batch])}


class Again:
    """Iterable again and again, without a length."""

    def __init__(self, make: Callable[[], Iterator[object]]) -> None:
        self.make = make

    def __iter__(self) -> Iterator[object]:
        return self.make()


SIZED: dict[str, Callable[[], object]] = {
    "loader": lambda: DataLoader(SET, batch_size=3),
    "loader with workers": lambda: DataLoader(SET, batch_size=2, num_workers=2),
    "loader of floats": lambda: DataLoader(TensorDataset(TENSORS / 255), batch_size=3),
    "loader of Pillow images": lambda: DataLoader(SET, batch_size=3, collate_fn=pillow),
    "loader of pairs": lambda: DataLoader(SET, batch_size=3, collate_fn=pairs),
    "loader of dicts": lambda: DataLoader(SET, batch_size=3, collate_fn=dicts),
    "loader with a batch sampler": lambda: DataLoader(
        SET, batch_sampler=BatchSampler(SequentialSampler(SET), 4, drop_last=False)
    ),
    "list of images": lambda: list(TENSORS),
    "list of arrays": lambda: list(IMAGES),
    "list of batches": lambda: [TENSORS[:3], IMAGES[3:]],
    "list of pairs": lambda: [(image, index) for index, image in enumerate(TENSORS)],
    "tuple of Pillow images": lambda: tuple(Image.fromarray(image) for image in IMAGES),
}
UNSIZED: dict[str, Callable[[], object]] = {
    "stream": Stream,
    "loader of a stream": lambda: DataLoader(Stream(), batch_size=3),
    "loader without batches": lambda: DataLoader(SET, batch_size=None),
    "generator": lambda: iter([(TENSORS[:3], torch.arange(3)), (TENSORS[3:], [3, 4, 5, 6])]),
    "iterable of arrays": lambda: Again(lambda: iter([IMAGES[:1], IMAGES[1:]])),
}


@pytest.mark.parametrize("shards", [1, 3, 9])
@pytest.mark.parametrize("form", SIZED | UNSIZED)
def test_every_image_once(form: str, shards: int, collect: Callable[..., Collected]) -> None:
    stated = {"value_range": (0, 1)} if "floats" in form else {}
    images: dict[int, np.ndarray] = {}
    labels: dict[int, int] = {}
    for shard in range(shards):
        source = open_source((SIZED | UNSIZED)[form](), **stated)
        got = collect(source, Shard(shard, shards), workers=shard % 2, batch_size=2)
        assert not images.keys() & got.images.keys()
        images |= got.images
        labels |= got.labels

    np.testing.assert_array_equal(np.stack([images[index] for index in range(7)]), IMAGES)
    assert sorted(images) == list(range(7))
    assert labels in ({}, {index: index for index in range(7)})
    assert bool(labels) == any(word in form for word in ("pairs", "dicts", "generator", "sampler", "workers")) or (
        form in ("loader", "loader without batches")
    )
    assert source.fingerprint().digest is None
    assert source.kind == ("loader" if "loader" in form else "iterable")


@pytest.mark.parametrize("form", SIZED)
def test_a_length_that_is_known(form: str) -> None:
    assert len(open_source(SIZED[form](), **({"value_range": (0, 1)} if "floats" in form else {}))) == 7


@pytest.mark.parametrize("form", UNSIZED)
def test_a_length_that_is_not_known(form: str) -> None:
    source = open_source(UNSIZED[form]())
    with pytest.raises(TypeError, match=r"(loader|iterable) '.*' does not say how many images it gives"):
        len(source)


@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("form", ["loader", "stream", "generator", "list of batches"])
def test_a_selection(form: str, shards: int, collect: Callable[..., Collected]) -> None:
    images: dict[int, np.ndarray] = {}
    for shard in range(shards):
        images |= collect(open_source((SIZED | UNSIZED)[form]()), Shard(shard, shards), selection=(1, 3, 4)).images

    assert {row: image.tolist() for row, image in images.items()} == {
        row: IMAGES[position].tolist() for row, position in enumerate((1, 3, 4))
    }


def test_a_stream_is_read_up_to_the_last_wanted_image(collect: Callable[..., Collected]) -> None:
    def endless() -> Iterator[torch.Tensor]:
        while True:
            yield from TENSORS

    assert sorted(collect(open_source(endless()), selection=(1, 9)).images) == [0, 1]
    with pytest.raises(SourceError, match=r"iterable 'list_iterator' gave 1 image, expected 2: it does not give what"):
        collect(open_source(iter(list(TENSORS))), selection=(1, 9))


def test_a_number_of_samples(collect: Callable[..., Collected]) -> None:
    for shards in (1, 3):
        images: dict[int, np.ndarray] = {}
        for shard in range(shards):
            source = IterableSource(Again(lambda: iter(TENSORS)), num_samples=5)
            images |= collect(source, Shard(shard, shards)).images
        assert sorted(images) == list(range(5))
    assert len(source) == 5
    with pytest.raises(SourceError, match="gave 7 images, expected 8"):
        collect(IterableSource(iter(TENSORS), num_samples=8))
    with pytest.raises(UsageError, match="num_samples is 0, expected at least 1"):
        IterableSource(iter(TENSORS), num_samples=0)


def test_an_iterator_is_read_once(collect: Callable[..., Collected]) -> None:
    source = open_source(iter(list(TENSORS)))
    collect(source)

    with pytest.raises(SourceError) as caught:
        collect(source)
    assert str(caught.value) == (
        "the list_iterator can be read only once, and has been; give an object that can be iterated again, such as a "
        "list, a DataLoader or an IterableDataset"
    )


@pytest.mark.parametrize("form", ["loader", "stream", "list of images"])
def test_other_objects_are_read_again(form: str, collect: Callable[..., Collected]) -> None:
    source = open_source((SIZED | UNSIZED)[form]())
    assert [sorted(collect(source).images) for _ in range(2)] == [list(range(7))] * 2


def test_a_distributed_sampler_is_refused() -> None:
    sampler = DistributedSampler(SET, num_replicas=2, rank=0)
    for loader in (DataLoader(SET, sampler=sampler), DataLoader(SET, batch_sampler=BatchSampler(sampler, 2, False))):
        with pytest.raises(UsageError, match=r"DistributedSampler, which repeats images .* give a loader without it"):
            open_source(loader)


def test_a_shuffled_loader(collect: Callable[..., Collected]) -> None:
    for loader in (
        DataLoader(SET, batch_size=2, shuffle=True),
        DataLoader(SET, batch_sampler=BatchSampler(RandomSampler(SET), 2, False)),
    ):
        source = open_source(loader)
        got = collect(source)

        assert sorted(image.tobytes() for image in got.images.values()) == sorted(image.tobytes() for image in IMAGES)
        assert source.notes == (
            "the loader may give another order in every run: draws by position, such as --num, differ",
        )
        with pytest.raises(UsageError, match="a loader that shuffles cannot be shared out to 2 ranks: each would see"):
            source.batches(Shard(0, 2), BatchSpec())


def test_a_loader_that_repeats() -> None:
    loader = DataLoader(SET, sampler=WeightedRandomSampler([1.0] * 7, 20))
    assert "images may occur more than once" in open_source(loader).notes[1]
    assert len(open_source(loader)) == 20


def test_dropped_images_are_noted(collect: Callable[..., Collected]) -> None:
    source = open_source(DataLoader(SET, batch_size=3, drop_last=True))

    assert len(source) == 6
    assert sorted(collect(source).images) == list(range(6))
    assert source.notes == ("1 image left out by the loader's drop_last=True",)


def test_a_stream_read_by_several_workers(collect: Callable[..., Collected]) -> None:
    source = open_source(DataLoader(Stream(), batch_size=2, num_workers=2))

    assert len(collect(source).images) == 7
    assert source.notes == ("an IterableDataset read by 2 workers: each must give its own share of the images",)


@pytest.mark.parametrize("extra", [-1, 1])
def test_a_loader_that_gives_fewer_or_more_than_it_said(extra: int, collect: Callable[..., Collected]) -> None:
    def change(batch: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
        images = torch.stack([image for image, _ in batch])
        return images[:extra] if extra < 0 else torch.cat([images, images[:extra]])

    source = open_source(DataLoader(SET, batch_size=7, collate_fn=change))
    with pytest.raises(SourceError, match=r"(gave 6 images, expected 7|gave more than 7 images): the loader does not"):
        collect(source)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([3], "item 0 of the iterable is a int, expected an image"),
        ([(TENSORS[:2], torch.arange(3))], "item 0 of the iterable has 2 images and 3 labels, expected one for each"),
        ([[TENSORS[:2], TENSORS[2:]]], "item 0 of the iterable has two images, and it is not guessed which one counts"),
        ([TENSORS[0], "x"], "item 1 of the iterable is a str, expected an image"),
        (
            [TENSORS.permute(0, 2, 3, 1)],
            "is uint8 of shape (7, 8, 6, 3), expected (n, 3, h, w); its channels seem to be",
        ),
        ([TENSORS[:1] / 255], "image 0 of the iterable is float32, and the range of its values is not known; say what"),
        ([], "iterable 'list_iterator' gave no image, expected at least one"),
    ],
)
def test_what_is_no_image(given: list, message: str, collect: Callable[..., Collected]) -> None:
    with pytest.raises(SourceError) as caught:
        collect(open_source(iter(given)))
    assert message in str(caught.value)


def test_an_iterable_that_fails(collect: Callable[..., Collected]) -> None:
    def failing() -> Iterator[torch.Tensor]:
        yield TENSORS[0]
        raise KeyError("weights")

    with pytest.raises(SourceError, match="iterable 'generator' failed after 1 item: KeyError: 'weights'") as caught:
        collect(open_source(failing()))
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_empty_list() -> None:
    with pytest.raises(SourceError, match="the list of paths is empty"):
        open_source([])


def test_one_buffer_for_all_batches(collect: Callable[..., Collected]) -> None:
    def reuse() -> Iterator[torch.Tensor]:
        buffer = torch.empty(1, 3, 8, 6, dtype=torch.uint8)
        for image in TENSORS:
            yield buffer.copy_(image[None])

    got = collect(open_source(reuse()), batch_size=7)
    np.testing.assert_array_equal(np.stack([got.images[index] for index in range(7)]), IMAGES)


def test_clipped_values_of_a_stream_are_noted(collect: Callable[..., Collected]) -> None:
    source = open_source(iter([torch.full((2, 3, 4, 4), 1.01)]), value_range=(-1, 1))
    assert collect(source).images[0].min() == 255
    assert source.notes == (
        "96 values of 2 of 2 images lay outside -1..1 and were clipped; all values lay in 1.01..1.01",
    )


@pytest.mark.parametrize("form", ["dataset", "loader", "iterable"])
def test_labels_of_some_images_only_are_noted(form: str, collect: Callable[..., Collected]) -> None:
    pairs = [(image, -1 if index in (1, 4) else index) for index, image in enumerate(TENSORS)]
    source = {
        "dataset": lambda: DatasetSource(pairs),
        "loader": lambda: open_source(DataLoader(pairs, batch_size=2)),  # type: ignore[arg-type]
        "iterable": lambda: open_source(iter(pairs)),
    }[form]()
    said = "came without a label, so that the labels of the others are left aside"

    collect(source, batch_size=3)
    assert source.notes == (f"2 of 7 images {said}",)
    if form != "iterable":
        collect(source, Shard(1, 2), batch_size=3)
        assert source.notes == (f"in share 1/2: 1 of 4 images {said}",)
        collect(source, selection=(0, 2))
        assert source.notes == ()


def test_classes() -> None:
    assert type(open_source(Stream())) is IterableSource
    assert type(open_source(DataLoader(SET))) is LoaderSource
    assert isinstance(open_source(DataLoader(SET)), ImageSource)
    assert isinstance(SET, Dataset)
