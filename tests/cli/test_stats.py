"""``genmetrics stats`` and ``genmetrics cache``, as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import genmetrics as gm
from genmetrics.accumulators.moments import Moments
from genmetrics.stats.parts import part_of_statistics
from genmetrics.types import ExtractorRecord, Need, SideRecord

LITE = ("--extractor", "efficientnet-lite0.in1k")
FD, KID = (f"{family}.efficientnet-lite0.in1k" for family in ("fd", "kid"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, two_sets: tuple[Path, Path]) -> Path:
    path = tmp_path_factory.mktemp("built") / "ref.safetensors"
    gm.compute_stats(two_sets[1], ["fid", "kid"], extractor=LITE[1]).save(path)
    return path


def values(text: str) -> dict[str, float]:
    return {name: result["value"] for name, result in json.loads(text)["metrics"].items()}


def test_build_then_eval_gives_what_the_images_give(genmetrics, two_sets, tmp_path):
    ref = tmp_path / "ref.safetensors"
    ended = genmetrics("stats", "build", two_sets[1], "-o", ref, *LITE)
    assert ended.code == 0
    assert ended.out.splitlines() == [
        f"{ref}: statistics of 14 images of {two_sets[1]}",
        f"use it with: genmetrics eval GEN --ref {ref} -m fid,kid --extractor {LITE[1]}",
    ]
    assert "14/14 images" in ended.err
    from_file = genmetrics("eval", two_sets[0], "--ref", ref, "-m", "fid,kid", *LITE, "--json", "--quiet")
    from_images = genmetrics("eval", two_sets[0], "--ref", two_sets[1], "-m", "fid,kid", *LITE, "--json", "--quiet")
    assert values(from_file.out) == values(from_images.out)


def test_shards_and_merge(genmetrics, two_sets, built, tmp_path):
    parts = [tmp_path / f"{index}.safetensors" for index in range(3)]
    for index, part in enumerate(parts):
        command = ("stats", "build", two_sets[1], "-o", part, *LITE, "--shard", f"{index}/3", "--quiet")
        assert genmetrics(*command).code == 0
    whole = tmp_path / "whole.safetensors"
    ended = genmetrics("stats", "merge", *parts[::-1], "-o", whole)
    assert (ended.code, ended.out) == (0, f"{whole}: statistics of 14 images of {two_sets[1]}\n")
    distance = genmetrics("eval", whole, "--ref", built, "-m", "fid", *LITE, "--json", "--quiet")
    assert values(distance.out)[FD] == pytest.approx(0, abs=1e-9)
    whole_bytes = whole.read_bytes()
    fewer = genmetrics("stats", "merge", parts[0], parts[2], "-o", whole)
    assert fewer.code == 2
    assert "only 9 of 14 images are in the given parts: images 4 to 8 are in none" in fewer.err
    assert whole.read_bytes() == whole_bytes
    fewer = genmetrics("stats", "merge", parts[0], parts[2], "-o", whole, "--partial")
    assert "only 9 of 14 images are in it; merge the other shards too" in fewer.err
    twice = genmetrics("stats", "merge", parts[0], parts[0], "-o", whole)
    assert (twice.code, "overlap: images 0 to 3" in twice.err) == (2, True)


def test_show_says_what_it_is_and_what_can_be_computed(genmetrics, two_sets, built):
    ended = genmetrics("stats", "show", built)
    lines = {line[:14].strip(): line[14:] for line in ended.out.splitlines() if line[:14].strip()}
    assert lines["file"] == str(built)
    assert lines["statistics of"] == f"14 images of {two_sets[1]} (folder)"
    assert lines["network"].startswith("efficientnet-lite0.in1k, published weights (sha256 579344248a93), exact")
    assert {FD, KID} <= set(lines["reference for"].split(", "))
    assert (lines["formats"], lines["sizes"], lines["distinct"]) == ("PNG (14)", "40x48 pixels", "14 images")
    record = json.loads(genmetrics("stats", "show", built, "--json").out)
    assert (record["num_samples"], record["num_distinct"]) == (14, 14)
    assert {FD, KID} <= set(record["as_reference"]) and record["could_be"] == []
    assert {FD, KID, "fd_inf.efficientnet-lite0.in1k"} <= set(record["as_generated"])
    # Nothing here has a class.
    assert not any(name.startswith("intra_fd.") for name in record["as_reference"])
    assert set(record["versions"]) >= {"genmetrics", "torch"}


def test_a_mean_and_covariance_serve_more_as_the_reference(genmetrics, two_sets, tmp_path):
    """FID at infinity draws from the generated features, and takes of the reference what FID does."""
    path = tmp_path / "ref.safetensors"
    gm.compute_stats(two_sets[1], ["fid"], extractor=LITE[1]).save(path)
    record = json.loads(genmetrics("stats", "show", path, "--json").out)
    assert "fd_inf.efficientnet-lite0.in1k" in record["as_reference"]
    assert "fd_inf.efficientnet-lite0.in1k" not in record["as_generated"]
    assert FD in record["as_reference"] and FD in record["as_generated"]


def test_a_foreign_file_says_what_it_does_not_say(genmetrics, tmp_path):
    path = tmp_path / "ref.npz"
    np.savez(path, mu=np.zeros(64), sigma=np.eye(64))
    ended = genmetrics("stats", "show", path)
    assert "an unknown number of images" in ended.out
    assert "unknown: the file does not say" in ended.out
    assert "fid_64, fid_pytorch_64 (by its width; the file does not say)" in ended.out
    assert f"genmetrics stats convert {path} OUT.safetensors --as fid_64" in ended.out
    record = json.loads(genmetrics("stats", "show", path, "--json").out)
    assert (record["num_samples"], record["digest"], record["as_reference"]) == (None, None, [])
    assert record["could_be"] == ["fid_64", "fid_pytorch_64"]


class TestConvert:
    @pytest.fixture
    def npz(self, tmp_path) -> Path:
        np.savez(tmp_path / "ref.npz", mu=np.arange(64.0), sigma=np.eye(64))
        return tmp_path / "ref.npz"

    def test_saying_what_it_is(self, genmetrics, npz, tmp_path):
        out = tmp_path / "ref.safetensors"
        ended = genmetrics("stats", "convert", npz, out, "--as", "fid_64", "--num-samples", 5000)
        assert (ended.code, ended.out) == (0, f"{out}: moments of inception-v3.tf2015/64/tf1-bilinear-299\n")
        stats = gm.Stats.load(out)
        assert stats.num_samples == 5000
        assert any("it was said when it was converted" in note for note in stats.side.notes)
        report = json.loads(genmetrics("eval", out, "--ref", out, "-m", "fid_64", "--json", "--quiet").out)
        assert report["metrics"]["fid_64"]["value"] == pytest.approx(0, abs=1e-9)
        wrong = genmetrics("eval", out, "--ref", out, "-m", "fid_pytorch_64")
        assert (wrong.code, "Ask for 'fid_64'" in wrong.err) == (2, True)

    def test_saying_what_it_is_not(self, genmetrics, npz, built, tmp_path):
        ended = genmetrics("stats", "convert", npz, tmp_path / "x.safetensors", "--as", "fid")
        assert (ended.code, "it can be of: fid_64, fid_pytorch_64" in ended.err) == (2, True)
        ended = genmetrics("stats", "convert", built, tmp_path / "x.safetensors", "--as", "fid")
        assert (ended.code, "says itself what it is of" in ended.err) == (2, True)
        ended = genmetrics("stats", "convert", built, tmp_path / "x.safetensors", "--num-samples", 3)
        assert (ended.code, "says itself that it is of 14 images" in ended.err) == (2, True)

    def test_for_other_tools_and_back(self, genmetrics, two_sets, built, tmp_path):
        out = tmp_path / "ref.npz"
        ended = genmetrics("stats", "convert", built, out, "-m", FD)
        assert (ended.code, ended.out.startswith(f"{out}: moments of efficientnet-lite0.in1k")) == (0, True)
        assert ended.err.startswith("note: a .npz file holds one of them; not in it: feature bank of efficientnet")
        with np.load(out) as arrays:
            assert arrays["mu"].shape == (1280,) and arrays["sigma"].shape == (1280, 1280)
        one, two = (
            values(genmetrics("eval", two_sets[0], "--ref", ref, "-m", "fid", *LITE, "--json", "--quiet").out)[FD]
            for ref in (built, out)
        )
        assert two == pytest.approx(one, rel=1e-9)

    def test_a_metric_is_also_known_by_the_name_in_reports(self, genmetrics, two_sets, tmp_path):
        ref, out = tmp_path / "ref.safetensors", tmp_path / "ref.npz"
        built = genmetrics("stats", "build", two_sets[1], "-o", ref, *LITE, "-m", "fid", "--crop", "adm-32", "--quiet")
        assert built.out.splitlines()[1].endswith(f"-m fid --extractor {LITE[1]} --crop adm-32")
        assert genmetrics("stats", "convert", ref, out, "-m", f"{FD}.adm-32").code == 0

    def test_what_an_npz_cannot_hold_is_said_before_anything_is_read(self, genmetrics, two_sets, tmp_path):
        for metrics, text in (
            ("isc", "holds no mean and covariance"),
            ("fid,fid_pytorch", "of 2 kinds"),
            ("realism", "also need: feature bank of vgg16.tv-in1k/fc2_relu/"),
            ("fid,kid", f"Write '{tmp_path / 'x.safetensors'}', which holds it all, or leave these metrics out"),
            ("fid,isc", "also need: "),
        ):
            ended = genmetrics("stats", "build", two_sets[1], "-o", tmp_path / "x.npz", "-m", metrics)
            assert (ended.code, text in ended.err) == (2, True)
            assert "images" not in ended.err.partition("genmetrics: error")[0]

    def test_an_npz_is_made_for_what_it_can_hold(self, genmetrics, two_sets, tmp_path):
        for name, metrics in (("a.npz", "fid"), ("a_kid.npz", "fid,kid")):
            ended = genmetrics("stats", "build", two_sets[1], "-o", tmp_path / name, *LITE, "--quiet")
            assert ended.out.splitlines()[1] == (
                f"use it with: genmetrics eval GEN --ref {tmp_path / name} -m {metrics} --extractor {LITE[1]}"
            )
            command = ("eval", two_sets[0], "--ref", tmp_path / name, "-m", metrics, *LITE, "--json", "--quiet")
            assert len(values(genmetrics(*command).out)) == len(metrics.split(","))

    def test_a_pth_for_vq(self, genmetrics, two_sets, inception_weights, tmp_path):
        path, weights = tmp_path / "val.pth", ("--weights", inception_weights)
        ended = genmetrics("stats", "build", two_sets[1], "-o", path, *weights, "--device", "cpu", "--quiet")
        assert (
            ended.out.splitlines()[1]
            == f"use it with: genmetrics eval GEN --ref {path} -m fid_pytorch --weights {weights[1]}"
        )
        assert genmetrics("stats", "convert", path, tmp_path / "val.safetensors").code == 0
        ended = genmetrics(
            "stats", "convert", tmp_path / "val.safetensors", tmp_path / "again.pth", "-m", "fid_pytorch"
        )
        assert (ended.code, ended.out) == (
            0,
            f"{tmp_path / 'again.pth'}: moments of inception-v3.tf2015/2048/torch-bilinear-299\n",
        )
        ended = genmetrics("stats", "build", two_sets[1], "-o", path, "-m", "fid")
        assert (ended.code, "holds no mean and covariance as todd makes them" in ended.err) == (2, True)

    def test_a_metric_of_one_set_is_asked_for_of_the_file(self, genmetrics, two_sets, tmp_path):
        path = tmp_path / "a.safetensors"
        ended = genmetrics("stats", "build", two_sets[1], "-o", path, *LITE, "-m", "isc,fid,rke", "--quiet")
        assert ended.out.splitlines()[1:] == [
            f"use it with: genmetrics eval GEN --ref {path} -m fid --extractor {LITE[1]}",
            f"use it with: genmetrics eval {path} -m isc,rke --extractor {LITE[1]}",
        ]
        command = ("eval", path, "-m", "isc,rke", *LITE, "--json", "--quiet")
        assert len(values(genmetrics(*command).out)) == 2

    def test_a_name_that_cannot_be_written(self, genmetrics, npz, tmp_path):
        ended = genmetrics("stats", "convert", npz, tmp_path / "ref.pkl")
        assert (ended.code, "expected a name ending in .safetensors" in ended.err) == (2, True)
        assert not (tmp_path / "ref.pkl").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("build", "none", "-o", "x.safetensors"), "'none' does not exist"),
        (("build", ".", "-o", "none/x.safetensors"), "the folder 'none' does not exist"),
        (("build", ".", "-o", "x.txt"), "expected a name ending in .safetensors"),
        (("build", ".", "-o", "x.safetensors", "--shard", "3/3"), "expected I/N with I from 0 to N-1"),
        (("build", ".", "-o", "x.safetensors", "--labels", "a", "--labels", "b"), "write gen=a or ref=a"),
        (("show", "none.npz"), "'none.npz' does not exist"),
        (("merge", "none.npz", "-o", "x.safetensors"), "'none.npz' does not exist"),
    ],
)
def test_bad_input(genmetrics, tmp_path, monkeypatch, arguments, expected):
    monkeypatch.chdir(tmp_path)
    ended = genmetrics("stats", *arguments)
    assert ended.code == 2
    assert expected in ended.err
    assert list(tmp_path.iterdir()) == []


class TestCache:
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path, monkeypatch) -> Path:
        monkeypatch.setenv("GENMETRICS_CACHE", str(tmp_path / "cache"))
        return tmp_path / "cache" / "stats"

    def test_show_and_clear(self, genmetrics, two_sets, tmp_path, folder):
        assert "0 entries" in genmetrics("cache", "show").out
        build = ("stats", "build", two_sets[1], "-o", tmp_path / "a.safetensors", *LITE, "-m", "fid")
        first = genmetrics(*build)
        assert "14/14 images" in first.err
        again = genmetrics(*build)
        assert again.code == 0 and "images," not in again.err
        shown = genmetrics("cache", "show").out
        assert "1 entry, " in shown
        assert str(two_sets[1]) in shown
        record = json.loads(genmetrics("cache", "show", "--json").out)
        assert record["folder"] == str(folder)
        (entry,) = record["entries"]
        assert (entry["num_samples"], entry["key"]["need"]["accumulator"]) == (14, "moments")
        assert genmetrics("cache", "clear").out.startswith("removed 1 file, ")
        assert json.loads(genmetrics("cache", "show", "--json").out)["entries"] == []

    def test_what_is_wrong_with_it_is_said_once(self, genmetrics, two_sets, tmp_path, folder):
        build = ("stats", "build", two_sets[1], "-o", tmp_path / "a.safetensors", *LITE, "-m", "fid", "--quiet")
        genmetrics(*build)
        (entry,) = folder.rglob("*.safetensors")
        entry.write_bytes(entry.read_bytes()[:-1])
        ended = genmetrics(*build)
        assert ended.code == 0
        assert ended.err.count("genmetrics: warning: the cache entry") == 1
        assert "it is removed and computed again" in ended.err and "Traceback" not in ended.err
        shown = genmetrics("eval", two_sets[1], "--ref", two_sets[1], "-m", "fid", *LITE, "--quiet")
        assert shown.out.count(", kept from an earlier run") == 2

    def test_no_cache(self, genmetrics, two_sets, tmp_path, folder):
        genmetrics("stats", "build", two_sets[1], "-o", tmp_path / "a.safetensors", *LITE, "-m", "fid", "--no-cache")
        assert not folder.exists()

    def test_switched_off(self, genmetrics, monkeypatch):
        monkeypatch.setenv("GENMETRICS_CACHE", "off")
        assert genmetrics("cache", "show").out == "the cache is switched off (GENMETRICS_CACHE=off)\n"
        assert genmetrics("cache", "clear").out.startswith("removed 0 files")


def test_the_three_commands_of_the_page(genmetrics, two_sets, inception_weights, tmp_path, monkeypatch):
    """docs/stats.md: from an ADM npz and a folder of PNGs to a number."""
    stats = gm.compute_stats(two_sets[1], ["fid"], weights=inception_weights, num=4)
    moments = next(iter(stats.accumulators.values()))
    spatial = {"mu_s": np.zeros(2023), "sigma_s": np.eye(2023)}
    images = np.zeros((3, 8, 8, 3), np.uint8)
    monkeypatch.chdir(tmp_path)
    np.savez("VIRTUAL.npz", arr_0=images, mu=moments.mean().numpy(), sigma=moments.covariance().numpy(), **spatial)
    (tmp_path / "samples").symlink_to(two_sets[0])

    shown = genmetrics("stats", "show", "VIRTUAL.npz")
    assert "(ADM reference npz)" in shown.out and "an unknown number of images" in shown.out
    assert "reference for fid, sfid, fid_inf, fid_influence\n" in shown.out
    assert "the images of 'arr_0' are not what these statistics are of" in shown.out
    assert genmetrics("stats", "convert", "VIRTUAL.npz", "ref.safetensors").code == 0
    command = ("eval", "samples/", "--ref", "ref.safetensors", "-m", "fid", "--num", 3, "--weights", inception_weights)
    ended = genmetrics(*command, "--json", "result.json", "--quiet")
    assert ended.code == 0
    result = json.loads(Path("result.json").read_text())
    assert result["ref"]["num_samples"] is None and result["ref"]["kind"] == "ADM reference npz"
    warnings = " ".join(result["metrics"]["fid"]["warnings"])
    assert "do not say with which weights" in warnings
    assert "does not say how many images it is of" in warnings
    direct = gm.evaluate(two_sets[0], stats, ["fid"], num=3, weights=inception_weights)
    assert result["metrics"]["fid"]["value"] == pytest.approx(direct["fid"].value, rel=1e-6)


def test_what_a_file_names_is_not_run(genmetrics, tmp_path, monkeypatch):
    """``stats show`` tells what the file holds of a network, and makes none."""
    monkeypatch.chdir(tmp_path)
    Path("evil.py").write_text("import pathlib\npathlib.Path('ran').touch()\n")
    held = Moments(5)
    held.update(torch.randn(30, 5), torch.arange(30))
    need = Need("python:evil.py:make", "pil-bicubic-224-imagenet", "features", "moments")
    part = part_of_statistics("somewhere", "folder", 30, [held])
    side = SideRecord("somewhere", "folder", 30, "0" * 64, parts=(part,))
    record = ExtractorRecord("1" * 64, None, "exact")
    gm.Stats({need: held}, side, {need.extractor: record}, seed=2020).save("held.safetensors")
    ended = genmetrics("stats", "show", "held.safetensors")
    assert ended.code == 0
    assert "fd.python:evil.py:make" in ended.out
    assert (
        "python:evil.py:make, weights that are published under no such name (sha256 111111111111), exact; it was not "
        "run or fetched to say this"
    ) in ended.out
    assert genmetrics("stats", "show", "held.safetensors", "--json").code == 0
    assert genmetrics("stats", "convert", "held.safetensors", "held.npz").code == 0
    assert not Path("ran").exists()
