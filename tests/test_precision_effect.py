"""What is said of bf16's effect on the numbers is what was measured."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

from genmetrics.metrics import METRICS
from genmetrics.precision_effect import EFFECTS, FAMILIES, Effect, effect_class, effect_of, family_of

RESULT = Path(__file__).parents[1] / "benchmarks" / "results" / "precision.json"


def measured():
    return json.loads(RESULT.read_text())


def test_the_figures_are_those_of_the_measurement():
    """Run benchmarks/precision.py and copy what it prints, if this fails."""
    found = {(row["extractor"], row["precision"], row["family"]): row for row in measured()["effects"]}
    assert found.keys() == EFFECTS.keys()
    for key, effect in EFFECTS.items():
        assert effect == Effect(**{field.name: found[key][field.name] for field in fields(Effect)}), key


def test_no_row_of_the_measurement_moved_further():
    rows = measured()["rows"]
    assert {family_of(row["metric"]) for row in rows} == set(FAMILIES)
    for row in rows:
        effect = EFFECTS[row["extractor"], row["precision"], family_of(row["metric"])]
        for sides, relative, absolute in (
            ("both_sides", effect.relative, effect.absolute_near),
            ("one_side", effect.relative_one_side, effect.absolute_near_one_side),
        ):
            limit = absolute if row["near"] else relative
            kind = "absolute" if row["near"] or family_of(row["metric"]) == "prc" else "relative"
            assert abs(row[sides][kind]) <= limit, row["what"]


@pytest.mark.parametrize(
    ("metric", "family"),
    [
        ("fid", "fd"),
        ("fd.efficientnet-lite0.in1k", "fd"),
        ("kid", "kid"),
        ("isc.inception-v3.tf2015", "isc"),
        ("prc", "prc"),
        ("fid_64", "other"),
        ("kid_full", "other"),
        ("prdc", "other"),
    ],
)
def test_families(metric, family):
    assert family_of(metric) == family


def test_every_metric_has_a_family():
    assert {family_of(metric) for metric in METRICS} == {*FAMILIES, "other"}


def test_the_sentence_says_how_far_on_what():
    effect = EFFECTS["efficientnet-lite0.in1k", "bf16", "fd"]
    text = effect_of("fd", "efficientnet-lite0.in1k", "bf16")
    assert f"bf16 moved fd by up to {100 * effect.relative:.2g} % of its value" in text
    assert "on efficientnet-lite0.in1k over crops of photographs" in text
    assert f"(effect class: {effect_class(effect.relative)})" in text
    one = effect_of("fd", "efficientnet-lite0.in1k", "bf16", one_side=True)
    assert f"bf16 on one side moved fd by up to {100 * effect.relative_one_side:.2g} %" in one


def test_what_lies_in_0_to_1_is_said_as_it_is():
    effect = EFFECTS["efficientnet-lite0.in1k", "bf16", "prc"]
    largest = max(effect.relative, effect.absolute_near)
    assert f"bf16 moved prc by up to {largest:.2g}, of 0 to 1, on" in effect_of(
        "prc", "efficientnet-lite0.in1k", "bf16"
    )


def test_random_weights_are_called_so():
    assert "with random weights" in effect_of("fd", "inception-v3.tf2015", "bf16")
    assert "random" not in effect_of("fd", "efficientnet-lite0.in1k", "bf16")


@pytest.mark.parametrize(
    ("family", "extractor", "precision"),
    [
        ("other", "efficientnet-lite0.in1k", "bf16"),
        ("fd", "vgg16.tv-in1k", "bf16"),
        ("fd", "efficientnet-lite0.in1k", "tf32"),
    ],
)
def test_what_was_not_measured_is_called_so(family, extractor, precision):
    text = effect_of(family, extractor, precision)
    assert f"how far {precision} moves this number on {extractor} was not measured" == text


@pytest.mark.parametrize(
    ("relative", "name"),
    [
        (0.0, "none"),
        (5e-4, "below a per mille"),
        (4e-3, "per mille"),
        (0.02, "percent"),
        (0.5, "tens of percent"),
        (2.0, "another number"),
    ],
)
def test_classes(relative, name):
    assert effect_class(relative) == name
