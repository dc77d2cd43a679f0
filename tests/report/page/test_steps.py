"""Whether several results are checkpoints of one run."""

from __future__ import annotations

from pathlib import Path

import pytest

from genmetrics.report.page.steps import Steps, guess_steps, numbered_steps
from genmetrics.report.saved import read_result
from support.results import result, save


def steps_of(names: list[str], tmp_path: Path | None = None, **options: object) -> Steps | None:
    """Of results whose sources, or whose files in a folder, have these names."""
    given = None
    if tmp_path is not None:
        results = [read_result(save(tmp_path / name, result("same", fid=1.0))) for name in names]
    else:
        results = [read_result(result(name, fid=1.0)) for name in names]
    return guess_steps(results, given, **options)


@pytest.mark.parametrize(
    ("names", "of", "unit"),
    [
        (["step-2000", "step-500"], (2000.0, 500.0), "step"),
        (["a/ckpt_10/x.zip", "a/ckpt_9/x.zip"], (10.0, 9.0), "ckpt"),
        (["run2/epoch=1.5", "run2/epoch=2.0"], (1.5, 2.0), "epoch"),
        (["step-10/samples-10", "step-20/samples-20"], (10.0, 20.0), "step"),
        (["net100", "net200", "net300"], (100.0, 200.0, 300.0), "step"),
    ],
)
def test_names_that_differ_in_one_number_are_steps(names, of, unit):
    found = steps_of(names)
    assert found is not None
    assert (found.of, found.unit) == (of, unit)


@pytest.mark.parametrize(
    "names",
    [
        ["step-1000"],
        ["base", "large"],
        ["step-1000-a", "step-2000-b"],
        ["model1", "model2"],
        ["net1", "net2"],
        ["seed1", "seed2", "seed3"],
        ["step-10/seed-1", "step-20/seed-2"],
        ["step-10", "step-10"],
        ["step-10", "step-010"],
        ["step-" + "9" * 400, "step-1"],
    ],
)
def test_other_names_are_models(names):
    assert steps_of(names) is None


def test_files_tell_where_sources_do_not(tmp_path):
    (tmp_path / "a").mkdir()
    found = steps_of(["step-5.json", "step-7.json"], tmp_path / "a")
    assert found is not None and found.of == (5.0, 7.0)


def test_a_number_in_a_folder_of_all_files_is_no_step(tmp_path):
    (tmp_path / "exp7").mkdir()
    found = steps_of(["iter1.json", "iter3.json"], tmp_path / "exp7")
    assert found is not None and found.of == (1.0, 3.0)


def test_names_that_were_given_come_first():
    results = [read_result(result(name, fid=1.0)) for name in ("x", "y")]
    assert guess_steps(results, ["epoch 3", "epoch 1"]) == Steps((3.0, 1.0), "epoch", ("3", "1"))
    assert guess_steps(results, ["first", "second"]) is None


def test_whoever_says_that_they_are_checkpoints_is_believed():
    assert steps_of(["model1", "model2"], sure=True) == Steps((1.0, 2.0), "step", ("1", "2"))
    assert steps_of(["base", "large"], sure=True) is None
    assert numbered_steps(2) == Steps((1.0, 2.0), "checkpoint", ("1", "2"))


def test_they_are_put_in_order():
    assert Steps((3.0, 1.0, 2.0), "step", ("3", "1", "2")).order == [1, 2, 0]
