"""``write_page``: what it takes, what it refuses, and what it never overwrites."""

from __future__ import annotations

import sys

import pytest

import genmetrics as gm
from genmetrics.engine.page import check_page, page_of, write_page
from genmetrics.errors import DependencyError, OutputError, UsageError
from support.pages import full_result
from support.results import result, save


@pytest.fixture
def saved(tmp_path):
    return save(tmp_path / "results" / "a.json", full_result("a", diagnosed=False))


def test_a_file_a_folder_and_a_dict_give_one_page(tmp_path, saved):
    write_page(saved, tmp_path / "file.html")
    write_page([str(saved.parent)], tmp_path / "folder.html")
    text = (tmp_path / "file.html").read_text()
    assert text == (tmp_path / "folder.html").read_text()
    assert str(saved) in text
    assert "Figures with every digit" not in page_of(full_result("a", diagnosed=False))


def test_a_report_has_its_page(tmp_path, smooth_images):
    report = gm.evaluate(
        smooth_images(8, 32, 32, 1), smooth_images(8, 32, 32, 2), ["fid"], extractor="efficientnet-lite0.in1k"
    )
    gm.write_page(report, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "fd.efficientnet-lite0.in1k" in text and report.gen.digest in text


def test_a_name_that_is_no_unicode_is_written_all_the_same(tmp_path):
    write_page(full_result(names=["caf\udce9.png"]), tmp_path / "page.html")
    assert r"caf\udce9.png" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_what_is_no_result_is_refused(tmp_path, saved):
    with pytest.raises(UsageError, match="there is no result to make a page of"):
        page_of([])
    with pytest.raises(UsageError, match="there is no file"):
        page_of(tmp_path / "none.json")
    with pytest.raises(UsageError, match="has no 'schema'"):
        page_of([saved, {"value": 1}])
    unchecked = getattr(page_of, "__wrapped__", page_of)  # as a user calls it, without the tests' own checks
    with pytest.raises(UsageError, match="as_='model': expected one of 'auto', 'models', 'checkpoints'"):
        unchecked(saved, as_="model")


def test_a_result_is_never_overwritten(tmp_path, saved):
    before = saved.read_bytes()
    for target in (saved, save(tmp_path / "other.json", result("b", fid=1.0))):
        with pytest.raises(UsageError, match=r"is a result of 'eval', which the page would overwrite; .*\.html"):
            write_page(saved, target)
    assert saved.read_bytes() == before


def test_a_page_that_cannot_be_written_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(OutputError, match="does not exist; create it first"):
        write_page("no such result", tmp_path / "none" / "page.html")
    with pytest.raises(OutputError, match="it is a folder"):
        check_page(tmp_path)


def test_a_damaged_result_leaves_the_old_page(tmp_path, saved):
    target = tmp_path / "page.html"
    target.write_text("old")
    with pytest.raises(UsageError):
        write_page([saved, {}], target)
    assert target.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "results"]


def test_lacking_packages_are_named_before_the_run(tmp_path, saved, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] in ("jinja2", "matplotlib")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(DependencyError, match=r"a page needs jinja2; pip install 'genmetrics\[report\]'"):
        check_page(tmp_path / "page.html")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(DependencyError, match="a page needs jinja2 and matplotlib"):
        write_page(saved, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
