"""``genmetrics report``."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support.pages import full_result
from support.results import save


@pytest.fixture
def results(tmp_path):
    return [save(tmp_path / f"{name}.json", full_result(name, diagnosed=False)) for name in ("base", "other")]


def test_a_page_is_written_where_it_is_asked_for(genmetrics, tmp_path, results):
    ended = genmetrics("report", results[0], "-o", tmp_path / "page.html")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"page: {tmp_path / 'page.html'} (") and ended.out.endswith(" KB)\n")
    assert (tmp_path / "page.html").read_text().rstrip().endswith("</html>")


def test_without_a_name_it_is_report_html(genmetrics, tmp_path, results, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert genmetrics("report", *results).code == 0
    text = (tmp_path / "report.html").read_text()
    assert "other against base" in text


def test_what_they_are_and_are_called_can_be_said(genmetrics, tmp_path, results):
    page = tmp_path / "page.html"
    assert genmetrics("report", *results, "-o", page, "--as", "checkpoints").code == 0
    assert "2 checkpoints" in page.read_text()
    assert genmetrics("report", *results, "-o", page, "--names", "small, large").code == 0
    assert "large against small" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.json"], "there is no file 'none.json'"),
        (["base.json", "-o", "base.json"], "which the page would overwrite"),
        (["base.json", "-o", "none/page.html"], "the folder 'none' does not exist"),
        (["base.json", "--names", "a,b"], "names 'a', 'b' for 1 result; expected a name for each"),
        (["base.json", "--as", "both"], "both"),
        ([], "Missing argument"),
    ],
)
def test_mistakes_are_named(genmetrics, tmp_path, results, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    ended = genmetrics("report", *arguments)
    assert ended.code == 2
    assert message in ended.err
    assert not list(tmp_path.glob("*.html"))


def test_it_does_not_import_torch(tmp_path, results):
    code = (
        "import sys; sys.argv = ['genmetrics', 'report', *sys.argv[1:]]\n"
        "from genmetrics.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as ended: assert not ended.code\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(results[0]), "-o", str(tmp_path / "page.html")], check=True, timeout=60
    )
    assert (tmp_path / "page.html").is_file()
