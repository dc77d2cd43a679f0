"""Error bars of whole runs: asked for, left out, from files, and alike on any way of reading."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import genmetrics as gm
from genmetrics.cli.main import main
from genmetrics.engine import error_bars
from support.blocks import NET, registered_blocks

FD = f"fd.{NET}"


@pytest.fixture(autouse=True)
def _network() -> Iterator[None]:
    with registered_blocks():
        yield


@pytest.fixture(scope="module")
def images(smooth_images: Callable[..., np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return smooth_images(130, 16, 16, seed=1, warmth=0.4), smooth_images(110, 16, 16, seed=2)


def run(*sides, **options) -> gm.Report:
    return gm.evaluate(*sides, [FD], extractor=NET, device="cpu", **options)


def test_on(images):
    result = run(*images, error_bars="on")[FD]
    assert set(result.extra) == {"debiased", "se", "ci95_low", "ci95_high"}
    assert 0 < result.extra["se"] < result.value
    assert result.extra["ci95_low"] < result.extra["debiased"] < result.extra["ci95_high"]
    assert result.extra["debiased"] < result.value
    assert {side: len(values) for side, values in result.replicates.items()} == {"gen": 10, "ref": 10}


def test_off(images):
    result = run(*images, error_bars="off")[FD]
    assert (dict(result.extra), dict(result.replicates)) == ({}, {})
    assert result.value == run(*images, error_bars="on")[FD].value


def test_auto_has_them_where_there_is_time(images, monkeypatch):
    monkeypatch.setattr(error_bars, "_SHARE", 1e9)
    assert run(*images)[FD].extra == run(*images, error_bars="on")[FD].extra


def test_auto_leaves_them_out_and_says_so(images, monkeypatch):
    monkeypatch.setattr(error_bars, "_SHARE", 0.0)
    monkeypatch.setattr(error_bars, "_LEAST", 0.0)
    report = run(*images)
    assert "se" not in report[FD].extra
    assert any(f"the error bars of {FD} were left out" in note and "--error-bars on" in note for note in report.notes)


def test_auto_says_nothing_where_there_are_too_few_images(images):
    report = run(images[0][:50], images[1])
    assert "se" not in report[FD].extra
    assert not any("error bar" in text for text in report.warnings)
    asked = run(images[0][:50], images[1], error_bars="on")
    assert any("they hold from 5 images per dimension on, 60 here, and there are 50" in w for w in asked.warnings)


@pytest.mark.parametrize("options", [{"batch_size": 3}, {"batch_size": 64}, {"workers": 0}])
def test_alike_on_any_way_of_reading(images, options):
    expected = run(*images, error_bars="on")[FD].extra
    assert run(*images, error_bars="on", **options)[FD].extra == pytest.approx(expected, rel=1e-6)


def test_from_files(images, tmp_path):
    """Kept with blocks a reference is as good as its images; without them it is taken as it is."""
    expected = run(*images, error_bars="on")[FD]
    for name, kept in (("with", "on"), ("without", "off")):
        stats = gm.compute_stats(images[1], [FD], extractor=NET, device="cpu", error_bars=kept)
        stats.save(tmp_path / f"{name}.safetensors")
    again = run(images[0], tmp_path / "with.safetensors", error_bars="on")[FD]
    assert again.extra == pytest.approx(expected.extra, rel=1e-9)
    alone = run(images[0], tmp_path / "without.safetensors", error_bars="on")[FD]
    assert alone.value == pytest.approx(expected.value, rel=1e-12)
    assert set(alone.replicates) == {"gen"}
    assert any("of the generated images alone" in text for text in alone.warnings)


def test_kept_features_are_enough(images):
    stats = gm.compute_stats(images[1], [f"kid.{NET}"], extractor=NET, device="cpu")
    assert set(run(images[0], stats, error_bars="on")[FD].replicates) == {"gen", "ref"}


def test_shards_merge_to_the_same(images):
    from genmetrics.types import Shard

    shards = [
        gm.compute_stats(images[1], [FD], extractor=NET, device="cpu", error_bars="on", shard=Shard(i, 3))
        for i in range(3)
    ]
    merged = shards[0].merge(*shards[1:])
    expected = run(*images, error_bars="on")[FD]
    assert run(images[0], merged, error_bars="on")[FD].extra == pytest.approx(expected.extra, rel=1e-9)


def test_kept_statistics_are_found_again(images, tmp_path):
    first = run(*images, error_bars="on", cache=tmp_path)
    second = run(*images, error_bars="on", cache=tmp_path)
    assert second[FD].extra == pytest.approx(first[FD].extra, rel=1e-9)
    assert set(second.reused) == {"gen", "ref"}


def test_in_the_json(images, tmp_path):
    report = run(*images, error_bars="on")
    written = json.loads(report.to_json())["metrics"][FD]
    assert written["extra"]["se"] == report[FD].extra["se"]
    assert written["replicates"] == {side: list(values) for side, values in report[FD].replicates.items()}
    assert "replicates" not in json.loads(run(*images, error_bars="off").to_json())["metrics"][FD]


def test_on_the_command_line(images, tmp_path, monkeypatch, capsys):
    for name, side in zip(("gen", "ref"), images, strict=True):
        np.savez(tmp_path / f"{name}.npz", arr_0=side)
    gen, ref = (str(tmp_path / f"{name}.npz") for name in ("gen", "ref"))
    common = ["-m", FD, "--extractor", NET, "--device", "cpu", "--quiet"]
    build = [
        "genmetrics",
        "stats",
        "build",
        ref,
        "-o",
        str(tmp_path / "ref.safetensors"),
        "--error-bars",
        "on",
        *common,
    ]
    command(build, monkeypatch)
    command(
        ["genmetrics", "eval", gen, "--ref", str(tmp_path / "ref.safetensors"), "--error-bars", "on", *common],
        monkeypatch,
    )
    out = capsys.readouterr().out
    assert "debiased" in out and "ci95_low" in out
    build[5] = str(tmp_path / "moments.npz")
    with pytest.raises(SystemExit) as exited:
        command(build, monkeypatch)
    assert exited.value.code == 2
    assert "cannot hold what error bars take, which '--error-bars on' asks for" in capsys.readouterr().err


def command(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", arguments)
    try:
        main()
    except SystemExit as exited:
        if exited.code:
            raise


FREE = (f"kid_full.{NET}", f"prdc.{NET}", f"isc.{NET}")
KID = f"kid.{NET}"


def test_those_that_cost_nothing_are_always_given_and_off_takes_them_out(images, monkeypatch):
    monkeypatch.setattr(error_bars, "_SHARE", 0.0)
    monkeypatch.setattr(error_bars, "_LEAST", 0.0)
    report = gm.evaluate(*images, [*FREE, KID], device="cpu")
    for name in FREE:
        assert {"se", "ci95_low", "ci95_high"} <= set(report[name].extra)
        assert report[name].replicates
    assert "se" not in report[KID].extra
    assert [note for note in report.notes if "left out" in note and KID in note]
    bare = gm.evaluate(*images, [*FREE, KID], device="cpu", error_bars="off")
    for name in FREE:
        assert not {"se", "ci95_low", "ci95_high"} & set(bare[name].extra)
        assert not bare[name].replicates
        assert bare[name].value == report[name].value
    assert not [note for note in bare.notes if "left out" in note]


def test_those_that_cost_are_given_where_asked_for(images):
    result = gm.evaluate(*images, [KID], device="cpu", error_bars="on")[KID]
    assert result.extra["ci95_low"] < result.value < result.extra["ci95_high"]
    assert 0 < result.extra["se"] < 10 * result.extra["std"]
