"""The demonstration: the order is right, the files are there, and nothing of somebody else's is removed."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from genmetrics import demo


@pytest.fixture
def small_demo(monkeypatch):
    monkeypatch.setattr(demo, "_PER_SET", 60)


@pytest.mark.usefixtures("small_demo")
def test_the_order_comes_out_right(genmetrics, tmp_path):
    ended = genmetrics("demo", "-o", tmp_path, "--quiet")
    assert ended.code == 0, ended.err
    result = json.loads((tmp_path / "demo.json").read_text())
    values = {
        entry["name"]: {name: figures["value"] for name, figures in entry["report"]["metrics"].items()}
        for entry in result["sets"]
    }
    for metric in ("fd.efficientnet-lite0.in1k", "kid.efficientnet-lite0.in1k"):
        plain = [values[name][metric] for name in ("other-crops", "slight-blur", "strong-blur", "digits")]
        assert plain == sorted(plain)
        assert values["other-crops"][metric] < values["strong-noise"][metric] < values["digits"][metric]
    lines = ended.out.splitlines()
    assert lines[-4:] == [
        f"samples: {tmp_path / 'demo.png'}",
        f"table:   {tmp_path / 'demo.md'}",
        f"report:  {tmp_path / 'demo.json'}",
        f"page:    {tmp_path / 'demo.html'}",
    ]
    page = (tmp_path / "demo.html").read_text("utf-8")
    assert page.count("<img ") > 50 and len(page) < 5_000_000
    for entry in result["sets"]:
        assert entry["name"] in page
    with Image.open(tmp_path / "demo.png") as samples:
        assert min(samples.size) > 500
    assert "| other crops of the same photographs |" in (tmp_path / "demo.md").read_text()


@pytest.mark.usefixtures("small_demo")
def test_sets_are_the_same_on_every_run(tmp_path):
    first, _ = demo.make_sets(tmp_path)
    pixels = [path.read_bytes() for path in sorted(first.folder.iterdir())]
    again, _ = demo.make_sets(tmp_path)
    assert [path.read_bytes() for path in sorted(again.folder.iterdir())] == pixels


def test_a_folder_with_somebody_elses_images_is_left_alone(genmetrics, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "mine.png").touch()
    ended = genmetrics("demo", "-o", tmp_path, "--quiet")
    assert ended.code == 2
    assert "was not made by the demonstration" in ended.err
    assert (tmp_path / "images" / "mine.png").exists()
