"""Each rule says what it should of a result that is unusual, and nothing of one that is not."""

from __future__ import annotations

from typing import Any

import pytest

from genmetrics.engine.lookup import info_of
from genmetrics.report.page.content import shown
from genmetrics.report.page.unusual import Remark, remarks
from genmetrics.report.saved import read_result
from support.results import FID, result, with_field


def usual(**metrics: Any) -> dict[str, Any]:
    """A result of 50,000 images in which nothing is unusual."""
    made = result("a", **(metrics or {"fid": {"value": 10.0, "ci95_low": 9.8, "ci95_high": 10.2, "se": 0.1}}))
    made["gen"]["num_samples"] = 50_000
    return made


def found(of: dict[str, Any]) -> tuple[Remark, ...]:
    return remarks(shown(read_result(of), "a"), info_of)


def test_nothing_of_a_usual_result():
    assert found(usual()) == ()


@pytest.mark.parametrize(
    ("field", "value", "level", "about", "words"),
    [
        ("metrics.fid.protocol", f"{FID}/forced", "doubt", "fid", "compared by force"),
        ("extractors/inception-v3.tf2015/official", False, "doubt", "inception-v3.tf2015", "not the published ones"),
        ("extractors/inception-v3.tf2015/precision", "bf16", "note", "inception-v3.tf2015", "ran in bf16"),
        ("gen.skipped", [{"name": "a.png", "reason": "cut"}], "doubt", "gen", "1 image could not be read"),
        ("gen.num_samples", None, "note", "gen", "does not say how many"),
        ("gen.num_samples", 5000, "note", "fid", "5,000 generated images: a Fréchet distance of so few"),
        ("gen.num_samples", 2048, "doubt", "fid", "2,048 generated images in 2,048 dimensions"),
        ("metrics.fid.extra.debiased", 8.0, "note", "fid", "2.0 of the 10.00 come from the number of images"),
        ("metrics.fid.extra", {"ci95_low": 8.0, "ci95_high": 12.0}, "note", "fid", "reaches 20 % of the value"),
        ("metrics.fid.extra", {"ci95_low": -1.0, "ci95_high": 21.0}, "note", "fid", "cannot tell the sets apart"),
        ("metrics.fid.extra.share_of_copies", 0.02, "doubt", "fid", "2 % of the generated images are copies"),
        ("metrics.fid.extra", {"precision": 0.9, "recall": 0.3}, "note", "fid", "parts of the reference are missing"),
        (
            "metrics.fid.extra",
            {"precision": 0.3, "recall": 0.9},
            "note",
            "fid",
            "many of the generated images are unlike",
        ),
        ("metrics.fid.warnings", ["few images"], "note", "fid", "Few images."),
        ("notes", ["a note."], "note", "", "A note."),
        ("gen.notes", ["dropped transparency"], "note", "gen", "Dropped transparency."),
    ],
)
def test_a_rule_speaks_of_what_is_unusual(field, value, level, about, words):
    (remark,) = found(with_field(usual(), field, value))
    assert (remark.level, remark.about) == (level, about)
    assert words in remark.text


def test_equal_digests():
    of = usual()
    of["ref"]["digest"] = of["gen"]["digest"]
    (remark,) = found(of)
    assert remark.level == "doubt" and "same images" in remark.text


def test_few_authentic_images():
    (remark,) = found(usual(authpct=31.25))
    assert remark.level == "doubt" and "Only 31.2 %" in remark.text
    assert found(usual(authpct=80.0)) == ()


def test_zero_in_an_interval_says_nothing_where_zero_is_not_the_best():
    assert found(usual(isc={"value": 0.0, "ci95_low": -1.0, "ci95_high": 1.0})) == ()


def test_one_text_of_two_metrics_stands_once_and_doubts_come_first():
    of = usual(fid=10.0, fid_pytorch=10.0, kid=0.1)
    for name in ("fid", "fid_pytorch"):
        of["metrics"][name]["warnings"] = ["seen"]
    of["metrics"]["kid"]["protocol"] += "/forced"
    doubt, note = found(of)
    assert (doubt.level, doubt.about) == ("doubt", "kid")
    assert (note.about, note.text) == ("fid, fid_pytorch", "Seen.")
