"""``genmetrics eval --html FILE``: the page of a run in the same go, and the same page of its JSON."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

LITE = "efficientnet-lite0.in1k"
SECTIONS = (
    *("figures", "meaning", "advice", "curve", "projection", "spectra", "classes"),
    *("raises", "unrealistic", "uncovered", "copied", "checkpoints", "models", "provenance"),
)


def pictures_of(page: str, section: str) -> int:
    found = re.search(rf'<section[^>]* id="{section}".*?</section>', page, re.DOTALL)
    assert found, section
    return found[0].count("<img ")


def test_one_command_writes_the_page_and_what_it_is_made_of(genmetrics, two_sets, tmp_path):
    html, result = tmp_path / "a.html", tmp_path / "a.json"
    run = genmetrics(
        *("eval", two_sets[0], "--ref", two_sets[1], "-m", "fid,kid", "--extractor", LITE),
        *("--html", html, "--json", result),
    )
    assert run.code == 0, run.err
    assert run.out.splitlines()[-2:] == [f"report: {result}", f"page: {html}"]
    page = html.read_text("utf-8")
    for section in SECTIONS:
        assert f'id="{section}"' in page, section
    read = json.loads(result.read_text("utf-8"))
    assert list(read["metrics"]) == [f"fd.{LITE}", f"kid.{LITE}"]  # what it takes beside them is no metric of the run
    for section in ("raises", "unrealistic"):
        assert pictures_of(page, section) >= len(read["diagnostics"][section]["pictures"]) > 0
    again = tmp_path / "again.html"
    assert genmetrics("report", result, "-o", again).code == 0
    assert pictures_of(again.read_text("utf-8"), "raises") == pictures_of(page, "raises")


def test_no_number_depends_on_the_page(genmetrics, two_sets, tmp_path):
    asked = ("eval", two_sets[0], "--ref", two_sets[1], "-m", "fid,kid,isc", "--extractor", LITE, "--json")
    without = json.loads(genmetrics(*asked).out)
    with_page = genmetrics(*asked, "--html", tmp_path / "a.html")
    read = json.loads(with_page.out)
    assert read["metrics"] == without["metrics"]
    assert "diagnostics" in read and "diagnostics" not in without
    assert (tmp_path / "a.html").is_file()


@pytest.mark.parametrize("where", ["nowhere/a.html", "result.json"])
def test_a_page_that_cannot_be_written_is_refused_before_anything_is_read(genmetrics, two_sets, tmp_path, where):
    kept = tmp_path / "result.json"
    assert genmetrics("eval", two_sets[0], "-m", "isc", "--extractor", LITE, "--json", kept).code == 0
    before = kept.read_bytes()
    run = genmetrics("eval", two_sets[0], "--ref", two_sets[1], "--extractor", LITE, "--html", tmp_path / where)
    assert run.code != 0
    assert str(tmp_path / where) in run.err
    assert "images" not in run.err.replace(str(tmp_path), "")
    assert kept.read_bytes() == before


def test_without_the_packages_of_the_page_nothing_is_read(genmetrics, two_sets, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    run = genmetrics("eval", two_sets[0], "--ref", two_sets[1], "--extractor", LITE, "--html", tmp_path / "a.html")
    assert run.code == 2
    assert "pip install 'genmetrics[report]'" in run.err
    assert not (tmp_path / "a.html").exists()


def test_one_set_alone_has_a_page_of_its_figures(genmetrics, two_sets: tuple[Path, Path], tmp_path):
    html = tmp_path / "a.html"
    run = genmetrics("eval", two_sets[0], "-m", "isc", "--extractor", LITE, "--html", html)
    assert run.code == 0, run.err
    page = html.read_text("utf-8")
    assert f"isc.{LITE}" in page and pictures_of(page, "raises") == 0
