"""``evaluate`` on whole image sets: one number whatever the container, the batch, the threads or the order."""

from __future__ import annotations

import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import genmetrics as gm
from genmetrics.errors import StatisticsError, UsageError
from genmetrics.extractors import EXTRACTORS
from genmetrics.metrics import METRICS
from genmetrics.metrics.base import Metric, SetStatistics
from genmetrics.metrics.mean_error import without_error
from genmetrics.types import MetricInfo, Need

LITE = "efficientnet-lite0.in1k"
FD, KID, ISC = (f"{family}.{LITE}" for family in ("fd", "kid", "isc"))


@pytest.fixture(scope="module")
def pixels(smooth_images) -> tuple[np.ndarray, np.ndarray]:
    return smooth_images(12, 40, 56, seed=1), smooth_images(14, 48, 48, seed=2, warmth=0.3)


@pytest.fixture(scope="module")
def folders(pixels, tmp_path_factory) -> tuple[Path, Path]:
    made = []
    for images in pixels:
        folder = tmp_path_factory.mktemp("set")
        for number, image in enumerate(images):
            Image.fromarray(image).save(folder / f"{number:03d}.png")
        made.append(folder)
    return made[0], made[1]


@pytest.fixture(scope="module")
def ref(folders) -> gm.Stats:
    """The reference, read once for all the runs that vary the generated side."""
    return gm.compute_stats(folders[1], metrics=["fid", "kid"], extractor=LITE)


@pytest.fixture(scope="module")
def baseline(folders) -> gm.Report:
    return gm.evaluate(folders[0], folders[1], extractor=LITE)


def figures(report: gm.Report) -> dict[str, float]:
    # Without error bars: which there are depends on how long the run took.
    return {
        f"{name}.{key}": value
        for name, result in report.metrics.items()
        for key, value in {"value": result.value, **without_error(result).extra}.items()
    }


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_batch_size_changes_no_number(folders, baseline, batch_size):
    report = gm.evaluate(folders[0], folders[1], extractor=LITE, batch_size=batch_size)
    assert figures(report) == pytest.approx(figures(baseline), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("workers", [0, 7])
def test_worker_count_changes_no_bit(folders, ref, baseline, workers):
    report = gm.evaluate(folders[0], ref, extractor=LITE, workers=workers)
    assert figures(report) == figures(baseline)


def test_order_does_not_change_what_does_not_depend_on_draws(folders, ref, baseline):
    names = sorted(folders[0].iterdir())
    shuffled = [names[i] for i in np.random.default_rng(0).permutation(len(names))]
    report = gm.evaluate(shuffled, ref, extractor=LITE)
    assert report[FD].value == pytest.approx(baseline[FD].value, rel=1e-6)
    assert report.gen.digest == baseline.gen.digest
    # The negative control: the splits of the Inception Score are drawn by position.
    assert report[ISC].value != baseline[ISC].value


def test_every_container_gives_the_same_numbers_and_digest(folders, pixels, ref, baseline, tmp_path):
    gen = folders[0]
    with zipfile.ZipFile(tmp_path / "gen.zip", "w") as archive:
        for path in sorted(gen.iterdir(), reverse=True):
            archive.write(path, path.name)
    with tarfile.open(tmp_path / "gen.tar.gz", "w:gz") as archive:
        archive.add(gen, arcname=".")
    np.savez_compressed(tmp_path / "gen.npz", arr_0=pixels[0])
    np.save(tmp_path / "gen.npy", pixels[0])
    tensor = torch.from_numpy(pixels[0]).permute(0, 3, 1, 2).contiguous()
    sources = [tmp_path / name for name in ("gen.zip", "gen.tar.gz", "gen.npz", "gen.npy")]
    for source in (*sources, f"npz:{tmp_path / 'gen.npz'}", pixels[0], tensor, gm.open_source(gen)):
        report = gm.evaluate(source, ref, extractor=LITE)
        assert figures(report) == figures(baseline)
        assert report.gen.digest == baseline.gen.digest


def test_images_of_many_sizes_are_all_counted(tmp_path, smooth_images):
    sizes = [(33, 20), (64, 64), (20, 33), (7, 5), (64, 64), (33, 20), (100, 30)] * 2
    for number, (height, width) in enumerate(sizes):
        Image.fromarray(smooth_images(1, height, width, seed=number)[0]).save(tmp_path / f"{number:02d}.png")
    one_by_one = gm.evaluate(tmp_path, tmp_path, extractor=LITE, batch_size=1, workers=0)
    together = gm.evaluate(tmp_path, tmp_path, extractor=LITE, batch_size=16, workers=4)
    assert together.gen.num_samples == len(sizes)
    assert together.gen.digest == one_by_one.gen.digest
    assert together[ISC].value == pytest.approx(one_by_one[ISC].value, rel=1e-6)
    assert together[FD].value == pytest.approx(0, abs=1e-6)
    assert any("gen and ref are the same images" in text for text in together.warnings)


def test_a_reference_computed_once_gives_the_same_as_its_images(folders, ref, baseline):
    assert figures(gm.evaluate(folders[0], ref, extractor=LITE)) == figures(baseline)
    gen = gm.compute_stats(folders[0], metrics="fid,kid,isc", extractor=LITE)
    assert figures(gm.evaluate(gen, ref, extractor=LITE)) == figures(baseline)


def test_statistics_without_what_a_metric_needs_say_what_they_hold(folders):
    ref = gm.compute_stats(folders[1], metrics=["fid"], extractor=LITE)
    with pytest.raises(StatisticsError, match=r"hold no feature bank of efficientnet.*they hold: moments of"):
        gm.evaluate(folders[0], ref, metrics=["kid"], extractor=LITE)


def test_statistics_of_other_weights_or_precision_are_not_compared(folders, inception_weights, tmp_path):
    state = torch.load(inception_weights, weights_only=True)
    state["fc.bias"] += 1
    torch.save(state, tmp_path / "other.pth")
    ref = gm.compute_stats(folders[1], metrics=["fid_64"], weights=inception_weights)
    with pytest.raises(StatisticsError, match=r"different weights_sha256 of 'inception-v3\.tf2015'"):
        gm.evaluate(folders[0], ref, metrics=["fid_64"], weights=tmp_path / "other.pth")
    # Found out before the first image: the generated side holds none that could be read.
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "broken.png").write_bytes(b"no image")
    with pytest.raises(StatisticsError, match="different precision"):
        gm.evaluate(tmp_path / "set", ref, metrics=["fid_64"], weights=inception_weights, precision="bf16")
    with pytest.raises(StatisticsError, match="different precision"):
        gm.evaluate(folders[0], ref, metrics=["fid_64"], weights=inception_weights, precision="bf16")


def test_two_preprocessings_and_two_networks_in_one_pass(folders, inception_weights):
    names = ["fid_64", "fid_pytorch_64", f"fd.{LITE}"]
    together = gm.evaluate(folders[0], folders[1], names, weights={"inception-v3.tf2015": inception_weights})
    assert list(together.metrics) == ["fid_64", "fid_pytorch_64", FD]
    assert together["fid_64"].value != together["fid_pytorch_64"].value
    for name in names[:2]:
        alone = gm.evaluate(folders[0], folders[1], [name], weights=inception_weights)
        assert alone[name].value == pytest.approx(together[name].value, rel=1e-9)
    preprocess = together.extractors["inception-v3.tf2015"].preprocess
    assert set(preprocess) == {"tf1-bilinear-299", "torch-bilinear-299"}


def test_bf16_is_recorded_and_warned_about(folders, baseline):
    report = gm.evaluate(folders[0], folders[1], ["fid"], extractor=LITE, precision="bf16")
    assert str(report[FD].protocol).endswith("/bf16")
    assert "ran in bf16" in report[FD].warnings[-2]
    assert "bf16 moved fd by up to" in report[FD].warnings[-1] and "effect class" in report[FD].warnings[-1]
    assert report[FD].value != baseline[FD].value


def test_dropped_transparency_warns_python_code(smooth_images, ref):
    opaque = np.concatenate([smooth_images(12, 32, 32, seed=4), np.full((12, 32, 32, 1), 255, np.uint8)], axis=3)
    half = opaque.copy()
    half[:5, :, :16, 3] = 0
    gm.evaluate(opaque, ref, ["fid"], extractor=LITE)
    with pytest.warns(gm.GenmetricsWarning, match="5 of 12 images have transparency, which was dropped"):
        report = gm.evaluate(half, ref, ["fid"], extractor=LITE)
    assert "5 of 12 images have transparency" in report.gen.notes[0]
    composited = gm.evaluate(half, ref, ["fid"], extractor=LITE, alpha="white")
    assert composited[FD].value != report[FD].value


def test_one_image_is_an_error_for_every_metric(ref, pixels):
    for metric, expected in (("fid", "at least 2"), ("kid", "at least 2"), ("isc", "splits of the Inception Score")):
        with pytest.raises(StatisticsError, match=expected):
            gm.evaluate(pixels[0][:1], ref, [metric], extractor=LITE)


def test_nan_in_features_stops_the_run(folders, inception_weights, tmp_path):
    state = torch.load(inception_weights, weights_only=True)
    state["Conv2d_1a_3x3.conv.weight"][0] = torch.nan
    torch.save(state, tmp_path / "nan.pth")
    with pytest.raises(StatisticsError, match="contain NaN or infinity"):
        gm.evaluate(folders[0], folders[1], ["fid_64"], weights=tmp_path / "nan.pth")


def test_progress_counts_every_image_of_both_sides(folders):
    records: list[gm.Progress] = []
    gm.evaluate(folders[0], folders[1], extractor=LITE, progress=records.append)
    for stage, total in (("ref", 14), ("gen", 12)):
        done = [record.done for record in records if record.stage == stage]
        assert done[0] == 0
        assert done[-1] == total
        assert done == sorted(done)
    stages = [record.stage for record in records]
    assert stages.index("ref") < stages.index("gen") < stages.index("metrics")


def test_a_lone_weight_file_needs_one_extractor(folders, inception_weights):
    with pytest.raises(UsageError, match="say whose weights"):
        gm.evaluate(folders[0], folders[1], ["fid", f"fd.{LITE}"], weights=inception_weights)


def test_unknown_arguments_are_errors(folders):
    with pytest.raises(TypeError, match="extractr"):
        gm.evaluate(folders[0], extractr=LITE)


def test_skipped_images_leave_the_splits_even(folders, tmp_path):
    for number, path in enumerate(sorted(folders[0].iterdir())):
        (tmp_path / path.name).write_bytes(path.read_bytes() if number != 5 else b"torn")
    kept = [path for number, path in enumerate(sorted(folders[0].iterdir())) if number != 5]
    skipped = gm.evaluate(tmp_path, extractor=LITE, on_bad_image="skip")
    assert figures(skipped) == pytest.approx(figures(gm.evaluate(kept, extractor=LITE)), rel=1e-6)
    assert [image.name.endswith("005.png") for image in skipped.gen.skipped] == [True]


class Undefined(Metric):
    """A metric that forgot a case."""

    higher_is_better = False
    unary = True

    def __init__(self, info: MetricInfo, seed: int) -> None:
        self.id = info.id
        self.needs = (Need(info.extractor, info.preprocess, info.feature, "moments"),)
        self.protocol = info.protocol

    def compute(self, gen: SetStatistics, ref: SetStatistics | None) -> gm.MetricResult:
        return gm.MetricResult(self.id, 1.0, {"std": float("nan")}, self.protocol)


def test_a_metric_that_is_no_number_is_an_error(pixels, monkeypatch):
    info = MetricInfo("undefined", "not used", "", LITE, "1280", "crop875-bicubic-224", False, True)
    monkeypatch.setitem(METRICS._entries, "undefined", info)
    monkeypatch.setattr("genmetrics.metrics.resolve.load_target", lambda target: Undefined)
    with pytest.raises(StatisticsError, match="metric 'undefined' came out as std = nan, which is no result"):
        gm.evaluate(pixels[0][:2], metrics=["undefined"])


def test_a_metric_with_constants_of_its_own(folders, baseline):
    on_lite = {"extractor": LITE, "feature": "1280", "preprocess": EXTRACTORS.get(LITE).preprocess}
    small = replace(
        METRICS.get("kid"),
        id="kid_10x8",
        estimator="poly3-10x8",
        settings=(("num_subsets", 10), ("subset_size", 8)),
        **on_lite,
    )
    report = gm.evaluate(*folders, metrics=[small, FD])
    assert list(report.metrics) == ["kid_10x8", FD]
    assert report["kid_10x8"].extra["subset_size"] == 8
    assert str(report["kid_10x8"].protocol).endswith("poly3-10x8")
    assert report["kid_10x8"].value != baseline[KID].value
    assert report[FD].value == baseline[FD].value
    report.to_markdown(), report.to_json()
