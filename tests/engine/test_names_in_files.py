"""Names of extractors that stand in statistics files: looked up, and never made, which would run code or fetch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import genmetrics as gm
from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.moments import Moments
from genmetrics.engine.describe import describe
from genmetrics.engine.plan import computable
from genmetrics.errors import StatisticsError, UsageError
from genmetrics.extractors import EXTRACTORS
from genmetrics.stats.parts import part_of_statistics
from genmetrics.stats.stats import Stats
from genmetrics.types import UNKNOWN, ExtractorRecord, Need, SideRecord

HUB = "hf:owner/name"
CLIP, DINO = "clip-vit-l14.openai", "dinov2-vitl14.lvd142m"


def statistics(*needs: tuple[Need, int]) -> Stats:
    held = {}
    for need, width in needs:
        filled = Moments(width) if need.accumulator == "moments" else FeatureBank(width)
        generator = torch.Generator().manual_seed(0)
        filled.update(torch.randn(30, width, generator=generator), torch.arange(30))
        held[need] = filled
    side = SideRecord("somewhere", "folder", 30, "0" * 64)
    part = part_of_statistics(side.source, side.kind, 30, held.values())
    side = SideRecord("somewhere", "folder", 30, "0" * 64, parts=(part,))
    names = {need.extractor for need, _ in needs}
    return Stats(held, side, {name: ExtractorRecord("1" * 64, None, "exact") for name in names}, seed=2020)


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a network whose file says that it was run; and a hub that says that it was asked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "evil.py").write_text("import pathlib\npathlib.Path('ran').touch()\ndef make(): ...\n")
    return "python:evil.py:make"


@pytest.fixture
def nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evil: str):
    huggingface_hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *a, **k: (tmp_path / "fetched").touch())
    yield
    assert not (tmp_path / "ran").exists() and not (tmp_path / "fetched").exists()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(np.full((8, 8, 3), 40 * number, np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(params=["python", "hub", "both beside unnamed ones"])
def file(request: pytest.FixtureRequest, tmp_path: Path, evil: str) -> Path:
    ours = (Need(evil, "pil-bicubic-224-imagenet", "features", "moments"), 5)
    theirs = (Need(HUB, "adm-64+pil-bicubic-224-imagenet", "pooled", "feature_bank"), 6)
    unnamed = (Need(UNKNOWN, UNKNOWN, UNKNOWN, "moments"), 5)
    held = {"python": [ours], "hub": [theirs]}.get(request.param, [ours, theirs, unnamed])
    statistics(*held).save(tmp_path / "held.safetensors")
    return tmp_path / "held.safetensors"


class TestNothingIsRunOrFetched:
    @pytest.fixture(autouse=True)
    def _watched(self, nothing_is_made): ...

    def test_by_reading_and_describing(self, file):
        described = describe(Stats.load(file))
        for name in {need.extractor for need in described.stats.accumulators} - {UNKNOWN}:
            assert any(metric.startswith(f"fd.{name}") for metric in described.as_reference)
            assert name not in EXTRACTORS and EXTRACTORS.makes(name)
        assert all(not name.startswith(("fd.", "kid.")) for name in described.could_be if ":" not in name)

    @pytest.mark.parametrize("metrics", [None, "fid", "kid", "fd_dinov2"])
    def test_by_evaluating(self, file, images, metrics):
        with pytest.raises((StatisticsError, UsageError)) as caught:
            gm.evaluate(images, ref=file, metrics=metrics, device="cpu", cache=False)
        held = {need.extractor for need in Stats.load(file).accumulators}
        if UNKNOWN not in held:
            assert "was run or fetched, since only the file names it; asking for it does" in str(caught.value)
            assert "Ask for 'fd." in str(caught.value)

    def test_by_evaluating_them_as_the_generated_side(self, file):
        with pytest.raises((StatisticsError, UsageError)):
            gm.evaluate(file, ref=file, device="cpu", cache=False)
        with pytest.raises((StatisticsError, UsageError)):
            gm.evaluate(file, device="cpu", cache=False)
        with pytest.raises((StatisticsError, UsageError)):
            gm.Evaluator(file, "fid", extractor="efficientnet-lite0.in1k", device="cpu", cache=False)

    def test_by_merging(self, file, tmp_path):
        stats = Stats.load(file)
        with pytest.raises(StatisticsError):
            stats.merge(stats)


def test_asking_for_it_does_run_it(tmp_path, evil):
    """The negative control of those above."""
    with pytest.raises(UsageError, match="gives a NoneType"):
        gm.evaluate(tmp_path, ref=tmp_path, metrics=f"fd.{evil}")
    assert (tmp_path / "ran").exists()


def test_a_name_that_ends_in_a_crop_is_no_metric():
    stats = statistics((Need("hf:a/b.adm-64", "pil-bicubic-224-imagenet", "pooled", "moments"), 4))
    assert computable(stats) == []


@pytest.mark.parametrize("extractor", [CLIP, DINO, "clip-vit-b32.openai", "inception-v3.tf2015"])
def test_every_family_is_offered_on_every_network(extractor):
    """Also on those that have a metric of their own; each name once."""
    info = EXTRACTORS.get(extractor)
    need = Need(extractor, info.preprocess, info.pool, "feature_bank")
    names = [metric.id for metric in computable(statistics((need, info.features[info.pool])))]
    assert len(names) == len(set(names))
    if extractor == "inception-v3.tf2015":
        assert {"fid", "kid"} <= set(names) and "fd.inception-v3.tf2015" not in names
    else:
        assert {f"fd.{extractor}", f"kid.{extractor}", f"prdc.{extractor}"} <= set(names)
    if extractor == DINO:
        assert {"fd_dinov2", "prdc_dinov2"} <= set(names)
