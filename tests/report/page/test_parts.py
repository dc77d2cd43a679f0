"""Galleries, tables of classes, bars, and several results: what of them is shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from genmetrics.engine.lookup import info_of
from genmetrics.errors import UsageError
from genmetrics.report.diagnostics import Picture
from genmetrics.report.page.classes import class_tables
from genmetrics.report.page.content import Shown, shown
from genmetrics.report.page.figures import label_of, rows_of
from genmetrics.report.page.galleries import gallery_view, pictures_that_fit
from genmetrics.report.page.provenance import provenance_of
from genmetrics.report.page.several import checkpoints_of, models_of
from genmetrics.report.page.spans import scale_of, span
from genmetrics.report.page.steps import Steps
from genmetrics.report.saved import SavedMetric, read_result
from support.pages import diagnostics, full_result, thumbnail
from support.results import result, with_blocks, with_field


def of(given: dict[str, Any], label: str = "a") -> Shown:
    return shown(read_result(given, label), label)


def metric(value: float, ci95: tuple[float, float] | None = None, debiased: float | None = None) -> SavedMetric:
    return SavedMetric("fid", value, "p", debiased, None, ci95, {})


def test_a_picture_says_what_it_is():
    held = diagnostics(pictures=3)
    assert held.raises and held.copied
    card = gallery_view("raises", held.raises, 2).cards[0]
    assert card.picture.alt == "generated image gen/a-0000, class class-0000, influence +0.400"
    assert (card.label, card.figures, card.picture.size) == ("class-0000", (("influence", "+0.400"),), "256 × 192")
    pair = gallery_view("copied", held.copied, 9).cards[1]
    assert pair.nearest is not None
    assert pair.nearest.alt == "reference image real/b-0002"
    nameless = replace(held.raises, pictures=(Picture(7, "", None, {}),))
    assert gallery_view("uncovered", nameless, 9).cards[0].picture.alt == "reference image no. 7"


def test_as_many_pictures_as_fit_of_each_gallery():
    one = thumbnail(0)
    held = diagnostics(pictures=20, images=[one])
    # Of each place four galleries have a picture, and one of them two.
    of_a_place = 5 * len(one)
    fitting = pictures_that_fit([held], 10 * of_a_place, 30)
    assert 4 <= fitting < 10
    assert pictures_that_fit([held, held], 10 * of_a_place, 30) == fitting // 2
    assert pictures_that_fit([held], 10**9, 12) == 12
    assert pictures_that_fit([held], 10, 12) == 0
    assert pictures_that_fit([], 0, 12) == 12


def test_few_classes_are_bars_from_the_largest_to_the_smallest():
    (table,) = class_tables(of(full_result(classes=8)))
    values = [float(bar.value.replace("−", "-")) for bar in table.most]
    assert values == sorted(values, reverse=True) and len(values) == 8 and table.least == () and table.rows == ()
    zero = max(bar.left for bar in table.most)
    for bar, value in zip(table.most, values, strict=True):
        assert bar.negative == (value < 0)
        assert 0 <= bar.left <= bar.left + bar.width <= 100.02
        assert bar.left + bar.width * bar.negative == pytest.approx(zero, abs=0.02)


def test_of_many_classes_both_ends_are_bars_and_the_rest_a_table():
    (table,) = class_tables(of(full_result(classes=1000)))
    assert (len(table.most), len(table.least), len(table.rows)) == (20, 20, 1000)
    assert table.columns == ("class", "num_gen", "influence", "mean_influence")


def test_of_very_many_classes_the_table_is_cut_and_says_so():
    (table,) = class_tables(of(full_result(classes=21_000)))
    assert (len(table.rows), table.count) == (1000, 21_000)


def test_figures_of_classes_of_a_metric_are_bars_too():
    given = result("a", intra_fid=10.0)
    given["metrics"]["intra_fid"]["per_class"] = {"class": ["cat", 7], "num_gen": [3, 4], "fid": [2.0, 8.0]}
    (table,) = class_tables(of(given))
    assert (table.title, table.column) == ("intra_fid by class", "fid")
    assert [(bar.name, bar.value, bar.width, bar.count) for bar in table.most] == [
        ("7", "8.00", 100.0, "4 images"),
        ("cat", "2.00", 25.0, "3 images"),
    ]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"class": ["a"], "fid": [1.0, 2.0]}, "columns of equal length"),
        ({"fid": [1.0]}, "one of them 'class'"),
        ({"class": ["a"], "fid": ["much"]}, "per_class.fid is 'much', expected a finite number"),
        ([1], "per_class is \\[1\\], expected an object"),
    ],
)
def test_a_damaged_table_is_named(table, message):
    given = result("a", fid=10.0)
    given["metrics"]["fid"]["per_class"] = table
    with pytest.raises(UsageError, match=message):
        of(given)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("advice", "one text", "advice is 'one text', expected a list"),
        ("notes", [3], "notes is 3, expected a text"),
        ("gen.skipped", [3], "gen.skipped is 3, expected an object"),
        ("command", ["genmetrics"], "command is .*, expected a text"),
        ("metrics.fid.warnings", [None], "metrics.fid.warnings is None, expected a text"),
        ("metrics.fid.extra", {"x": "y"}, "metrics.fid.extra.x is 'y', expected a finite number"),
    ],
)
def test_a_damaged_field_is_named(field, value, message):
    with pytest.raises(UsageError, match=message):
        of(with_field(result("a", fid=10.0), field, value))


def test_a_bar_runs_from_zero_and_holds_all_figures():
    found = span(metric(10.0, (6.0, 8.0), 7.0), (0.0, 20.0))
    assert (found.value, found.low, found.width, found.debiased, found.zero) == (50.0, 30.0, 10.0, 35.0, 0.0)
    below = span(metric(-1.0, (-2.0, 2.0)), scale_of([metric(-1.0, (-2.0, 2.0))]))
    assert below.zero == 50.0 and below.low is not None and 0 < below.low < below.value < 50
    assert span(metric(0.0), scale_of([metric(0.0)])).value == 0.0
    assert 0 <= span(metric(1e308, (-1e308, 1e308)), scale_of([metric(1e308, (-1e308, 1e308))])).value <= 100


def test_rows_say_what_a_result_has():
    rows = {row.id: row for row in rows_of(of(full_result()), info_of)}
    assert (rows["fid"].value, rows["fid"].interval, rows["fid"].debiased) == ("12.34", "8.94 to 9.74", "9.34")
    assert (rows["fid"].better, rows["fid"].exact, rows["fid"].se) == ("lower is better", "12.34", "0.21")
    assert rows["prc"].extras == (("recall", "0.440"), ("f score", "0.570"))
    assert (rows["prc"].interval, rows["prc"].se, rows["prc"].span.low) == ("", "", None)
    assert rows["fid"].words == "FID 12.34, 95 % interval 8.94 to 9.74, debiased 9.34"


def test_short_names():
    assert [label_of(name) for name in ("fid", "fd.dinov2", "fid_64", "isc", "clip_score", "nearest")] == [
        *("FID", "FD", "FID 64", "Inception Score", "Clip score", "Nearest distance")
    ]


def test_models_are_compared_with_the_first():
    base = result("base", fid=with_blocks([10.0, 10.1, 9.9, 10.0]), isc=5.0)
    better = result("better", fid=with_blocks([5.0, 5.1, 4.9, 5.0]), kid=0.1)
    found = models_of([of(base, "base"), of(better, "better")], info_of)
    assert found.summaries == ("better against base: better in FID.",)
    rows = {row.id: row for row in found.rows}
    assert list(rows) == ["fid", "isc", "kid"]
    assert [cell.verdict for cell in rows["fid"].cells] == ["", "better"]
    assert rows["fid"].cells[1].sign == "▲" and rows["fid"].cells[1].difference.startswith("−5.00 (")
    assert [cell.value for cell in rows["isc"].cells] == ["5.000", ""]
    assert [cell.value for cell in rows["kid"].cells] == ["", "0.1000"]
    assert found.refusals == ()


def test_models_that_do_not_compare_have_no_verdict_and_the_reason():
    base, other = result("base", fid=10.0), result("other", fid=11.0)
    other["ref"]["digest"] = "of others"
    found = models_of([of(base, "base"), of(other, "other")], info_of)
    ((label, reason),) = found.refusals
    assert label == "other" and "ref.digest" in reason
    assert [cell.verdict for cell in found.rows[0].cells] == ["", ""]
    assert found.summaries == ()


def test_checkpoints_are_in_order_and_the_best_is_that_of_the_direction():
    results = [
        of(result(f"s{step}", fid=fid, isc=isc), str(step)) for step, fid, isc in ((30, 2.5, 7.0), (10, 9.0, 8.0))
    ]
    found = checkpoints_of(results, Steps((30.0, 10.0), "epoch", ("30", "10")), info_of)
    assert found.labels == ("10", "30")
    fid, isc = found.plots
    assert fid.rows == (("10", "9.000", "", False), ("30", "2.500", "", True))
    assert isc.rows == (("10", "8.000", "", True), ("30", "7.000", "", False))
    assert fid.words == "FID is 9.000 at epoch 10 and 2.500 at epoch 30; the least is 2.500 at epoch 30."
    assert found.summary.startswith("2 checkpoints, epoch 10 to 30.")
    assert fid.drawing is not None and isc.drawing is not None


def test_checkpoints_show_the_value_that_the_interval_is_of():
    results = [of(full_result(f"s{step}", fid=20.0 - step, diagnosed=False), str(step)) for step in (1, 2)]
    found = checkpoints_of(results, Steps((1.0, 2.0), "step", ("1", "2")), info_of)
    assert found.plots[0].label == "Debiased FID"
    assert [row[1] for row in found.plots[0].rows] == ["16.00", "15.00"]


def test_provenance_leaves_nothing_out():
    given = full_result()
    given["gen"]["skipped"] = [{"name": "bad.png", "reason": "cut off"}]
    given["gen"]["formats"] = {"JPEG": 400, "PNG": 1600}
    given["gen"]["sizes"] = {"bins": [[24, 2000, 8192000]], "smallest": [64, 64], "largest": [512, 384]}
    given["ref"]["sizes"] = {"bins": [[32, 10, 655360]], "smallest": [256, 256], "largest": [256, 256]}
    given |= {"reused": ["ref"], "engine": "of a later version"}
    found = provenance_of(of(given))
    texts = {(group.title, name): text for group in found.groups for name, text in group.fields}
    assert texts["Generated set", "digest (sha256)"] == given["gen"]["digest"]
    assert texts["Generated set", "formats"] == "400 JPEG, 1,600 PNG"
    assert texts["Generated set", "sizes"] == "64 × 64 to 512 × 384"
    assert texts["Reference", "sizes"] == "256 × 256"
    assert texts["Reference", "source"] == "real/"
    assert texts["Run", "kept from an earlier run"] == "ref"
    assert texts["Run", "engine"] == "of a later version"
    assert texts["Network inception-v3.tf2015", "weights (sha256)"] == "6726825d" * 8
    assert texts["Network inception-v3.tf2015", "preprocess tf1-bilinear-299"] == '{"size": [299, 299]}'
    assert texts["Protocols", "kid"] == given["metrics"]["kid"]["protocol"]
    assert texts["Versions", "torch"] == "2.13.0"
    assert (found.skipped, found.num_skipped) == ((("generated", "bad.png", "cut off"),), 1)
    given["gen"]["skipped"] *= 50_000
    many = provenance_of(of(given))
    assert (len(many.skipped), many.num_skipped) == (200, 50_000)
    assert found.command == given["command"]
