from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import pytest

from genmetrics.accumulators.content import ContentDigest
from genmetrics.errors import BadImageError, SourceError, UsageError
from genmetrics.sources import items, loader
from genmetrics.sources.base import BatchSpec
from genmetrics.sources.decode import BadImage, Decoded
from genmetrics.sources.loader import Item, ItemSource, default_workers
from genmetrics.types import Fingerprint, Origin, Shard
from sources.helpers import Collected, pixels

SIZES = ((4, 4), (4, 6), (6, 4), (2, 2), (9, 1))


class MixedSource(ItemSource):
    """Images of five sizes in turn, some of which may be broken."""

    kind = "mixed"
    description = "made up"

    def __init__(self, total: int, bad: Sequence[int] = (), order: Callable | None = None) -> None:
        self.total = total
        self.bad = frozenset(bad)
        self.order = order or list
        self.loaded: list[int] = []
        self.delay = 0.0

    def __len__(self) -> int:
        return self.total

    def fingerprint(self) -> Fingerprint:
        return Fingerprint(self.kind, self.description, "0")

    def items(self, wanted: Sequence[int]) -> Iterator[Item]:
        for index in self.order(wanted):
            yield Item(index, f"{index}.png", partial(self.load, index), label=index % 10)

    def load(self, index: int, alpha: str) -> Decoded:
        # Later images finish earlier, so that order cannot come from luck.
        time.sleep(self.delay or (0.002 if index % 4 == 0 else 0))
        self.loaded.append(index)
        if index in self.bad:
            raise BadImage("broken on purpose")
        return Decoded(self.expected(index), index % 7 == 0)

    @staticmethod
    def expected(index: int) -> np.ndarray:
        # Sizes come in an irregular order.
        return pixels(index, *SIZES[index * index % 11 % 5])


def decoding_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("genmetrics-decode")]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    deadline = time.monotonic() + 5
    while decoding_threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not decoding_threads()


@pytest.mark.parametrize("batch_size", [1, 3, 32])
@pytest.mark.parametrize("workers", [0, 1, 4])
@pytest.mark.parametrize("shards", [1, 2, 3, 7, 60])
def test_each_image_comes_exactly_once(
    workers: int, batch_size: int, shards: int, collect: Callable[..., Collected]
) -> None:
    total = 53
    source = MixedSource(total)
    images: dict[int, np.ndarray] = {}
    transparent = 0
    for shard in range(shards):
        got = collect(source, Shard(shard, shards), workers=workers, batch_size=batch_size)
        assert not images.keys() & got.images.keys()
        assert set(got.images) == set(Shard(shard, shards).range(total))
        assert all(1 <= len(batch.images) <= batch_size for batch in got.batches)
        assert got.labels == {index: index % 10 for index in got.images}
        transparent += sum(batch.num_transparent for batch in got.batches)
        images |= got.images

    assert sorted(images) == list(range(total))
    for index, image in images.items():
        np.testing.assert_array_equal(image, MixedSource.expected(index))
    assert transparent == len(range(0, total, 7))
    assert sorted(source.loaded) == list(range(total))


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_the_batches_do_not_depend_on_the_workers(batch_size: int, collect: Callable[..., Collected]) -> None:
    shapes = [
        collect(MixedSource(61, bad=(7, 30)), workers=workers, batch_size=batch_size, on_bad_image="skip")
        for workers in (0, 1, 2, 5)
    ]

    assert all(got.shape_of_batches == shapes[0].shape_of_batches for got in shapes)
    assert all(got.skipped == shapes[0].skipped for got in shapes)
    skipped_with = [[batch.skipped for batch in got.batches] for got in shapes]
    assert all(skipped == skipped_with[0] for skipped in skipped_with)


def test_images_that_come_out_of_order_keep_their_indices(collect: Callable[..., Collected]) -> None:
    source = MixedSource(20, order=lambda wanted: sorted(wanted, key=lambda index: index * 7 % 20))

    got = collect(source, Shard(1, 3), selection=tuple(range(1, 20, 2)), workers=2)

    # Of the 10 selected, the second third holds the indices 3, 4, 5: positions 7, 9, 11.
    assert sorted(got.images) == [3, 4, 5]
    for index, image in got.images.items():
        np.testing.assert_array_equal(image, MixedSource.expected(2 * index + 1))


@pytest.mark.parametrize("shards", [1, 3, 12])
def test_selection(shards: int, collect: Callable[..., Collected]) -> None:
    selection = (0, 3, 4, 11, 17, 29)
    images: dict[int, np.ndarray] = {}
    source = MixedSource(30)
    for shard in range(shards):
        images |= collect(source, Shard(shard, shards), selection=selection, workers=1).images

    assert sorted(images) == list(range(6))
    for index, image in images.items():
        np.testing.assert_array_equal(image, MixedSource.expected(selection[index]))
    assert sorted(source.loaded) == list(selection)  # nothing else was even read


def test_an_empty_selection_yields_nothing(collect: Callable[..., Collected]) -> None:
    assert collect(MixedSource(3), selection=()).batches == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"selection": (1, 1)},
            "the selection holds 1 and then 1, expected positions from 0, ascending, each once",
        ),
        ({"selection": (4, 2)}, "the selection holds 4 and then 2, expected positions from 0, ascending"),
        ({"selection": (-1,)}, "the selection holds -1, expected positions from 0"),
        ({"selection": (2, 9)}, "the selection holds position 9, but there are only 9 images"),
        ({"batch_size": 0}, "batch_size is 0, expected at least 1"),
        ({"workers": -1}, "workers is -1, expected 0"),
        ({"alpha": "pink"}, "alpha is 'pink', expected one of drop, white, black"),
        ({"on_bad_image": "ignore"}, "on_bad_image is 'ignore', expected one of error, skip"),
    ],
)
def test_a_spec_that_cannot_be_meant_is_refused_at_once(options: dict, message: str) -> None:
    spec = BatchSpec()
    for name, value in options.items():
        object.__setattr__(spec, name, value)  # the types of the constructor are enforced in tests
    with pytest.raises(UsageError) as caught:
        MixedSource(9).batches(Shard(), spec)

    assert str(caught.value).startswith(message)


def test_a_group_goes_when_it_is_full_and_the_longest_waiting_when_too_much_waits(
    collect: Callable[..., Collected], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [(1, 1), *((2, column) for column in range(1, 10)), (1, 1)]
    monkeypatch.setattr(MixedSource, "expected", staticmethod(lambda index: pixels(index, *sizes[index])))

    got = collect(MixedSource(11), batch_size=2)

    # 4 * 2 images may wait; the ninth to wait makes the oldest group go, before its partner comes.
    assert got.shape_of_batches[0] == ((1, 3, 1, 1), [0])
    assert sorted(got.images) == list(range(11))


def test_waiting_images_are_bounded_in_bytes() -> None:
    from genmetrics.sources.grouping import SizeGroups

    groups = SizeGroups(batch_size=32, max_waiting_bytes=1000)
    given = []
    for index in range(20):
        image = np.ascontiguousarray(pixels(index, 10, 10 + index % 2).transpose(2, 0, 1))
        for group in groups.add(image, index, None, False, 0, Origin("", *image.shape[:0:-1])):
            given += group.indices
        assert groups.bytes_waiting <= 1000
    for group in groups.rest():
        given += group.indices
    assert sorted(given) == list(range(20))
    assert groups.num_waiting == groups.bytes_waiting == 0


@pytest.mark.parametrize("workers", [1, 4])
def test_no_more_is_decoded_ahead_than_the_window(workers: int) -> None:
    source = MixedSource(1000)
    batches = source.batches(Shard(), BatchSpec(batch_size=2, workers=workers))
    for _ in range(3):
        next(batches)
    time.sleep(0.2)

    assert len(source.loaded) <= 3 * 2 + 4 * 2 + max(4 * workers, 4) + 2
    batches.close()


def test_large_images_shorten_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = {}
    for budget in (1, 10**9):
        monkeypatch.setattr(items, "_PREFETCH_BYTES", budget)
        source = MixedSource(400)
        submitted: list[int] = []
        source.order = lambda wanted, submitted=submitted: (submitted.append(index) or index for index in wanted)
        outcomes = items.load_in_threads(source.items(range(400)), BatchSpec(batch_size=50, workers=2))
        for _ in range(20):
            next(outcomes)
        ahead[budget] = len(submitted) - 20
        outcomes.close()

    assert ahead == {1: 3, 10**9: 100}


@pytest.mark.parametrize("workers", [0, 4])
def test_closing_early_stops_the_threads(workers: int) -> None:
    source = MixedSource(10_000)
    batches = source.batches(Shard(), BatchSpec(batch_size=1, workers=workers))
    next(batches)
    batches.close()
    time.sleep(0.1)
    loaded = len(source.loaded)
    time.sleep(0.1)

    assert len(source.loaded) == loaded < 100


@pytest.mark.parametrize("workers", [0, 3])
def test_an_interrupt_gets_through_at_once(workers: int) -> None:
    source = MixedSource(10_000)
    source.delay = 0.05

    def interrupting(wanted: Sequence[int]) -> Iterator[int]:
        for index in wanted:
            if index == 5:
                raise KeyboardInterrupt
            yield index

    source.order = interrupting
    with pytest.raises(KeyboardInterrupt):
        list(source.batches(Shard(), BatchSpec(workers=workers)))
    # What was asked for before the interrupt, and nothing of the other ten thousand.
    assert len(source.loaded) <= 5


def test_an_unforeseen_error_in_a_worker_gets_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object, index: int, alpha: str) -> Decoded:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(MixedSource, "load", fail)
    with pytest.raises(ZeroDivisionError, match="a defect"):
        list(MixedSource(9).batches(Shard(), BatchSpec(workers=2)))


def test_a_source_that_loses_an_image_is_found_out() -> None:
    source = MixedSource(9, order=lambda wanted: list(wanted)[:-1])

    with pytest.raises(SourceError, match="mixed 'made up' gave 8 images, expected 9: it has changed"):
        list(source.batches(Shard(), BatchSpec()))


@pytest.mark.parametrize("workers", [0, 1, 4])
class TestBadImages:
    def test_the_error_names_all_of_them(self, workers: int) -> None:
        with pytest.raises(BadImageError) as caught:
            list(MixedSource(300, bad=(100, 250)).batches(Shard(), BatchSpec(workers=workers)))

        assert str(caught.value) == (
            "mixed 'made up': 2 images cannot be read:\n"
            "  100.png: broken on purpose\n"
            "  250.png: broken on purpose\n"
            "Repair or remove them, or leave such images out of the figures with `--on-bad-image skip` "
            '(Python: on_bad_image="skip"); the report lists each one.'
        )
        assert caught.value.images == (
            ("100.png", "broken on purpose"),
            ("250.png", "broken on purpose"),
        )

    def test_ten_are_enough(self, workers: int) -> None:
        source = MixedSource(300, bad=range(20, 300))
        with pytest.raises(BadImageError) as caught:
            list(source.batches(Shard(), BatchSpec(workers=workers)))

        assert [name for name, _ in caught.value.images] == [f"{index}.png" for index in range(20, 30)]
        assert "There may be more: reading stopped 9 images after the first of them." in str(caught.value)
        assert len(source.loaded) < 120

    def test_ten_at_the_very_end_are_all(self, workers: int) -> None:
        with pytest.raises(BadImageError) as caught:
            list(MixedSource(30, bad=range(20, 30)).batches(Shard(), BatchSpec(workers=workers)))

        assert len(caught.value.images) == 10
        assert "There may be more" not in str(caught.value)

    def test_reading_goes_on_for_a_bounded_number(self, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(loader, "_ITEMS_AFTER_A_BAD_IMAGE", 20)
        with pytest.raises(BadImageError) as caught:
            list(MixedSource(300, bad=(3, 290)).batches(Shard(), BatchSpec(workers=workers)))

        assert caught.value.images == (("3.png", "broken on purpose"),)
        assert "There may be more: reading stopped 20 images after the first of them." in str(caught.value)

    def test_no_batch_comes_after_the_first(self, workers: int) -> None:
        batches = MixedSource(30, bad=(20,)).batches(Shard(), BatchSpec(batch_size=1, workers=workers))

        assert [next(batches).indices.tolist() for _ in range(20)] == [[index] for index in range(20)]
        with pytest.raises(BadImageError):
            next(batches)

    def test_skipping(self, workers: int, collect: Callable[..., Collected]) -> None:
        bad = (0, 13, 14, 29)
        got = collect(MixedSource(30, bad=bad), workers=workers, batch_size=4, on_bad_image="skip")

        assert got.skipped == [(f"{index}.png", "broken on purpose") for index in bad]
        assert sorted(got.images) == [index for index in range(30) if index not in bad]

    def test_the_last_skipped_ones_come_in_an_empty_batch(
        self, workers: int, collect: Callable[..., Collected]
    ) -> None:
        got = collect(MixedSource(3, bad=range(3)), workers=workers, on_bad_image="skip")

        assert len(got.skipped) == 3
        assert [len(batch.images) for batch in got.batches] == [0]


def test_default_workers() -> None:
    assert 1 <= default_workers() <= 8


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_know_the_hashes_of_their_images(workers: int) -> None:
    for batch in MixedSource(40, bad=(39,)).batches(Shard(), BatchSpec(7, workers, on_bad_image="skip")):
        hashed, known = ContentDigest(), ContentDigest()
        hashed.update(batch.images, batch.indices)
        assert batch.hashes is not None
        known.add(batch.hashes)
        assert known.hexdigest() == hashed.hexdigest()
        assert known.num_samples == hashed.num_samples


def test_small_images_go_to_the_threads_several_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    together = []
    load_together = items.load_together

    def watched(items: Sequence[Item], *more: object) -> object:
        together.append([item.index for item in items])
        return load_together(items, *more)

    monkeypatch.setattr(items, "load_together", watched)
    monkeypatch.setattr(items, "_SECONDS_AT_ONCE", 60.0)  # however long one takes on this machine
    batches = list(MixedSource(500).batches(Shard(), BatchSpec(batch_size=32, workers=2)))

    assert sorted(index for batch in batches for index in batch.indices.tolist()) == list(range(500))
    assert sorted(index for items in together for index in items) == list(range(500))
    # 64 are ahead, so that each of two threads has four times 8 of them; the first come one by one.
    assert max(map(len, together)) == 8
    assert min(map(len, sorted(together)[:3])) == 1


def test_images_that_take_long_go_to_the_threads_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items, "_SECONDS_AT_ONCE", 0.0)
    sizes = []
    load_together = items.load_together
    monkeypatch.setattr(
        items, "load_together", lambda items, *more: sizes.append(len(items)) or load_together(items, *more)
    )
    list(MixedSource(100).batches(Shard(), BatchSpec(batch_size=32, workers=2)))

    assert sizes == [1] * 100
