"""What the documents show works, and what they name exists."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

import genmetrics as gm
from genmetrics.metrics import METRICS
from genmetrics.sources.datasets import DATASETS, DatasetInfo
from genmetrics.sources.quantise import RANGES
from genmetrics.sources.query import GENERATOR_OPTIONS
from genmetrics.types import MetricInfo

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def test_links_lead_somewhere():
    broken = [
        f"{page.name}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []


@pytest.mark.parametrize("name", [*METRICS])
def test_every_metric_has_its_page(name):
    """What it answers, what it stands for, what it equals and whose it is."""
    text = (ROOT / "docs" / "metrics" / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    rows = dict(re.findall(r"^\| (\w[\w ]*) \| (.+?) \|$", text, re.M))
    assert {"equals", "source"} <= rows.keys(), rows.keys()
    assert ("higher" if METRICS.get(name).higher_is_better else "lower") in text.lower(), "which way is better"


def test_every_page_is_of_a_metric():
    assert {page.stem for page in (ROOT / "docs" / "metrics").glob("*.md")} == set(METRICS)


def test_the_protocol_page_is_what_the_registries_say():
    made = runpy.run_path(str(ROOT / "tools" / "make_protocols.py"))["page"]()
    assert (ROOT / "docs" / "protocols.md").read_text() == made


def test_the_example_metric_of_extending_works(tmp_path, monkeypatch):
    example = re.search(
        r"```python\n# my_package/mean_shift\.py\n(.*?)```", (ROOT / "docs/extending.md").read_text(), re.S
    )
    assert example is not None
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "mean_shift.py").write_text(example[1])
    monkeypatch.syspath_prepend(str(tmp_path))
    registration = re.search(r"(gm\.register_metric\(.*?\n\)\n)", (ROOT / "docs/extending.md").read_text(), re.S)
    assert registration is not None
    try:
        exec(registration[1], {"gm": gm, "MetricInfo": MetricInfo})
        images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
        report = gm.evaluate(images, 255 - images, ["mean_shift"], extractor="efficientnet-lite0.in1k")
        assert report["mean_shift.efficientnet-lite0.in1k"].value > 0
    finally:
        METRICS._entries.pop("mean_shift", None)
        sys.modules.pop("my_package.mean_shift", None)


def test_the_example_dataset_of_extending_works(tmp_path, monkeypatch, image_folder):
    text = (ROOT / "docs/extending.md").read_text()
    example = re.search(r"```python\n# my_package/faces\.py\n(.*?)```", text, re.S)
    registration = re.search(r"(gm\.register_dataset\(.*?\n\)\n)", text, re.S)
    assert example is not None and registration is not None
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "faces.py").write_text(example[1])
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(DATASETS, "_entries", dict(DATASETS._entries))
    folder = image_folder(3, 16, 16, 0)
    monkeypatch.setenv("FACES", str(folder.parent))
    try:
        exec(registration[1], {"gm": gm, "DatasetInfo": DatasetInfo})
        DATASETS._entries["my_faces"].splits[folder.name] = None
        assert len(gm.open_source(f"my_faces:{folder.name}")) == 3
    finally:
        sys.modules.pop("my_package.faces", None)
        sys.modules.pop("my_package", None)


def test_the_page_of_generators_names_every_option_and_dataset():
    text = (ROOT / "docs/generators.md").read_text()
    missing = [name for name in (*GENERATOR_OPTIONS, *DATASETS, *RANGES) if str(name) not in text]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_that_a_page_shows_exist(page, monkeypatch, capsys):
    """Every `genmetrics COMMAND --option` in a page is known to the command line."""
    from genmetrics.cli.main import main

    helps: dict[str, str] = {}
    for line in re.findall(r"genmetrics ((?:eval|compare|report|list|weights|demo)\b[^`\n#]*)", page.read_text()):
        command = line.split()[0]
        if command not in helps:
            monkeypatch.setattr(sys, "argv", ["genmetrics", command, "--help"])
            with pytest.raises(SystemExit):
                main()
            helps[command] = capsys.readouterr().out
        for option in re.findall(r"(--[a-z-]+)", line):
            # The list of a subcommand's own options stands in its own help.
            assert option in helps[command] or command == "weights", f"{page.name}: {line}"
