"""A report on disk and on paper."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from genmetrics.errors import UnknownNameError
from genmetrics.report.report import Report
from genmetrics.types import ExtractorRecord, MetricResult, Protocol, SideRecord, Sizes, SkippedImage

INCEPTION = "inception-v3.tf2015"
FID = Protocol(INCEPTION, "2048", "tf1-bilinear-299")
KID = replace(FID, estimator="poly3-100x1000")


@pytest.fixture
def report() -> Report:
    metrics = (
        MetricResult("fid", 12.3456789012345678, {}, FID, ("few images",)),
        MetricResult("kid", 0.1 + 0.2, {"std": 0.001, "num_subsets": 100, "subset_size": 1000}, KID, ("few images",)),
    )
    gen = SideRecord(
        "samples/été",
        "folder",
        1000,
        "a" * 64,
        (SkippedImage("bad.png", "cut short"),),
        ("1 image was left out",),
        formats=(("JPEG", 400), ("PNG", 600)),
        sizes=Sizes(((24, 600, 2457600), (31, 400, 24000000)), (64, 64), (300, 200)),
    )
    record = ExtractorRecord("6726825d", True, "exact", {"tf1-bilinear-299": {"size": (299, 299)}}, "openvino")
    return Report(
        metrics={result.id: result for result in metrics},
        gen=gen,
        ref=SideRecord("real.zip", "zip", 900, "b" * 64),
        extractors={INCEPTION: record},
        versions={"genmetrics": "0.1.0", "torch": "2.13.0", "python": "3.11.7"},
        device="cuda:0",
        num_processes=2,
        seed=2020,
        seconds={"gen": 1.23456, "total": 2.0},
    )


SIDE_KEYS = {
    "source",
    "kind",
    "num_samples",
    "digest",
    "skipped",
    "notes",
    "selection",
    "stats_file",
    "formats",
    "sizes",
}


def test_is_a_collection_of_metric_ids(report: Report) -> None:
    assert "fid" in report and "isc" not in report
    assert list(report) == ["fid", "kid"] and len(report) == 2
    assert [report[name].id for name in report] == list(report.metrics)


def test_layout_of_the_file(report: Report) -> None:
    """DESIGN's layout, read back from the text; other programs depend on every key."""
    read = json.loads(report.to_json())
    assert read["schema"] == 1
    assert read["genmetrics"] == "0.1.0"
    assert set(read) == {
        *("schema", "genmetrics", "metrics", "gen", "ref", "extractors", "versions"),
        *("device", "num_processes", "seed", "seconds", "notes", "reused", "advice", "command"),
    }
    assert read["metrics"] == {
        "fid": {
            "value": 12.3456789012345678,
            "extra": {},
            "protocol": "inception-v3.tf2015/2048/tf1-bilinear-299",
            "warnings": ["few images"],
        },
        "kid": {
            "value": 0.30000000000000004,
            "extra": {"std": 0.001, "num_subsets": 100, "subset_size": 1000},
            "protocol": "inception-v3.tf2015/2048/tf1-bilinear-299/poly3-100x1000",
            "warnings": ["few images"],
        },
    }
    assert read["gen"] == {
        "source": "samples/été",
        "kind": "folder",
        "num_samples": 1000,
        "digest": "a" * 64,
        "skipped": [{"name": "bad.png", "reason": "cut short"}],
        "notes": ["1 image was left out"],
        "selection": None,
        "stats_file": None,
        "formats": {"JPEG": 400, "PNG": 600},
        "sizes": {"bins": [[24, 600, 2457600], [31, 400, 24000000]], "smallest": [64, 64], "largest": [300, 200]},
    }
    assert set(read["ref"]) == SIDE_KEYS
    assert (read["ref"]["num_samples"], read["ref"]["skipped"]) == (900, [])
    assert read["extractors"] == {
        INCEPTION: {
            "weights_sha256": "6726825d",
            "official": True,
            "precision": "exact",
            "preprocess": {"tf1-bilinear-299": {"size": [299, 299]}},
            "backend": "openvino",
        }
    }
    assert read["versions"] == {"torch": "2.13.0", "python": "3.11.7"}
    assert (read["device"], read["num_processes"], read["seed"]) == ("cuda:0", 2, 2020)
    assert read["seconds"] == {"gen": 1.235, "total": 2.0}


def test_order_of_metrics_is_kept(report: Report) -> None:
    assert list(json.loads(report.to_json())["metrics"]) == ["fid", "kid"]
    turned = replace(report, metrics=dict(reversed(report.metrics.items())))
    assert list(json.loads(turned.to_json())["metrics"]) == ["kid", "fid"]


def test_no_reference_is_null(report: Report) -> None:
    assert json.loads(replace(report, ref=None).to_json())["ref"] is None


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["value", "extra"])
def test_nan_is_never_written(report: Report, tmp_path: Path, bad: float, where: str) -> None:
    """Neither as a number nor as a word that is no JSON, and no file is left that says less."""
    poisoned = replace(report["fid"], **{where: bad if where == "value" else {"std": bad}})
    path = tmp_path / "report.json"
    path.write_text("the one before")
    with pytest.raises(ValueError, match="JSON compliant"):
        replace(report, metrics={"fid": poisoned}).save(path)
    assert path.read_text() == "the one before"
    assert list(tmp_path.iterdir()) == [path]


def test_results_by_id(report: Report) -> None:
    assert report["kid"].value == 0.1 + 0.2
    with pytest.raises(UnknownNameError, match=r"^the report has no metric 'fdi'; did you mean 'fid'"):
        report["fdi"]


def test_warnings_come_once_with_what_they_are_about(report: Report) -> None:
    assert report.warnings == ("gen: 1 image was left out", "fid, kid: few images")
    both = replace(report, ref=replace(report.ref, notes=("2 have transparency",)))
    assert both.warnings[1] == "ref: 2 have transparency"


def test_advice_comes_first_and_once(report: Report) -> None:
    advised = replace(report, advice=("shuffle them", "few images of 5"), notes=("a note", "shuffle them"))
    assert advised.warnings[:3] == ("shuffle them", "few images of 5", "a note")
    assert advised.warnings.count("shuffle them") == 1
    assert advised.notices[0] == "a note"
    assert json.loads(advised.to_json())["advice"] == ["shuffle them", "few images of 5"]
    lines = advised.to_markdown().splitlines()
    assert lines.index("- advice: shuffle them") < lines.index("- advice: few images of 5") < lines.index("- a note")
    assert "advice" not in report.to_markdown()


@pytest.mark.parametrize("as_text", [False, True])
def test_save(report: Report, tmp_path: Path, as_text: bool) -> None:
    path = tmp_path / "report.json"
    path.write_text("older and longer " * 1000)
    report.save(str(path) if as_text else path)
    text = path.read_text(encoding="utf-8")
    assert json.loads(text) == json.loads(report.to_json())
    assert text.endswith("}\n") and "été" in text
    assert list(tmp_path.iterdir()) == [path]


def test_saved_file_has_the_usual_permissions(report: Report, tmp_path: Path) -> None:
    plain, path = tmp_path / "plain", tmp_path / "report.json"
    before = os.umask(0o027)
    try:
        plain.write_text("")
        report.save(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode == plain.stat().st_mode


def test_markdown(report: Report) -> None:
    assert report.to_markdown() == (
        "| metric | value | ± | protocol |\n"
        "|---|---:|---:|---|\n"
        "| fid | 12.3457 |  | `inception-v3.tf2015/2048/tf1-bilinear-299` |\n"
        "| kid | 0.3 | 0.001 | `inception-v3.tf2015/2048/tf1-bilinear-299/poly3-100x1000` |\n"
        "\n"
        "gen: samples/été (1000 images)  \n"
        "ref: real.zip (900 images)\n"
        "\n"
        "- gen: 1 image was left out\n"
        "- fid, kid: few images\n"
    )


def test_markdown_without_reference_and_warnings(report: Report) -> None:
    quiet = replace(report, ref=None, gen=replace(report.gen, notes=()), metrics={})
    assert "ref:" not in quiet.to_markdown()
    assert quiet.to_markdown().endswith("(1000 images)  \n")
