"""Diversity over pairs: which pairs, whatever batches, workers and order; and what the network says of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch

import genmetrics as gm
from genmetrics.engine.evaluator import Evaluator
from genmetrics.engine.pairs import draw_pairs, priorities
from genmetrics.engine.spool import Spool
from genmetrics.errors import OutputError, StatisticsError, UsageError
from genmetrics.types import Shard
from support.pair_nets import GAPS, Gaps, gap, registered_pair_networks


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with registered_pair_networks():
        yield


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (40, 8, 6, 3), dtype=np.uint8)


def inputs(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def splitmix(index: int, seed: int) -> int:
    """By Python's integers."""

    def mixed(z: int) -> int:
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
        return z ^ (z >> 31)

    golden = 0x9E3779B97F4A7C15
    return mixed((mixed((seed + golden) % 2**64) + (index + 1) * golden) % 2**64)


def test_priorities_are_splitmix() -> None:
    found = priorities(np.arange(100), 2020).tolist()
    assert found == [splitmix(index, 2020) for index in range(100)]
    assert len(set(found)) == 100
    assert found != priorities(np.arange(100), 2021).tolist()


def test_priorities_are_even() -> None:
    """The lowest tenth of them comes from everywhere."""
    chosen = np.argsort(priorities(np.arange(10_000), 7))[:1000]
    counts = np.histogram(chosen, bins=10, range=(0, 10_000))[0]
    assert counts.min() > 60 and counts.max() < 140


class TestWhichPairs:
    def test_two_new_images_for_each_while_there_are_enough(self) -> None:
        pairs = draw_pairs([5, 3, 9, 1, 7, 0], 3, 0)
        assert pairs == [(5, 3), (9, 1), (7, 0)]

    def test_all_pairs_of_few_images(self) -> None:
        assert draw_pairs([4, 2, 3], 3, 0) == [(2, 3), (2, 4), (3, 4)]

    def test_some_of_all_pairs_in_between(self) -> None:
        pairs = draw_pairs([4, 2, 3, 8, 6], 7, 0)
        assert len(set(pairs)) == 7
        assert set(pairs) < set(itertools.combinations([2, 3, 4, 6, 8], 2))
        assert pairs != draw_pairs([4, 2, 3, 8, 6], 7, 1)


def small(num_pairs: int, same_class: bool, monkeypatch: pytest.MonkeyPatch) -> str:
    """The metric with so few pairs that not all images are in one."""
    from dataclasses import replace

    from genmetrics.metrics import METRICS

    info = METRICS.get("gaps_lpips_class" if same_class else "gaps_lpips")
    settings = (("num_pairs", num_pairs), ("same_class", int(same_class)))
    monkeypatch.setitem(METRICS._entries, "few", replace(info, id="few", settings=settings))
    return "few"


def expected_pairs(indices: np.ndarray, num_pairs: int, seed: int = 2020) -> list[tuple[int, int]]:
    lowest = sorted(indices.tolist(), key=lambda index: splitmix(index, seed))[: 2 * num_pairs]
    return [(lowest[2 * k], lowest[2 * k + 1]) for k in range(num_pairs)]


class TestMean:
    @pytest.mark.parametrize("options", [{}, {"batch_size": 1}, {"batch_size": 7, "workers": 0}, {"batch_size": 40}])
    def test_is_that_of_the_drawn_pairs(self, images, monkeypatch, options) -> None:
        name = small(6, False, monkeypatch)
        report = gm.evaluate(images, None, [name], **options)
        values = inputs(images)
        pairs = expected_pairs(np.arange(40), 6)
        by_hand = [float(gap(values[a : a + 1], values[b : b + 1])) for a, b in pairs]
        assert report[name].value == pytest.approx(np.mean(by_hand), rel=1e-6)
        expected = {"std": np.std(by_hand), "num_pairs": 6, "se": np.std(by_hand, ddof=1) / 6**0.5}
        assert {figure: report[name].extra[figure] for figure in expected} == pytest.approx(expected, rel=1e-6)
        others = [float(gap(values[a : a + 1], values[b : b + 1])) for a, b in expected_pairs(np.arange(40), 6, 1)]
        assert np.mean(others) != pytest.approx(np.mean(by_hand), rel=1e-6)

    def test_of_all_pairs_when_the_set_is_small(self, images) -> None:
        value = gm.evaluate(images, None, ["gaps_lpips"])["gaps_lpips"]
        values = inputs(images)
        pairs = list(itertools.combinations(range(40), 2))
        every = gap(values[[a for a, _ in pairs]], values[[b for _, b in pairs]])
        assert value.extra["num_pairs"] == 780
        assert "se" not in value.extra  # each image is in many pairs
        assert value.value == pytest.approx(float(every.double().mean()), rel=1e-6)

    def test_over_classes_counts_each_class_once(self, images, tmp_path) -> None:
        labels = np.array([3] * 10 + [7] * 30)
        np.savez(tmp_path / "set.npz", arr_0=images, arr_1=labels)
        result = gm.evaluate(tmp_path / "set.npz", None, ["gaps_lpips_class"])["gaps_lpips_class"]
        values = inputs(images)

        def mean(members: np.ndarray, num_pairs: int) -> float:
            every = list(itertools.combinations(members.tolist(), 2))
            chosen = every
            if len(every) > num_pairs:
                drawn = np.random.RandomState(2020).choice(len(every), num_pairs, replace=False)
                chosen = [every[position] for position in np.sort(drawn)]
            return float(gap(values[[a for a, _ in chosen]], values[[b for _, b in chosen]]).double().mean())

        by_class = [mean(np.flatnonzero(labels == 3), 100), mean(np.flatnonzero(labels == 7), 100)]
        assert result.value == pytest.approx(np.mean(by_class), rel=1e-6)
        assert list(result.per_class["class"]) == ["3", "7"]
        assert list(result.per_class["mean"]) == pytest.approx(by_class, rel=1e-6)
        assert list(result.per_class["num_pairs"]) == [45, 100]

    def test_sees_a_collapse(self, images) -> None:
        collapsed = np.repeat(images[:1], 40, axis=0)
        assert gm.evaluate(collapsed, None, ["gaps_lpips"])["gaps_lpips"].value == 0
        assert gm.evaluate(images, None, ["gaps_lpips"])["gaps_lpips"].value > 0.1

    def test_pairs_are_computed_once_for_metrics_that_share_them(self, images, monkeypatch) -> None:
        Gaps.asked = 0
        gm.evaluate(images, None, ["gaps_lpips", small(1000, False, monkeypatch)])
        assert Gaps.asked == 780

    def test_a_training_loop_sees_the_same(self, images) -> None:
        expected = gm.evaluate(images, None, ["gaps_lpips"])["gaps_lpips"].value
        evaluator = Evaluator(metrics=["gaps_lpips"])
        for part in np.array_split(images, 7):
            evaluator.update(torch.from_numpy(part).permute(0, 3, 1, 2))
        assert evaluator.compute()["gaps_lpips"].value == expected
        assert evaluator.compute()["gaps_lpips"].value == expected

    def test_statistics_keep_it(self, images, tmp_path) -> None:
        stats = gm.compute_stats(images, ["gaps_lpips"])
        stats.save(tmp_path / "set.safetensors")
        kept = gm.evaluate(tmp_path / "set.safetensors", None, ["gaps_lpips"])["gaps_lpips"]
        assert kept == gm.evaluate(images, None, ["gaps_lpips"])["gaps_lpips"]


class TestErrors:
    def test_sizes_that_differ(self, image_folder, tmp_path) -> None:
        from PIL import Image

        for index, size in enumerate([(8, 6), (9, 6)]):
            Image.new("RGB", size).save(tmp_path / f"{index}.png")
        with pytest.raises(StatisticsError, match=r"images 0 and 1 are of different sizes \(8x6 and 9x6\).*--crop"):
            gm.evaluate(tmp_path, None, ["gaps_lpips"])
        assert gm.evaluate(tmp_path, None, ["gaps_lpips"], crop="pil-bicubic-6")

    def test_images_that_are_too_small(self, images) -> None:
        with pytest.raises(StatisticsError, match=r"is 6x8, and 'ms-ssim.wang2003' needs images of at least 161"):
            gm.evaluate(images, None, ["ms_ssim"])

    def test_no_room(self, images, monkeypatch) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("tempfile.SpooledTemporaryFile.write", full)
        with pytest.raises(OutputError, match=r"0 images that wait to be compared fill .*No space left.*TMPDIR"):
            gm.evaluate(images, None, ["gaps_lpips"])

    def test_no_classes(self, images) -> None:
        with pytest.raises(StatisticsError, match=r"the images have no classes.*--labels"):
            gm.evaluate(images, None, ["gaps_lpips_class"])

    def test_one_image(self, images) -> None:
        with pytest.raises(StatisticsError, match=r"the set has 1 image\(s\); a pair takes 2"):
            gm.evaluate(images[:1], None, ["gaps_lpips"])

    def test_a_class_of_one_image(self, images, tmp_path) -> None:
        np.savez(tmp_path / "set.npz", arr_0=images[:3], arr_1=np.array([0, 0, 4]))
        with pytest.raises(StatisticsError, match=r"class 4 has 1 image\(s\)"):
            gm.evaluate(tmp_path / "set.npz", None, ["gaps_lpips_class"])

    def test_shards_cannot_be_merged(self, images, image_folder, tmp_path) -> None:
        folder = image_folder(6, 8, 6, 0)
        with pytest.raises(UsageError, match=r"gaps_lpips.*--shard"):
            gm.compute_stats(folder, ["gaps_lpips"], shard=Shard(0, 2))
        stats = [gm.compute_stats(images[part], ["gaps_lpips"]) for part in (slice(20), slice(20, 40))]
        with pytest.raises(StatisticsError, match=rf"pair values .* of {GAPS}/distance/native-sym, which are drawn"):
            stats[0].merge(stats[1])

    def test_a_network_of_single_images_compares_none(self, images, monkeypatch) -> None:
        from dataclasses import replace

        from genmetrics.metrics import METRICS

        lite = "efficientnet-lite0.in1k"
        info = replace(METRICS.get("gaps_lpips"), id="wrong", extractor=lite, feature="1280")
        monkeypatch.setitem(METRICS._entries, "wrong", info)
        with pytest.raises(UsageError, match=f"extractor '{lite}' gives features of single images"):
            gm.evaluate(images, None, ["wrong"])


def test_spool_keeps_images_beyond_memory_and_reuses_room(monkeypatch) -> None:
    monkeypatch.setattr("genmetrics.engine.spool._IN_MEMORY", 100)
    spool = Spool()
    rng = np.random.default_rng(0)
    images = {k: torch.from_numpy(rng.integers(0, 256, (3, 5, 4 + k % 2), dtype=np.uint8)) for k in range(30)}
    for number, image in images.items():
        spool.put(number, image)
        if number >= 6:
            spool.drop(number - 6)
    assert all(spool.get(number) is None for number in range(24))
    for number in range(24, 30):
        kept = spool.get(number)
        assert kept is not None and torch.equal(kept, images[number])
    assert spool._end < 30 * 60 / 2
