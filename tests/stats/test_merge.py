"""Statistics built on parts and merged are those of the whole, whatever the parts and their order."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import genmetrics as gm
from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.moments import Moments
from genmetrics.errors import StatisticsError
from genmetrics.stats.merge import merge_stats
from genmetrics.types import Need, Shard
from support.blocks import NET, registered_blocks

METRICS = ["fid", "kid", "isc"]
FD, KID, ISC = f"fd.{NET}", f"kid.{NET}", f"isc.{NET}"
COUNT = 29
MOMENTS = Need(NET, "squash-16", "12", "moments")
BANK = Need(NET, "squash-16", "12", "feature_bank")


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with registered_blocks():
        yield


@pytest.fixture(scope="module")
def pixels(smooth_images) -> np.ndarray:
    return smooth_images(COUNT, 24, 24, seed=5)


def write(folder: Path, pixels: np.ndarray) -> Path:
    folder.mkdir(parents=True)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{number:03d}.png")
    return folder


@pytest.fixture(scope="module")
def folder(pixels, tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("whole") / "images", pixels)


@pytest.fixture(scope="module")
def whole(folder, _registered) -> gm.Stats:
    return build(folder)


@pytest.fixture(scope="module")
def gen(smooth_images, _registered) -> gm.Stats:
    return build(smooth_images(COUNT, 24, 24, seed=6, warmth=0.4))


def build(source, **options) -> gm.Stats:
    return gm.compute_stats(source, METRICS, extractor=NET, device="cpu", **options)


def figures(gen: gm.Stats, ref: gm.Stats) -> dict[str, float]:
    report = gm.evaluate(gen, ref, METRICS, extractor=NET)
    return {name: result.value for name, result in report.metrics.items()}


def assert_same(merged: gm.Stats, whole: gm.Stats) -> None:
    ours, theirs = merged.accumulators[MOMENTS], whole.accumulators[MOMENTS]
    assert isinstance(ours, Moments) and isinstance(theirs, Moments)
    assert torch.allclose(ours.mean(), theirs.mean(), rtol=1e-12, atol=0)
    scale = float(theirs.covariance().abs().max())
    assert float((ours.covariance() - theirs.covariance()).abs().max()) <= 1e-12 * scale
    banks = merged.accumulators[BANK], whole.accumulators[BANK]
    assert all(isinstance(bank, FeatureBank) for bank in banks)
    assert torch.equal(banks[0].rows(), banks[1].rows())
    assert merged.num_samples == whole.num_samples
    assert merged.side.digest == whole.side.digest


@pytest.mark.parametrize("count", [1, 2, 7])
def test_shards_of_one_source_are_that_source_again(folder, whole, gen, count):
    shards = [build(folder, shard=Shard(index, count)) for index in range(count)]
    for order in (shards, shards[::-1], [*shards[1:], *shards[:1]]):
        merged = merge_stats(order)
        assert_same(merged, whole)
        assert figures(gen, merged) == pytest.approx(figures(gen, whole), rel=1e-12)
        assert figures(merged, gen)[ISC] == pytest.approx(figures(whole, gen)[ISC], rel=1e-12)
        assert [(part.source, part.complete) for part in merged.side.parts] == [(str(folder), True)]


@pytest.mark.parametrize("count", [2, 7, 12])
def test_sets_of_their_own_make_the_whole_of_which_they_are_parts(pixels, whole, gen, tmp_path, count):
    pieces = np.array_split(pixels, count)
    parts = [build(write(tmp_path / f"part{number}", piece)) for number, piece in enumerate(pieces)]
    orders = (
        list(itertools.islice(itertools.permutations(parts), 0, None, 5))[:4] if count == 2 else [parts, parts[::-1]]
    )
    for order in orders:
        merged = merge_stats(order)
        assert_same(merged, whole)
        assert figures(gen, merged) == pytest.approx(figures(gen, whole), rel=1e-12)
        assert figures(merged, gen)[ISC] == pytest.approx(figures(whole, gen)[ISC], rel=1e-12)


def test_merging_in_steps_and_by_a_tree_is_the_same(pixels, whole, tmp_path):
    pieces = np.array_split(pixels, 4)
    parts = [build(write(tmp_path / f"part{number}", piece)) for number, piece in enumerate(pieces)]
    in_steps = parts[3].merge(parts[0]).merge(parts[2]).merge(parts[1])
    by_tree = parts[1].merge(parts[3]).merge(parts[2].merge(parts[0]))
    for merged in (in_steps, by_tree, parts[2].merge(parts[0], parts[3], parts[1])):
        assert_same(merged, whole)


def test_more_shards_than_images(pixels, tmp_path):
    small = write(tmp_path / "small", pixels[:3])
    shards = [build(small, shard=Shard(index, 5)) for index in range(5)]
    assert [stats.num_samples for stats in shards] == [0, 1, 0, 1, 1]
    assert_same(merge_stats(shards[::-1]), build(small))


def test_through_files(folder, whole, tmp_path):
    for index in range(3):
        build(folder, shard=Shard(index, 3)).save(tmp_path / f"{index}.safetensors")
    merged = merge_stats([gm.Stats.load(tmp_path / f"{index}.safetensors") for index in (2, 0, 1)])
    assert_same(merged, whole)
    merged.save(tmp_path / "merged.safetensors")
    assert_same(gm.Stats.load(tmp_path / "merged.safetensors"), whole)


def test_the_arguments_stay_as_they_are(folder):
    shards = [build(folder, shard=Shard(index, 2)) for index in range(2)]
    before = [shard.accumulators[BANK].state()["rows"].clone() for shard in shards]
    merge_stats(shards)
    assert [shard.num_samples for shard in shards] == [14, 15]
    assert all(
        torch.equal(shard.accumulators[BANK].state()["rows"], rows) for shard, rows in zip(shards, before, strict=True)
    )


def test_a_part_given_twice_is_refused(folder, whole, pixels, tmp_path):
    first = build(folder, shard=Shard(0, 2))
    with pytest.raises(StatisticsError, match=r"the parts of '.*images' overlap: images 0 to 13 are in"):
        merge_stats([first, first])
    # A copy of the same images elsewhere would count twice as well.
    with pytest.raises(StatisticsError, match="overlap"):
        merge_stats([whole, build(write(tmp_path / "copy", pixels))])


def test_a_whole_set_and_a_shard_of_it_are_refused(folder, whole):
    for order in ([whole, build(folder, shard=Shard(0, 2))], [build(folder, shard=Shard(1, 2)), whole]):
        with pytest.raises(StatisticsError, match="is among the statistics, and a shard of it as well"):
            merge_stats(order)


def test_transparency_that_became_two_things_is_refused(pixels):
    opaque = np.full((*pixels.shape[:3], 1), 255, np.uint8)
    half = opaque.copy()
    half[:, :, :12] = 0
    clear = np.concatenate([pixels, half], axis=3)
    white = build(clear[:9], alpha="white")
    black = build(clear[9:], alpha="black")
    with pytest.raises(StatisticsError, match=r"transparency became 'white' in one and 'black' in the"):
        merge_stats([white, black])
    merged = merge_stats([white, build(np.concatenate([pixels, opaque], axis=3)[9:])])
    assert (merged.side.alpha, merged.side.num_transparent) == ("white", 9)


def test_a_missing_shard_is_seen(folder, gen):
    merged = merge_stats([build(folder, shard=Shard(index, 3)) for index in (0, 2)])
    assert [part.covered for part in merged.side.parts] == [((0, 9), (19, 29))]
    report = gm.evaluate(gen, merged, ["fid"], extractor=NET)
    assert "holds only 19 of the 29 images" in " ".join(report.warnings)


def test_backends_of_parts_are_all_named(folder):
    parts = []
    for index, backend in enumerate(["openvino", "torch", "openvino, reference", None]):
        stats = build(folder, shard=Shard(index, 4))
        parts.append(replace(stats, extractors={NET: replace(stats.extractors[NET], backend=backend)}))
    assert merge_stats(parts).extractors[NET].backend == "openvino, torch, reference"
    assert merge_stats(parts[:1]).extractors[NET].backend == "openvino"
    assert merge_stats(parts[3:]).extractors[NET].backend is None


def test_unlike_statistics_are_refused(folder, tmp_path):
    first = build(folder, shard=Shard(0, 2))
    fewer = gm.compute_stats(folder, ["fid"], extractor=NET, shard=Shard(1, 2))
    with pytest.raises(StatisticsError, match=r"cannot be merged: '.*' has no (feature bank|softmax sums)"):
        merge_stats([first, fewer])
    weights = tmp_path / "scale.txt"
    weights.write_text("2")
    with pytest.raises(StatisticsError, match=r"different weights_sha256 of 'blocks\.v1'"):
        merge_stats([first, build(folder, shard=Shard(1, 2), weights=weights)])
    seeds = [gm.compute_stats(folder, ["fid"], extractor=NET, shard=Shard(i, 2), seed=i) for i in range(2)]
    with pytest.raises(StatisticsError, match="made with seeds 0 and 1; use one seed"):
        merge_stats(seeds)


def test_statistics_of_an_unknown_number_of_images_are_refused(whole):
    unknown = replace(whole, side=replace(whole.side, num_samples=None, source="x.npz"))
    with pytest.raises(StatisticsError, match=r"'x\.npz' does not say how many images it is of.*--num-samples N"):
        merge_stats([whole, unknown])


def test_nothing_is_refused():
    with pytest.raises(StatisticsError, match="no statistics to merge"):
        merge_stats([])
