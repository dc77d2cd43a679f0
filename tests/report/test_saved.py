"""Results read back, and what is no result."""

from __future__ import annotations

from dataclasses import replace

import pytest

import genmetrics as gm
from genmetrics.errors import UsageError
from genmetrics.report.report import Report
from genmetrics.report.saved import read_result
from genmetrics.types import ExtractorRecord, MetricResult, Protocol, SideRecord
from support.results import result, with_field


def test_a_report_its_dict_and_its_file_are_one(tmp_path):
    protocol = Protocol("inception-v3.tf2015", "2048", "tf1-bilinear-299")
    sides = [SideRecord(f"samples/{name}", "folder", 100, name * 64) for name in "abc"]
    a, b = (
        Report(
            metrics={"fid": MetricResult("fid", value, {"se": 0.25, "num": 3}, protocol)},
            gen=side,
            ref=sides[2],
            extractors={"inception-v3.tf2015": ExtractorRecord("67", True, "exact", {"p": {"size": (299, 299)}})},
            versions={"genmetrics": "0.1.0"},
            device="cpu",
            num_processes=1,
            seed=2020,
            seconds={"total": 1.0},
        )
        for value, side in ((10.0, sides[0]), (9.0, sides[1]))
    )
    a.save(tmp_path / "a.json")
    b.save(tmp_path / "b.json")
    of_reports = gm.compare(a, b).metrics
    assert of_reports["fid"].verdict == "better"
    assert gm.compare(a.to_dict(), b.to_dict()).metrics == of_reports
    assert gm.compare(tmp_path / "a.json", str(tmp_path / "b.json")).metrics == of_reports
    assert gm.compare(a, replace(b, seed=1)).metrics == of_reports


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "is empty; expected a result that 'genmetrics eval"),
        (b"fid: 3", r"is no JSON \(line 1: "),
        (b"\x93NUMPY\x01\x00\xff", r"is no JSON; .*Statistics and images are measured first: 'genmetrics eval"),
        (b"[1, 2]", "holds a list; expected a result"),
        (b"3", "holds a int"),
        (b'{"frechet_inception_distance": 3.2}', r"has no 'schema' \(its keys: 'frechet_inception_distance'\)"),
        (b"{}", r"has no 'schema' \(its keys: none\)"),
        (b'{"schema": 1, "genmetrics": "0", "a": {}, "b": {}, "metrics": {}}', "is a comparison already"),
        (b'{"schema": 1, "comparisons": []}', "is a comparison already"),
    ],
)
def test_what_is_no_result(tmp_path, text, said):
    path = tmp_path / "x.json"
    path.write_bytes(text)
    with pytest.raises(UsageError, match=rf"'.*x\.json' {said}"):
        gm.compare(path, result("b", fid=1.0))


def test_a_missing_file(tmp_path):
    with pytest.raises(UsageError, match=r"there is no file '.*x.json'; expected a result that 'genmetrics eval"):
        gm.compare(tmp_path / "x.json", result("b", fid=1.0))


def test_a_schema_of_the_future():
    newer = {**result("a", fid=1.0), "schema": 2, "genmetrics": "9.1"}
    with pytest.raises(UsageError, match=r"'A' has schema 2 \(genmetrics 9.1\), and this version reads 1; update"):
        gm.compare(newer, result("b", fid=1.0))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("metrics", [], "metrics is \\[\\], expected an object"),
        ("metrics.fid", 3.0, "metrics.fid is 3.0, expected an object"),
        ("metrics.fid.value", None, "metrics.fid.value is None, expected a finite number"),
        ("metrics.fid.value", float("nan"), "metrics.fid.value is nan, expected a finite number"),
        ("metrics.fid.protocol", 3, "metrics.fid.protocol is 3, expected a text"),
        ("metrics.fid.extra", {"se": "small"}, "metrics.fid.extra.se is 'small', expected a finite number"),
        ("metrics.fid.extra", {"se": -1.0}, "metrics.fid.extra is .*, expected a standard error of at least 0"),
        ("metrics.fid.extra", {"ci95_low": 2.0, "ci95_high": 1.0}, "metrics.fid.extra is .*ci95_low <= ci95_high"),
        (
            "metrics.fid.replicates",
            {"gen": 3},
            "metrics.fid.replicates.gen is 3, expected a list of at least two numbers",
        ),
        (
            "metrics.fid.replicates",
            {"gen": [1.0]},
            "metrics.fid.replicates.gen is .*, expected a list of at least two numbers",
        ),
        (
            "metrics.fid.replicates",
            {"ref": [1.0, None]},
            "metrics.fid.replicates.ref is None, expected a finite number",
        ),
        ("gen", None, "gen is None, expected an object"),
        ("gen.num_samples", "many", "gen.num_samples is 'many', expected a number"),
        ("ref.digest", 7, "ref.digest is 7, expected a text"),
        ("extractors", {"x": 3}, "extractors.x is 3, expected an object"),
    ],
)
def test_fields_that_cannot_be(field, value, said):
    with pytest.raises(UsageError, match=rf"'B': {said}.*; the file was changed"):
        gm.compare(result("a", fid=1.0), with_field(result("b", fid=1.0), field, value))


def test_fields_that_are_not_there_are_not_known():
    old = result("a", fid=1.0)
    old["metrics"]["fid"].update(replicates=None, extra={"se": None, "debiased": None})
    del old["extractors"], old["seed"]
    assert gm.compare(old, result("b", fid=1.0))["fid"].verdict == "unknown"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("weights_sha256", [0.5], r"weights_sha256 is \[0.5\], expected a text"),
        ("preprocess", [[1]], r"preprocess is \[\[1\]\], expected an object"),
    ],
)
def test_a_damaged_network_is_named(field, value, message):
    with pytest.raises(UsageError, match=rf"extractors\.inception-v3\.tf2015\.{message}"):
        read_result(with_field(result("a", fid=1.0), f"extractors/inception-v3.tf2015/{field}", value))
