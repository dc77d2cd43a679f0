"""Crops are part of a metric's name; the classes of images stay with their statistics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import genmetrics as gm
from genmetrics.engine.describe import describe
from genmetrics.errors import StatisticsError, UsageError
from genmetrics.sources.crop import parse_crop
from genmetrics.types import Shard
from support.blocks import NET, registered_blocks

FD = f"fd.{NET}"


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with registered_blocks():
        yield


@pytest.fixture(scope="module")
def pixels(smooth_images) -> np.ndarray:
    return smooth_images(14, 40, 56, seed=8)


class TestCrop:
    def test_the_name_and_protocol_say_it(self, pixels):
        plain = gm.evaluate(pixels, pixels[:9], ["fid"], extractor=NET)
        cropped = gm.evaluate(pixels, pixels[:9], ["fid"], extractor=NET, crop="adm-32")
        assert list(cropped.metrics) == [f"{FD}.adm-32"]
        assert str(cropped[f"{FD}.adm-32"].protocol) == f"{NET}/12/adm-32+squash-16"
        assert cropped[f"{FD}.adm-32"].value != plain[FD].value
        assert cropped.extractors[NET].preprocess["adm-32+squash-16"]["source_crop"] == "adm-32"

    def test_it_is_what_cropping_first_gives(self, pixels):
        crop = parse_crop("adm-32")
        by_hand = np.stack([crop(image) for image in pixels])
        expected = gm.evaluate(by_hand, by_hand[:9], ["fid"], extractor=NET)
        report = gm.evaluate(pixels, pixels[:9], ["fid"], extractor=NET, crop="adm-32")
        assert report[f"{FD}.adm-32"].value == expected[FD].value
        assert report.gen.digest == expected.gen.digest

    def test_cropped_and_whole_statistics_do_not_compare(self, pixels, tmp_path):
        gm.compute_stats(pixels, ["fid"], extractor=NET, crop="adm-32").save(tmp_path / "ref.safetensors")
        gm.compute_stats(pixels, ["fid"], extractor=NET).save(tmp_path / "whole.safetensors")
        with pytest.raises(
            StatisticsError, match=r"holds features of preprocess 'adm-32\+squash-16', .* Add '--crop adm-32'\. "
        ):
            gm.evaluate(pixels, tmp_path / "ref.safetensors", ["fid"], extractor=NET)
        with pytest.raises(StatisticsError, match=r"Leave out '--crop adm-32'\. "):
            gm.evaluate(pixels, tmp_path / "whole.safetensors", ["fid"], extractor=NET, crop="adm-32")
        same = gm.evaluate(pixels, tmp_path / "ref.safetensors", ["fid"], extractor=NET, crop="adm-32")
        assert same[f"{FD}.adm-32"].value == pytest.approx(0, abs=1e-9)
        described = describe(gm.Stats.load(tmp_path / "ref.safetensors"))
        ids = (FD, f"fd_influence.{NET}", f"fd_inf.{NET}")
        assert set(described.as_reference) == {f"{name}.adm-32" for name in ids}

    def test_the_name_is_asked_for_with_the_option(self, pixels):
        with pytest.raises(
            UsageError, match=r"metric 'fid\.adm-32' is 'fid' of cropped images; ask for '-m fid --crop adm-32'"
        ):
            gm.evaluate(pixels, pixels, ["fid.adm-32"], extractor=NET)

    def test_messages_name_it_as_it_is_typed(self, pixels, tmp_path):
        gm.compute_stats(pixels, ["fid"], extractor=NET, crop="adm-32").save(tmp_path / "ref.safetensors")
        with pytest.raises(StatisticsError, match=rf"Ask for 'fd\.{NET} --crop adm-32'"):
            gm.evaluate(pixels, tmp_path / "ref.safetensors", ["fid"], extractor=NET)

    def test_an_unknown_crop(self, pixels):
        with pytest.raises(UsageError, match="unknown crop 'centre-32'; expected <algorithm>-<size>, such as adm-256"):
            gm.evaluate(pixels, pixels, ["fid"], extractor=NET, crop="centre-32")

    def test_it_is_part_of_what_the_cache_knows(self, pixels, tmp_path, monkeypatch):
        monkeypatch.setenv("GENMETRICS_CACHE", str(tmp_path))
        one, two = (
            gm.compute_stats(pixels, ["fid"], extractor=NET, crop=crop) for crop in ("adm-32", "pil-bilinear-32")
        )
        assert one.side.digest != two.side.digest


class TestLabels:
    @pytest.fixture
    def folder(self, pixels, tmp_path) -> Path:
        for number, image in enumerate(pixels):
            path = tmp_path / "set" / ("cat" if number % 3 else "dog") / f"{number:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
        return tmp_path / "set"

    def test_of_an_npz_they_are_kept_and_saved(self, pixels, tmp_path):
        labels = np.arange(14) % 5
        np.savez(tmp_path / "x.npz", arr_0=pixels, arr_1=labels)
        stats = gm.compute_stats(tmp_path / "x.npz", ["fid"], extractor=NET)
        stats.save(tmp_path / "x.safetensors")
        kept = gm.Stats.load(tmp_path / "x.safetensors").labels
        assert kept is not None
        assert kept.state()["values"].tolist() == labels.tolist()

    def test_by_folders(self, folder):
        assert gm.compute_stats(folder, ["fid"], extractor=NET).labels is None
        stats = gm.compute_stats(folder, ["fid"], extractor=NET, labels="folders")
        assert stats.class_names == ("cat", "dog")
        assert stats.labels is not None
        # In the order of the paths, cats first.
        assert stats.labels.state()["values"].tolist() == [0] * 9 + [1] * 5

    def test_of_a_subset_and_of_shards_they_stay_with_their_images(self, folder):
        half = gm.compute_stats(folder, ["fid", "kid"], extractor=NET, labels="folders", num=8)
        whole = gm.compute_stats(folder, ["fid", "kid"], extractor=NET, labels="folders")
        bank = next(need for need in whole.accumulators if need.accumulator == "feature_bank")
        rows, values = whole.accumulators[bank].rows(), whole.labels.state()["values"]
        for row, label in zip(half.accumulators[bank].rows(), half.labels.state()["values"], strict=True):
            match = int((rows - row).abs().sum(dim=1).argmin())
            assert torch.equal(rows[match], row) and values[match] == label
        parts = [
            gm.compute_stats(folder, ["fid", "kid"], extractor=NET, labels="folders", shard=Shard(index, 3))
            for index in range(3)
        ]
        merged = parts[2].merge(parts[0], parts[1])
        assert torch.equal(merged.labels.state()["values"], values)
        assert merged.class_names == ("cat", "dog")

    def test_that_cannot_be_merged_are_left_out_and_said(self, folder, pixels, tmp_path):
        labelled = gm.compute_stats(folder, ["fid"], extractor=NET, labels="folders")
        none = gm.compute_stats(pixels[:3], ["fid"], extractor=NET)
        merged = labelled.merge(none)
        assert merged.labels is None
        assert any("the images' classes were left out, because" in note for note in merged.side.notes)

    def test_for_one_side(self, folder, pixels):
        report = gm.evaluate(pixels, folder, ["fid"], extractor=NET, labels={"ref": "folders"})
        assert report.ref is not None
        with pytest.raises(UsageError, match="labels='folders' was given with array"):
            gm.evaluate(pixels, folder, ["fid"], extractor=NET, labels="folders")

    def test_another_choice_is_no_hit(self, folder, tmp_path, monkeypatch):
        monkeypatch.setenv("GENMETRICS_CACHE", str(tmp_path / "cache"))
        assert gm.compute_stats(folder, ["fid"], extractor=NET).labels is None
        assert gm.compute_stats(folder, ["fid"], extractor=NET, labels="folders").labels is not None
        names = {f"cat/{n:02d}.png" if n % 3 else f"dog/{n:02d}.png": n % 2 for n in range(14)}
        (tmp_path / "labels.json").write_text(json.dumps(names))
        stats = gm.compute_stats(folder, ["fid"], extractor=NET, labels=tmp_path / "labels.json")
        assert sorted(stats.labels.state()["values"].tolist()) == [0] * 7 + [1] * 7
