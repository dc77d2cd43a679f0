"""The table of single images, and its files."""

from __future__ import annotations

import csv
import math
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from genmetrics.errors import DependencyError, UsageError
from genmetrics.report.report import Report
from genmetrics.types import MetricResult, Protocol, SideRecord

PROTOCOL = Protocol("inception-v3.tf2015", "2048", "tf1-bilinear-299")
INFLUENCE = {"index": [0, 1, 2], "influence": [0.25, -0.5, 0.1 + 0.2]}
NEAREST = {"index": [1, 2], "nearest_ref": [1, 0], "distance": [0.5, math.inf]}


@pytest.fixture
def report() -> Report:
    metrics = (
        MetricResult("fid_influence", 3.0, {}, PROTOCOL, per_image=INFLUENCE),
        MetricResult("nearest", 1.0, {}, PROTOCOL, per_image=NEAREST),
        MetricResult("kid", 1.0, {}, PROTOCOL),
    )
    side = SideRecord("samples", "folder", 3, "a" * 64)
    names = {"gen": ["a.png", os.fsdecode(b"\xff.png"), "c,d.png"], "ref": ["x.png", "y.png"]}
    return Report(
        {result.id: result for result in metrics}, side, side, {}, {"genmetrics": "0"}, "cpu", 1, 0, {},
        names=names, labels={0: "cat", 1: "dog", 2: "cat"},
    )  # fmt: skip


def test_one_table_of_all_metrics(report: Report) -> None:
    assert report.per_image() == {
        "index": [0, 1, 2],
        "name": report.names["gen"],
        "label": ["cat", "dog", "cat"],
        "fid_influence.influence": INFLUENCE["influence"],
        "nearest.nearest_ref": ["", 1, 0],
        "nearest.nearest_ref_name": ["", "y.png", "x.png"],
        "nearest.distance": ["", 0.5, math.inf],
    }


def test_without_classes_and_names_there_are_no_such_columns(report: Report) -> None:
    assert list(replace(report, names={}, labels={}).per_image()) == [
        "index", "fid_influence.influence", "nearest.nearest_ref", "nearest.distance",
    ]  # fmt: skip


def test_csv_reads_back(report: Report, tmp_path: Path) -> None:
    report.save_per_image(tmp_path / "images.csv")
    with (tmp_path / "images.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["fid_influence.influence"]) for row in rows] == INFLUENCE["influence"]
    assert [row["label"] for row in rows] == ["cat", "dog", "cat"]
    assert [row["name"] for row in rows] == ["a.png", r"\udcff.png", "c,d.png"]


def test_parquet_reads_back(report: Report, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pip install 'genmetrics[hf]'")
    report.save_per_image(tmp_path / "images.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["images.parquet"]
    table = parquet.read_table(tmp_path / "images.parquet")
    assert table.column_names == list(report.per_image())
    read = table.to_pydict()
    assert read["name"] == ["a.png", r"\udcff.png", "c,d.png"]
    assert read["nearest.nearest_ref"] == [None, 1, 0]
    for name in ("index", "label", "fid_influence.influence"):
        assert read[name] == report.per_image()[name]
    assert read["nearest.distance"] == [None, 0.5, math.inf]
    assert str(table.schema.field("nearest.nearest_ref").type) == "int64"


def test_parquet_takes_a_package(report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    text = (
        r"^'.*images\.parquet': to write parquet takes the package 'pyarrow' .*'genmetrics\[hf\]', or write '.*\.csv'$"
    )
    with pytest.raises(DependencyError, match=text):
        report.save_per_image(tmp_path / "images.parquet")
    assert list(tmp_path.iterdir()) == []
    report.save_per_image(tmp_path / "images.csv")


@pytest.mark.parametrize("name", ["images.txt", "images", "images.pq"])
def test_other_endings_are_refused(report: Report, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"CSV or parquet; expected a name ending in \.csv or \.parquet"):
        report.save_per_image(tmp_path / name)
