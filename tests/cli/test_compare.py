"""``genmetrics compare`` as a person types it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from support.results import FID, GEN_A, GEN_B, REF, result, save, with_blocks, with_field

PAGE = Path(__file__).parents[2] / "docs" / "compare.md"
BETTER = result("new", fid=with_blocks(GEN_B, REF), isc={"value": 30.0, "se": 0.5})
BASE = result("base", fid=with_blocks(GEN_A, REF), isc={"value": 29.8, "se": 0.5})


@pytest.fixture
def files(tmp_path, monkeypatch) -> Path:
    """A folder with the files that docs/compare.md names, as the working directory."""
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "base.json", BASE)
    save(tmp_path / "new.json", BETTER)
    save(tmp_path / "newer.json", {**BETTER, "gen": {**BETTER["gen"], "digest": "c" * 64}})
    save(tmp_path / "other-reference.json", with_field(BETTER, "ref.digest", "f" * 64))
    for run in range(1, 4):
        for name, value in (("base", 10.0), ("new", 9.0)):
            made = result(f"{name}{run}", fid={"value": value + run / 10, "se": 0.2})
            save(tmp_path / f"{name}-{run}.json", made)
            save(tmp_path / "runs" / name / f"{run}.json", made)
    return tmp_path


def shown_commands() -> list[str]:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(), re.S | re.M)
    lines = [line for language, block in blocks if not language for line in block.splitlines()]
    return [line for line in lines if line.startswith("genmetrics compare")]


def cells(line: str) -> str:
    """A row of a table with one space for all that stands between its cells."""
    return " ".join(line.split())


@pytest.mark.parametrize("command", shown_commands())
def test_every_command_of_the_page_works(genmetrics, files, command):
    ended = genmetrics(*shlex.split(command)[1:])
    assert ended.code == (0 if "--fail-if" not in command else ended.code), ended.err
    assert ended.err == ""
    assert "verdict of B" in ended.out


def test_the_page_shows_commands_of_every_kind():
    assert len(shown_commands()) >= 10


def test_table(genmetrics, files):
    ended = genmetrics("compare", "base.json", "new.json")
    assert (ended.code, ended.err) == (0, "")
    fid, isc = ended.out.splitlines()[2:4]
    # The variance of a generated side is 0.0375, of the reference 0.54, which cancels in B - A; t(3) is 3.182.
    assert cells(fid) == "fid value 10.05 0.76 9.05 0.76 -1 0.274 -1.872 to -0.1285 ref better"
    assert cells(isc) == "isc value 29.8 0.5 30 0.5 +0.2 0.707 -1.186 to +1.586 no inconclusive"
    assert "A: base.json (1000 images of samples/base)\nB: new.json (1000 images of samples/new)\n" in ended.out
    assert "note: the intervals are of the images that were drawn" in ended.out


def test_no_error_bars(genmetrics, files):
    save(files / "old.json", result("old", fid=10.0, kid=1.0))
    ended = genmetrics("compare", "old.json", "new.json")
    assert ended.code == 0
    assert cells(ended.out.splitlines()[2]) == "fid value 10 ? 9.05 0.76 -0.95 no unknown: no error bars in A"
    assert "only in A: kid\nonly in B: isc\n" in ended.out


def test_the_same_file_twice(genmetrics, files):
    ended = genmetrics("compare", "base.json", "base.json")
    assert ended.code == 0
    assert "note: 'base.json' and 'base.json' have the same generated images" in ended.out
    assert [line.split()[-1] for line in ended.out.splitlines()[2:4]] == ["inconclusive", "inconclusive"]


def test_refusal_and_force(genmetrics, files):
    refused = genmetrics("compare", "base.json", "other-reference.json")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith("genmetrics: error: the results do not compare. fid: ref.digest is ")
    assert "in 'base.json' and ffffffffffff… in 'other-reference.json'" in refused.err
    forced = genmetrics("compare", "base.json", "other-reference.json", "--force")
    assert forced.code == 0
    assert "note: forced: fid: ref.digest is" in forced.out
    assert genmetrics("compare", "base.json", "other-reference.json", "-m", "isc").code == 0


def test_several_models_are_compared_with_the_first(genmetrics, files):
    ended = genmetrics("compare", "base.json", "new.json", "newer.json")
    assert ended.code == 0
    assert ended.out.count("A: base.json") == 2
    assert "B: new.json" in ended.out and "B: newer.json" in ended.out
    read = json.loads(genmetrics("compare", "base.json", "new.json", "newer.json", "--json").out)
    assert set(read) == {"schema", "genmetrics", "comparisons"}
    assert [of["b"]["results"] for of in read["comparisons"]] == [["new.json"], ["newer.json"]]


@pytest.mark.parametrize(
    "models",
    [("runs/base", "runs/new"), ("base-1.json,base-2.json,base-3.json", "new-1.json, new-2.json,new-3.json")],
)
def test_runs(genmetrics, files, models):
    ended = genmetrics("compare", *models)
    assert ended.code == 0, ended.err
    # The spread of 0.1, 0.2, 0.3 is 0.1; √(2 x 0.01 / 3) = 0.0816; t(4) = 2.776.
    row = "fid value 10.2 0.1 (0.2) 9.2 0.1 (0.2) -1 0.0816 -1.227 to -0.7733 runs better"
    assert cells(ended.out.splitlines()[2]) == row
    assert "A: 3 runs, " in ended.out
    assert "note: fid: report the mean and the spread. The best of several runs is biased low" in ended.out
    assert "10.1 for A, 0.1 better than the mean of its 3 runs and 9.1 for B" in ended.out
    assert "training the models again" not in ended.out


def test_a_name_with_a_comma_is_a_file_where_there_is_one(genmetrics, files):
    save(files / "a,b.json", BASE)
    ended = genmetrics("compare", "a,b.json", "new.json")
    assert ended.code == 0, ended.err
    assert "A: a,b.json (" in ended.out


def test_json(genmetrics, files):
    ended = genmetrics("compare", "base.json", "new.json", "--json")
    read = json.loads(ended.out)
    assert read["schema"] == 1 and read["genmetrics"]
    assert read["a"]["results"] == ["base.json"]
    assert read["metrics"]["fid"]["verdict"] == "better"
    assert "note: the intervals are of the images" in ended.err
    written = genmetrics("compare", "base.json", "new.json", "--json", "comparison.json")
    assert json.loads((files / "comparison.json").read_text()) == read
    assert written.out.endswith("comparison: comparison.json\n")
    assert genmetrics("compare", "base.json", "new.json", "--json", "comparison.json").code == 0, "it may be renewed"


def test_every_key_of_the_json_is_on_the_page(genmetrics, files):
    read = json.loads(genmetrics("compare", "base.json", "new.json", "--json").out)
    shown = json.loads(re.search(r"```json\n(.*?)```", PAGE.read_text(), re.S)[1])
    assert list(read) == list(shown)
    assert list(read["a"]) == list(shown["a"])
    assert list(read["metrics"]["fid"]) == list(shown["metrics"]["fid"])


def test_a_result_is_never_overwritten(genmetrics, files):
    before = (files / "base.json").read_bytes()
    ended = genmetrics("compare", "--json", "base.json", "new.json", "newer.json")
    assert ended.code == 2
    assert "--json base.json: that file is a result of 'eval', which the comparison would overwrite" in ended.err
    assert (files / "base.json").read_bytes() == before


def test_a_place_that_cannot_be_written_is_said_first(genmetrics, files):
    ended = genmetrics("compare", "base.json", "new.json", "--json", "nowhere/comparison.json")
    assert (ended.code, ended.out) == (2, "")
    assert "the folder 'nowhere' does not exist" in ended.err


@pytest.mark.parametrize(
    ("models", "verdict", "code"),
    [
        (("base.json", "new.json"), "worse", 0),
        (("new.json", "base.json"), "worse", 1),
        (("base.json", "new.json", "newer.json"), "worse", 0),
        (("new.json", "newer.json", "base.json"), "worse", 1),
        (("base.json", "new.json", "-m", "fid"), "not-better", 0),
        (("base.json", "new.json"), "not-better", 1),
    ],
)
def test_fail_if(genmetrics, files, models, verdict, code):
    ended = genmetrics("compare", *models, "--fail-if", verdict)
    assert ended.code == code, ended.err
    assert "verdict of B" in ended.out


def test_fail_if_does_not_pass_what_nobody_knows(genmetrics, files):
    save(files / "old.json", result("old", fid=10.0))
    ended = genmetrics("compare", "old.json", "new.json", "--fail-if", "worse")
    assert ended.code == 2
    assert "--fail-if worse: there is no verdict in fid (no error bars in A); evaluate again" in ended.err
    assert genmetrics("compare", "base.json", "new.json", "--fail-if", "wrose").code == 2


@pytest.mark.parametrize(
    ("models", "said"),
    [
        (("base.json",), "1 model was given (base.json), expected at least two: 'genmetrics compare A.json B.json'"),
        (("base.json", "gone.json"), "there is no file 'gone.json'; expected a result that 'genmetrics eval"),
        (("base.json", "notes.json"), "'notes.json' is no JSON (line 1: "),
        (("base.json", "theirs.json"), "'theirs.json' has no 'schema' (its keys: 'inception_score_mean')"),
        (("base.json", "future.json"), "'future.json' has schema 2"),
        (("base.json", "kid.json"), "no metric in common ('base.json' has fid, isc; 'kid.json' has kid)"),
        (("base.json", ","), "',' names no file"),
        (("base.json", "new.json", "-m", "kid"), "metric 'kid' is not in 'base.json'"),
        (("base.json", "new-1.json,new-1.json"), "'new-1.json' of one model are the same file"),
    ],
)
def test_errors(genmetrics, files, models, said):
    (files / "notes.json").write_text("FID is 3")
    (files / "theirs.json").write_text('{"inception_score_mean": 3.0}')
    save(files / "future.json", {**BASE, "schema": 2})
    save(files / "kid.json", result("kid", kid=with_blocks(GEN_A) | {"protocol": FID}))
    ended = genmetrics("compare", *models)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("genmetrics: error: ")
    assert said in ended.err


def test_results_of_eval(genmetrics, two_sets, image_folder, tmp_path):
    """What ``eval --json`` writes is what ``compare`` reads."""
    gen, ref = two_sets
    other = image_folder(12, 40, 48, seed=3)
    for name, images in (("a", gen), ("b", other)):
        ended = genmetrics(
            *("eval", images, "--ref", ref, "-m", "fid,isc", "--extractor", "efficientnet-lite0.in1k", "--quiet"),
            *("--json", tmp_path / f"{name}.json"),
        )
        assert ended.code == 0, ended.err
    ended = genmetrics("compare", tmp_path / "a.json", tmp_path / "b.json", "--json")
    assert ended.code == 0, ended.err
    compared = json.loads(ended.out)["metrics"]
    assert set(compared) == {"fd.efficientnet-lite0.in1k", "isc.efficientnet-lite0.in1k"}
    of_a, of_b = (json.loads((tmp_path / f"{name}.json").read_text())["metrics"] for name in "ab")
    for metric, difference in compared.items():
        figures = [of[metric]["value"] for of in (of_a, of_b)]
        if difference["compared"] == "value":
            assert [difference["a"], difference["b"]] == figures
        assert difference["difference"] == difference["b"] - difference["a"]
