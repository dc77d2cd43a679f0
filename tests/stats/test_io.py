"""Our statistics files: everything comes back, and a file that is not whole is refused by its name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import genmetrics as gm
from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.labels import Labels
from genmetrics.accumulators.moments import Moments
from genmetrics.accumulators.softmax_sums import SoftmaxSums
from genmetrics.errors import OutputError, SourceError, StatisticsError, UsageError
from genmetrics.stats.formats import is_statistics
from genmetrics.types import ExtractorRecord, Need, Part, Selection, SideRecord, SkippedImage

NET, SIZE = "inception-v3.tf2015", 24
WIDTH = 6


def filled(kind, count: int = SIZE, seed: int = 0):
    rows = torch.from_numpy(np.random.default_rng(seed).standard_normal((count, kind.width)).astype(np.float32))
    kind.update(rows, torch.arange(count))
    return kind


@pytest.fixture
def stats() -> gm.Stats:
    """One of every kind, two preprocessings of one feature, labels, a selection and skipped images."""
    labels = Labels()
    labels.update(torch.arange(SIZE) % 3, torch.arange(SIZE))
    part = Part("real/é", "folder", "f" * 64, SIZE + 6, ((0, SIZE + 6),))
    side = SideRecord(
        "real/é",
        "folder",
        SIZE,
        "a" * 64,
        (SkippedImage("bad.png", "cut short"),),
        ("a note",),
        Selection(SIZE, 99, 7),
        (part,),
    )
    spec = {"size": (299, 299), "crop": None}
    record = ExtractorRecord("6" * 64, True, "exact", {"tf1-bilinear-299": spec, "torch-bilinear-299": spec})
    splits = (("num_splits", 4), ("seed", 2020))
    return gm.Stats(
        {
            Need(NET, "tf1-bilinear-299", "2048", "moments"): filled(Moments(WIDTH)),
            Need(NET, "torch-bilinear-299", "2048", "moments"): filled(Moments(WIDTH), seed=1),
            Need(NET, "tf1-bilinear-299", "768", "moments"): filled(Moments(WIDTH + SIZE)),
            Need(NET, "tf1-bilinear-299", "2048", "moments", (("unit_norm", 1),)): filled(
                Moments(WIDTH, unit_norm=True)
            ),
            Need(NET, "tf1-bilinear-299", "768", "moments", (("unit_norm", 1),)): filled(
                Moments(WIDTH + SIZE, unit_norm=True)
            ),
            Need(NET, "tf1-bilinear-299", "2048", "feature_bank"): filled(FeatureBank(WIDTH)),
            Need(NET, "tf1-bilinear-299", "logits", "softmax_sums", splits): filled(SoftmaxSums(WIDTH, 4, 2020, SIZE)),
            Need(NET, "torch-bilinear-299", "logits", "softmax_sums", splits): filled(
                SoftmaxSums(WIDTH, 4, 2020, None)
            ),
            Need(NET, "tf1-bilinear-299", "logits", "softmax_sums", (("chunk", 7),)): filled(
                SoftmaxSums(WIDTH, 0, 0, SIZE, chunk=7)
            ),
        },
        side,
        {NET: record},
        2020,
        labels,
        ("cat", "dog", "bird"),
    )


def test_everything_comes_back_to_the_last_bit(stats, tmp_path):
    path = tmp_path / "ref.safetensors"
    stats.save(path)
    read = gm.Stats.load(path)
    assert list(read.accumulators) == list(stats.accumulators)
    for need, held in stats.accumulators.items():
        theirs = read.accumulators[need].state()
        assert set(theirs) == set(held.state())
        for field, value in held.state().items():
            assert torch.equal(theirs[field], value), (need, field)
    assert read.side == replace(stats.side, stats_file=str(path))
    assert (read.seed, read.class_names, dict(read.versions)) == (2020, stats.class_names, dict(stats.versions))
    assert read.labels is not None
    assert torch.equal(read.labels.state()["values"], stats.labels.state()["values"])
    assert read.extractors[NET].weights_sha256 == "6" * 64
    assert read.extractors[NET].preprocess["tf1-bilinear-299"]["size"] == [299, 299]


def test_the_layout_is_the_documented_one(stats, tmp_path):
    stats.save(tmp_path / "ref.safetensors")
    with safe_open(tmp_path / "ref.safetensors", framework="pt") as file:
        names = set(file.keys())
        header = file.metadata()
    assert {f"{NET}/2048/moments/mean", f"{NET}/2048/moments/m2", f"{NET}/2048/feature_bank/rows"} <= names
    assert f"{NET}/2048/moments[torch-bilinear-299]/mean" in names
    assert header["schema"] == "1"
    fingerprint = json.loads(header["fingerprint"])
    assert fingerprint["num_samples"] == SIZE
    assert fingerprint["extractors"][NET]["weights_sha256"] == "6" * 64
    assert fingerprint["digest"] == "a" * 64 and fingerprint["seed"] == 2020
    assert set(json.loads(header["versions"])) >= {"genmetrics", "torch", "python"}


def test_another_name_is_recognised_by_content(stats, tmp_path):
    stats.save(tmp_path / "ref.safetensors")
    other = (tmp_path / "ref.safetensors").rename(tmp_path / "ref.stats")
    assert is_statistics(other)
    assert gm.Stats.load(other).num_samples == SIZE


@pytest.mark.parametrize("cut", [0, 7, 100, -1])
def test_a_file_that_is_cut_off_is_refused_by_its_name(stats, tmp_path, cut):
    path = tmp_path / "ref.safetensors"
    stats.save(path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(StatisticsError, match=r"^statistics file '.*ref\.safetensors'.*(damaged|is empty)"):
        gm.Stats.load(path)


def test_every_altered_byte_is_noticed(stats, tmp_path):
    path = tmp_path / "ref.safetensors"
    stats.save(path)
    whole = path.read_bytes()
    header_size = int.from_bytes(whole[:8], "little")
    for position in (*range(8, header_size, 97), *range(8 + header_size, len(whole), 501), len(whole) - 1):
        changed = bytearray(whole)
        changed[position] ^= 0x01
        path.write_bytes(bytes(changed))
        with pytest.raises(StatisticsError, match=r"'.*ref\.safetensors'"):
            gm.Stats.load(path)


def test_an_altered_record_is_noticed(stats, tmp_path):
    """Somebody who edits the number of images with the library that wrote the file."""
    path = tmp_path / "ref.safetensors"
    stats.save(path)
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    header["fingerprint"] = header["fingerprint"].replace(f'"num_samples": {SIZE}', '"num_samples": 50000')
    save_file(load_file(path), path, header)
    with pytest.raises(StatisticsError, match="was altered after it was written"):
        gm.Stats.load(path)


def test_weights_are_no_statistics(tmp_path):
    save_file({"conv.weight": torch.zeros(3)}, tmp_path / "net.safetensors")
    with pytest.raises(StatisticsError, match=r"net\.safetensors' is a safetensors file, but not one of statistics"):
        gm.Stats.load(tmp_path / "net.safetensors")


def test_a_newer_layout_is_refused(stats, tmp_path):
    path = tmp_path / "ref.safetensors"
    stats.save(path)
    with safe_open(path, framework="pt") as file:
        header = file.metadata() | {"schema": "2"}
    save_file(load_file(path), path, header)
    with pytest.raises(StatisticsError, match=r"has layout 2, and this version of genmetrics reads up to 1"):
        gm.Stats.load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"ref\.safetensors' does not exist"):
        gm.Stats.load(tmp_path / "ref.safetensors")


def test_only_our_own_ending_is_written(stats, tmp_path):
    with pytest.raises(UsageError, match=r"expected a name ending in \.safetensors"):
        stats.save(tmp_path / "ref.npz")


def test_a_full_disk_leaves_the_old_file_whole(stats, tmp_path, monkeypatch):
    path = tmp_path / "ref.safetensors"
    stats.save(path)
    before = path.read_bytes()

    def full(tensors, target, metadata) -> None:
        Path(target).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("genmetrics.stats.io.save_file", full)
    with pytest.raises(OutputError, match=r"ref\.safetensors': No space left on device"):
        stats.with_side(replace(stats.side, num_samples=3)).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_moments_without_a_count_come_back_without_one(stats, tmp_path):
    need = Need("unknown", "unknown", "unknown", "moments")
    bare = Moments.from_covariance(torch.zeros(WIDTH, dtype=torch.float64), torch.eye(WIDTH, dtype=torch.float64), None)
    unknown = {"unknown": ExtractorRecord(None, None, None)}
    gm.Stats({need: bare}, SideRecord("x.npz", "npz", None, None), unknown, None).save(tmp_path / "x.safetensors")
    read = gm.Stats.load(tmp_path / "x.safetensors")
    moments = read.accumulators[need]
    assert isinstance(moments, Moments) and not moments.counted
    assert torch.equal(moments.covariance(), torch.eye(WIDTH, dtype=torch.float64))
    assert (read.num_samples, read.side.digest, read.seed) == (None, None, None)
