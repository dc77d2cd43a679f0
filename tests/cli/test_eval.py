"""``genmetrics eval``: what it prints, writes, refuses, and how it exits."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

LITE = ("--extractor", "efficientnet-lite0.in1k")
FD, KID, ISC = (f"{family}.efficientnet-lite0.in1k" for family in ("fd", "kid", "isc"))


def test_prints_a_table_and_writes_the_json_file(genmetrics, two_sets, tmp_path):
    gen, ref = two_sets
    ended = genmetrics("eval", gen, "--ref", ref, *LITE, "--json", tmp_path / "r.json")
    assert ended.code == 0
    result = json.loads((tmp_path / "r.json").read_text())
    assert list(result["metrics"]) == [FD, KID, ISC]
    for name, figures in result["metrics"].items():
        assert f"{name} " in ended.out
        assert f"{figures['value']:.6g}" in ended.out
    assert f"gen: {gen} (12 images" in ended.out
    assert f"ref: {ref} (14 images" in ended.out
    assert ended.out.endswith(f"report: {tmp_path / 'r.json'}\n")
    assert f"generated: {gen}, 12 images" in ended.err


def test_advice_comes_before_the_pass_and_in_the_table(genmetrics, two_sets, tmp_path):
    gen, ref = two_sets
    copied = shutil.copytree(gen, tmp_path / "gen")
    shutil.copy(copied / "00003.png", copied / "00007.png")
    ended = genmetrics("eval", copied, "--ref", ref, *LITE, "-m", "fid", "--json", tmp_path / "r.json")
    before, _, _ = ended.err.partition("reference: ")
    few = f"advice: {FD}: 12 generated and 14 reference images are fewer than 5 per feature dimension (1,280). 6,400 on"
    assert before.startswith(few)
    assert before.count("advice: ") == ended.err.count("advice: ") == 1
    lines = [line for line in ended.out.splitlines() if line.startswith(("advice: ", "note: "))]
    assert lines[0].startswith("advice: 1 of 12 generated images is identical to another one")
    assert "('00003.png' and '00007.png')" in lines[0]
    assert lines[1].startswith(few)
    assert lines[2].startswith(f"note: {FD}: no more images (generated 12, reference 14)")
    advice = json.loads((tmp_path / "r.json").read_text())["advice"]
    assert [f"advice: {text}" for text in advice] == lines[:2]


def test_advice_beside_json_and_in_silence(genmetrics, two_sets):
    gen, ref = two_sets
    ended = genmetrics("eval", gen, "--ref", ref, *LITE, "-m", "fid", "--json")
    (advice,) = json.loads(ended.out)["advice"]
    assert [line for line in ended.err.splitlines() if line.startswith("advice: ")] == [f"advice: {advice}"] * 2
    assert ended.err.index("note: ") > ended.err.rindex("advice: ")
    ended = genmetrics("eval", gen, "--ref", ref, *LITE, "-m", "fid", "--json", "--quiet")
    assert (json.loads(ended.out)["advice"], ended.err) == ([advice], "")


def test_json_without_a_file_prints_nothing_but_json(genmetrics, two_sets):
    gen, ref = two_sets
    for position in (("--json", gen, "--ref", ref), (gen, "--ref", ref, "--json")):
        # An option's value never swallows GEN: alone means followed by an option or by nothing.
        arguments = position if position[0] != "--json" else ("--json", "--ref", ref, gen)
        ended = genmetrics("eval", *arguments, *LITE, "-m", "fid")
        assert ended.code == 0
        assert json.loads(ended.out)["metrics"].keys() == {FD}


def test_quiet_leaves_standard_error_empty(genmetrics, two_sets):
    ended = genmetrics("eval", two_sets[0], *LITE, "--quiet")
    assert (ended.code, ended.err) == (0, "")
    assert ISC in ended.out


def test_default_metrics_without_a_reference(genmetrics, two_sets):
    ended = genmetrics("eval", two_sets[0], *LITE, "--json", "--quiet")
    result = json.loads(ended.out)
    assert list(result["metrics"]) == [ISC]
    assert result["ref"] is None


def test_random_inception_through_weights_is_reported_as_not_official(genmetrics, two_sets, inception_weights):
    gen, ref = two_sets
    for option in (str(inception_weights), f"inception-v3.tf2015={inception_weights}"):
        ended = genmetrics("eval", gen, "--ref", ref, "-m", "fid_64", "--weights", option, "--json", "--quiet")
        assert ended.code == 0
        result = json.loads(ended.out)
        assert result["extractors"]["inception-v3.tf2015"]["official"] is False
        assert "not the published ones" in " ".join(result["metrics"]["fid_64"]["warnings"])


def test_missing_inception_weights_take_three_lines_and_no_image(genmetrics, tmp_path):
    # The one file is no image: an error about it would mean that images were read before weights were looked for.
    (tmp_path / "broken.png").write_bytes(b"no image")
    ended = genmetrics("eval", tmp_path, "--ref", tmp_path)
    assert ended.code == 2
    assert ended.out == ""
    lines = ended.err.splitlines()
    assert len(lines) == 3
    assert "extractor 'inception-v3.tf2015' has no weights here" in lines[0]
    assert "--weights PATH" in lines[1]
    assert "--extractor efficientnet-lite0.in1k" in lines[2]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("-m", "fid"), "metric 'fid' compares with a reference, and none was given; add '--ref REF'"),
        (("-m", "fdi"), "unknown metric 'fdi'; did you mean 'fid' or 'fdr'?"),
        (("-m", ","), "no metric was asked for"),
        (("--extractor", "inception-v3"), "did you mean 'inception-v3.tf2015' or 'inception-v3.tv-in1k'?"),
        ((*LITE, "--batch-size", "0"), "batch_size 0: expected at least 1"),
        ((*LITE, "--precision", "tf23"), "'tf23' is not one of 'exact', 'tf32', 'bf16'"),
        ((*LITE, "--on-bad-image", "skp"), "'skp' is not one of 'error', 'skip'"),
        ((*LITE, "--num", "13"), "has 12; lower --num"),
        ((*LITE, "--device", "cuda:99"), "device 'cuda:99' was asked for"),
        ((*LITE, "--device", "gpu"), "unknown device 'gpu'; expected auto, cpu, cuda, cuda:N or mps"),
        ((*LITE, "--weights", "no.pth"), "weights 'no.pth' for extractor 'efficientnet-lite0.in1k': no such file"),
        (
            (*LITE, "--weights", "incept=no.pth"),
            "there is no extractor 'incept', and no file of that whole name; did you mean 'inception-v3.tf2015' or "
            "'inception-v3.tv-in1k'?",
        ),
        (
            (*LITE, "--weights", "runs/lr=3/no.pth"),
            "weights 'runs/lr=3/no.pth' for extractor 'efficientnet-lite0.in1k'",
        ),
        ((*LITE, "--weights", "a.pth", "--weights", "b.pth"), "with several, write each as EXTRACTOR=PATH"),
        (
            (*LITE, "--weights", "inception-v3.tf2015=no.pth"),
            "weights were given for extractor 'inception-v3.tf2015', which the asked metrics do not use",
        ),
        (("--metrc", "fid"), "No such option: --metrc"),
        (("--metrc", "fid"), "--metrics"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_to_type(genmetrics, two_sets, arguments, expected):
    ended = genmetrics("eval", two_sets[0], *arguments)
    assert ended.code == 2
    assert expected in ended.err
    assert ended.out == ""


def test_an_output_that_cannot_be_written_is_refused_before_the_run(genmetrics, tmp_path):
    for target, expected in (
        (tmp_path / "no" / "r.json", "the folder"),
        (tmp_path, "it is a folder; give a file name"),
    ):
        # The source does not exist either: the output is looked at first.
        ended = genmetrics("eval", tmp_path / "missing", *LITE, "--json", target)
        assert ended.code == 2
        assert f"cannot write '{target}'" in ended.err
        assert expected in ended.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere; run the tests as another user")
def test_a_folder_without_permission_is_refused(genmetrics, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    ended = genmetrics("eval", tmp_path, *LITE, "--json", locked / "r.json")
    assert ended.code == 2
    assert "Permission denied" in ended.err


def test_bad_images_stop_the_run_or_are_listed(genmetrics, two_sets, tmp_path):
    gen = tmp_path / "gen"
    shutil.copytree(two_sets[0], gen)
    (gen / "torn.png").write_bytes(min(gen.iterdir()).read_bytes()[:100])
    stopped = genmetrics("eval", gen, *LITE)
    assert stopped.code == 2
    assert "torn.png" in stopped.err
    assert "--on-bad-image skip" in stopped.err
    went_on = genmetrics("eval", gen, *LITE, "--on-bad-image", "skip", "--json", "--quiet")
    assert went_on.code == 0
    result = json.loads(went_on.out)
    assert result["gen"]["num_samples"] == 12
    assert [entry["name"].endswith("torn.png") for entry in result["gen"]["skipped"]] == [True]
    whole = json.loads(genmetrics("eval", two_sets[0], *LITE, "--json", "--quiet").out)
    assert result["gen"]["digest"] == whole["gen"]["digest"]


def test_transparency_is_said_and_alpha_changes_the_images(genmetrics, tmp_path):
    rng = np.random.default_rng(0)
    for number in range(10):
        pixels = rng.integers(0, 256, (32, 32, 4), dtype=np.uint8)
        Image.fromarray(pixels, "RGBA").save(tmp_path / f"{number}.png")
    dropped = json.loads(genmetrics("eval", tmp_path, *LITE, "--json", "--quiet").out)
    white = json.loads(genmetrics("eval", tmp_path, *LITE, "--json", "--quiet", "--alpha", "white").out)
    assert "10 of 10 images have transparency, which was dropped" in dropped["gen"]["notes"][0]
    assert "composited on white" in white["gen"]["notes"][0]
    assert dropped["gen"]["digest"] != white["gen"]["digest"]


def test_num_draws_with_the_seed(genmetrics, two_sets):
    def digest(*extra: str) -> str:
        return json.loads(genmetrics("eval", two_sets[0], *LITE, "--json", "--quiet", *extra).out)["gen"]["digest"]

    assert digest("--num", "10") == digest("--num", "10")
    assert digest("--num", "10") != digest("--num", "10", "--seed", "1")
    assert digest("--num", "12") == digest()


def test_ctrl_c_exits_with_130_and_one_line(tmp_path, image_folder):
    many = image_folder(400, 64, 64, seed=3)
    command = [sys.executable, "-m", "genmetrics", "eval", str(many), *LITE, "--json", str(tmp_path / "r.json")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None
    first = process.stderr.readline()
    assert "400 images" in first
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "genmetrics: interrupted; nothing was written"
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_progress_shows_rate_and_time_left_on_a_terminal(two_sets):
    pty = pytest.importorskip("pty", reason="needs a pseudo-terminal, which this system does not have")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "genmetrics", "eval", str(two_sets[0]), *LITE]
    with subprocess.Popen(command, stderr=theirs, stdout=subprocess.DEVNULL) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                break
            if not piece:
                break
            shown += piece
    os.close(ours)
    assert process.returncode == 0
    assert b"12/12" in shown
    assert b"images/s" in shown


def test_a_path_of_one_image_is_refused(genmetrics, two_sets):
    one = next(Path(two_sets[0]).iterdir())
    ended = genmetrics("eval", one, *LITE)
    assert ended.code == 2
    assert "one image" in ended.err
