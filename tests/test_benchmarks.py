"""The page of benchmarks: it is what the result files give, and says of each target whether it was reached."""

from __future__ import annotations

import ast
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
ROW = {
    "what": "a thing",
    "ours": {"name": "mine", "seconds_median": 2.0, "peak_mib_median": 100.0},
    "peer": {"name": "theirs", "seconds_median": 5.0, "peak_mib_median": 400.0},
    "ratio": 2.5,
    "ratio_min": 2.0,
    "ratio_max": 3.0,
    "peak_ratio": 0.25,
    "rate": {"mine": 50.0, "theirs": 20.0},
    "agreement": {"fid": {"ours": 1.0, "peer": 1.0, "relative": 3e-7}},
}
RESULT = {
    "what": "something",
    "date": "2026-01-01",
    "versions": {"torch": "2"},
    "hardware": {"cores": 2, "processor": "P"},
}


@pytest.fixture(scope="module")
def table() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_table", ROOT / "benchmarks" / "make_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_results_give(table):
    results = table.read_results(table.RESULTS)
    assert results.keys() == {path.stem for path in table.RESULTS.glob("*.json")}
    assert table.PAGE.read_text() == table.make_page(results), "run: python benchmarks/make_table.py"
    assert table.PICTURE.is_file() == any("ratio" in row for result in results.values() for row in result["rows"])


def test_a_page_of_other_results_is_noticed(table, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["make_table.py", "--check"])
    table.main()
    stale = tmp_path / "benchmarks.md"
    stale.write_text(table.PAGE.read_text().replace("a", "e", 1))
    monkeypatch.setattr(table, "PAGE", stale)
    with pytest.raises(SystemExit, match="make_table"):
        table.main()


def test_other_figures_of_a_row_are_listed_too(table):
    row = {**ROW, "same_pixels": True, "agree": "all but one bit", "error": 1.25e-9, "parts": [1, 2]}
    figures = table.other_figures({**row, "agreement": "to the last digit"})
    assert figures[-4:] == [
        "agreement: to the last digit",
        "same pixels: yes",
        "agree: all but one bit",
        "error: 1.25e-09",
    ]


def test_a_row_of_the_page(table):
    page = table.make_page(
        {"stage": {**RESULT, "rows": [{**ROW, "targets": {"ratio": ">= 2.4", "peak_ratio": "< 0.2"}}]}}
    )
    assert "mine: 2 s" in page and "theirs: 5 s" in page
    assert "**2.5** (2 to 3)" in page
    assert "50 against 20 a second; peak 100 against 400 MiB; fid differs by 3.0e-07" in page
    assert "ratio >= 2.4: reached; peak ratio < 0.2: missed (0.25)" in page
    assert "2 cores of P, torch 2, 2026-01-01" in page


@pytest.mark.parametrize(
    ("name", "wanted", "expected"),
    [
        ("ratio", ">= 2.5", "reached"),
        ("ratio", "> 2.5", "missed"),
        ("ratio", "<= 2.5", "reached"),
        ("ratio", "< 2.5", "missed"),
        ("ours.seconds_median", "< 2.1", "reached"),
    ],
)
def test_targets(table, name, wanted, expected):
    assert f": {expected}" in table.reached(ROW, name, wanted)


def test_what_is_no_result_or_no_target_ends_the_run(table, tmp_path):
    with pytest.raises(SystemExit, match="about 2"):
        table.reached(ROW, "ratio", "about 2")
    (tmp_path / "other.json").write_text(json.dumps({"what": "something"}))
    with pytest.raises(SystemExit, match=r"other\.json has no 'rows'"):
        table.read_results(tmp_path)


def test_every_script_says_what_it_does_and_how_to_run_it():
    made = (ROOT / "Makefile").read_text()
    for path in (ROOT / "benchmarks").glob("*.py"):
        tree = ast.parse(path.read_text())
        text = ast.get_docstring(tree) or ""
        assert text, path.name
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body):
            assert f"python benchmarks/{path.name}" in text, path.name
            assert path.stem in made, path.name
