"""``--per-image``, ``--captions``, and figures of classes in the JSON."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import genmetrics as gm
from genmetrics.errors import UsageError
from genmetrics.sources.base import BatchSpec
from genmetrics.types import Shard
from support.pair_nets import registered_pair_networks

LITE = "efficientnet-lite0.in1k"
NEAREST, REALISM, INFLUENCE = f"nearest.{LITE}", f"realism.{LITE}", f"fd_influence.{LITE}"


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with registered_pair_networks():
        yield


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_one_row_for_each_generated_image_with_its_name_and_its_neighbours(genmetrics, two_sets, tmp_path):
    copied = tmp_path / "gen"
    shutil.copytree(two_sets[0], copied)
    original = sorted(two_sets[1].iterdir())[4]
    shutil.copy(original, copied / f"zz_copy{original.suffix}")
    file = tmp_path / "images.csv"
    run = genmetrics(
        "eval", copied, "--ref", two_sets[1], "-m", "nearest,realism", "--extractor", LITE, "--per-image", file
    )
    assert run.code == 0, run.err
    assert f"figures of single images: {file}" in run.err
    found = rows(file)
    assert [row["index"] for row in found] == [str(index) for index in range(13)]
    assert [row["name"] for row in found] == [path.name for path in sorted(copied.iterdir())]
    assert float(found[12][f"{NEAREST}.distance"]) < 1e-6
    assert found[12][f"{NEAREST}.nearest_ref_name"] == original.name
    assert found[12][f"{NEAREST}.nearest_ref"] == "4"
    assert min(float(row[f"{NEAREST}.distance"]) for row in found[:12]) > 1e-4
    assert all(row[f"{REALISM}.realism"] for row in found)


def test_what_raises_the_distance_beside_realism_and_the_nearest(genmetrics, image_folder, tmp_path):
    """One table with the classes; their sums are in the JSON, and one file of another kind tells the same."""
    for side, seeds in (("gen", (1, 2)), ("ref", (3, 4))):
        for name, seed in zip(("cats", "dogs"), seeds, strict=True):
            shutil.copytree(image_folder(5, 24, 24, seed=seed), tmp_path / side / name)
    metrics = "fid_influence,realism,nearest,fid"
    arguments = ("eval", tmp_path / "gen", "--ref", tmp_path / "ref", "-m", metrics, "--extractor", LITE)
    run = genmetrics(*arguments, "--labels", "folders", "--json", "--per-image", tmp_path / "images.csv")
    assert run.code == 0, run.err
    found = rows(tmp_path / "images.csv")
    assert list(found[0]) == [
        "index",
        "name",
        "label",
        f"{INFLUENCE}.influence",
        f"{REALISM}.realism",
        f"{REALISM}.nearest_ref",
        f"{REALISM}.nearest_ref_name",
        f"{NEAREST}.nearest_ref",
        f"{NEAREST}.nearest_ref_name",
        f"{NEAREST}.distance",
    ]
    assert [row["label"] for row in found] == ["cats"] * 5 + ["dogs"] * 5
    assert [row["name"].partition("/")[0] for row in found] == ["cats"] * 5 + ["dogs"] * 5
    results = json.loads(run.out)["metrics"]
    assert results[INFLUENCE]["value"] == results[f"fd.{LITE}"]["value"]
    table, influence = results[INFLUENCE]["per_class"], [float(row[f"{INFLUENCE}.influence"]) for row in found]
    assert table["class"] == ["cats", "dogs"]
    assert table["influence"] == pytest.approx([sum(influence[:5]), sum(influence[5:])])
    assert abs(sum(influence)) < 1e-9 * max(map(abs, influence))
    parquet = pytest.importorskip("pyarrow.parquet", reason="pip install 'genmetrics[hf]'")
    run = genmetrics(*arguments, "--labels", "folders", "--per-image", tmp_path / "images.parquet")
    assert run.code == 0, run.err
    assert parquet.read_table(tmp_path / "images.parquet").to_pydict()["label"] == ["cats"] * 5 + ["dogs"] * 5


def test_classes_that_an_evaluator_is_given(smooth_images):
    images = torch.from_numpy(smooth_images(6, 24, 24, seed=1)).permute(0, 3, 1, 2).contiguous()
    evaluator = gm.Evaluator(images.flip(0, 3), ["fid_influence"], extractor=LITE, device="cpu")
    for start in (4, 0, 2):
        part = torch.arange(start, start + 2)
        evaluator.update(images[part], part, labels=part % 3)
    report = evaluator.compute()
    assert report.per_image()["label"] == [0, 1, 2, 0, 1, 2]
    assert report[INFLUENCE].per_class["num_gen"] == [2, 2, 2]


def test_statistics_have_no_names_but_indices(two_sets, tmp_path):
    stats = [gm.compute_stats(side, ["nearest"], extractor=LITE, device="cpu") for side in two_sets]
    report = gm.evaluate(*stats, ["nearest"], extractor=LITE)
    assert list(report.per_image()) == ["index", f"{NEAREST}.nearest_ref", f"{NEAREST}.distance"]
    report.save_per_image(tmp_path / "images.csv")
    assert len(rows(tmp_path / "images.csv")) == 12


def test_a_stream_that_does_not_know_its_length_has_no_names(two_sets):
    images = gm.open_source(two_sets[0])

    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            for batch in images.batches(Shard(), BatchSpec()):
                yield from batch.images

    report = gm.evaluate(Stream(), two_sets[1], ["nearest"], extractor=LITE, device="cpu")
    columns = report.per_image()
    assert list(columns) == [
        "index",
        f"{NEAREST}.nearest_ref",
        f"{NEAREST}.nearest_ref_name",
        f"{NEAREST}.distance",
    ]


def test_metrics_without_such_figures_are_refused_before_the_run(genmetrics, two_sets, tmp_path):
    run = genmetrics("eval", *two_sets[:1], "-m", "isc", "--extractor", LITE, "--per-image", tmp_path / "i.csv")
    assert (run.code, run.out) == (2, "")
    assert f"none of the metrics has figures of single images (isc.{LITE}); ask for one that does" in run.err
    report = gm.evaluate(*two_sets, ["fid"], extractor=LITE, device="cpu")
    with pytest.raises(UsageError, match="none of the metrics has figures of single images"):
        report.per_image()


@pytest.mark.parametrize("name", ["images.txt", "no/images.csv"])
def test_a_file_that_cannot_be_is_refused_before_the_run(genmetrics, two_sets, tmp_path, name):
    run = genmetrics("eval", "missing", "-m", "nearest", "--ref", "missing", "--per-image", tmp_path / name)
    assert run.code == 2
    assert "ending in .csv" in run.err or "does not exist" in run.err


def test_captions_from_a_file(genmetrics, two_sets, tmp_path):
    names = [path.name for path in sorted(two_sets[0].iterdir())]
    (tmp_path / "captions.json").write_text(json.dumps({name: f"picture {name}" for name in names}))
    arguments = ("eval", two_sets[0], "-m", "reader_clip_score", "--json", "--captions")
    run = genmetrics(*arguments, tmp_path / "captions.json", "--crop", "pil-bicubic-24")
    assert run.code == 0, run.err
    assert json.loads(run.out)["metrics"]["reader_clip_score.pil-bicubic-24"]["extra"]["num_pairs"] == 12
    run = genmetrics(*arguments, tmp_path / "none.json")
    assert run.code == 2 and "none.json" in run.err


def test_figures_of_classes_are_in_the_json(genmetrics, image_folder, tmp_path):
    for name, seed in (("cats", 1), ("dogs", 2)):
        shutil.copytree(image_folder(4, 24, 24, seed=seed), tmp_path / "set" / name)
    run = genmetrics("eval", tmp_path / "set", "-m", "gaps_lpips_class", "--labels", "folders", "--json")
    assert run.code == 0, run.err
    result = json.loads(run.out)["metrics"]["gaps_lpips_class"]
    assert result["per_class"]["class"] == ["cats", "dogs"]
    assert result["per_class"]["num_pairs"] == [6, 6]
    assert result["value"] == pytest.approx(sum(result["per_class"]["mean"]) / 2)
