"""What of the noise is paired, and the verdict."""

from __future__ import annotations

import math

import pytest

import genmetrics as gm
from genmetrics.report.uncertainty import jackknife_variance
from support.results import GEN_A, GEN_B, REF, result, with_blocks, with_field


def test_unpaired_it_is_inconclusive_and_paired_it_is_not():
    """The reference's noise is in both alike: it hides a difference that is there, until it is paired."""
    a = result("a", fid=with_blocks(GEN_A, REF, 10.05))
    b = result("b", fid=with_blocks([v - 0.9 for v in GEN_A], [v - 0.9 for v in REF], 9.15))
    other_reference = with_field(b, "ref.digest", "f" * 64)
    unpaired = gm.compare(a, other_reference, force=True)["fid"]
    assert (unpaired.verdict, unpaired.paired) == ("inconclusive", ())
    paired = gm.compare(a, b)["fid"]
    assert (paired.verdict, paired.paired) == ("better", ("ref",))
    assert unpaired.se == pytest.approx(math.sqrt(2 * 0.0375 + 2 * jackknife_variance(REF)), rel=1e-12)
    assert paired.se == pytest.approx(math.sqrt(2 * 0.0375), rel=1e-12)


@pytest.mark.parametrize("kind", ["generator", "torchscript", "onnx", "python"])
def test_generators_with_one_seed_are_paired(kind):
    a = result("a", gen_kind=kind, fid=with_blocks(GEN_A, REF))
    b = result("b", gen_kind=kind, fid=with_blocks(GEN_B, REF))
    assert gm.compare(a, b)["fid"].paired == ("gen", "ref")
    assert gm.compare(a, {**b, "seed": 7})["fid"].paired == ("ref",)
    files = result("b", fid=with_blocks(GEN_B, REF))
    assert gm.compare(a, files)["fid"].paired == ("ref",)


def test_files_are_not_unless_it_is_said():
    a, b = result("a", fid=with_blocks(GEN_A, REF)), result("b", fid=with_blocks(GEN_B, REF))
    assert gm.compare(a, b)["fid"].paired == ("ref",)
    assert gm.compare(a, b, same_latents=True)["fid"].paired == ("gen", "ref")


def test_references_without_a_digest_are_not_paired():
    a, b = (with_field(result(name, fid=with_blocks(gen, REF)), "ref.digest", None)
            for name, gen in (("a", GEN_A), ("b", GEN_B)))  # fmt: skip
    compared = gm.compare(a, b)
    assert compared["fid"].paired == ()
    assert any("does not say which images it is of" in text for text in compared.notes)


def test_other_numbers_of_blocks_are_not_paired():
    a, b = result("a", fid=with_blocks(GEN_A, REF)), result("b", fid=with_blocks(GEN_B, [*REF, 10.0]))
    compared = gm.compare(a, b)
    assert compared["fid"].paired == ()
    assert any("different numbers of blocks" in text for text in compared.warnings)


def test_a_reference_without_blocks_is_said():
    a, b = result("a", fid=with_blocks(GEN_A), isc=with_blocks(GEN_A)), result("b", fid=with_blocks(GEN_B))
    assert any("no blocks of the reference" in text for text in gm.compare(a, b)["fid"].notes)
    b = result("b", fid=with_blocks(GEN_B, REF), isc=with_blocks(GEN_B))
    compared = gm.compare(a, b)
    assert any("only one of the results has blocks of the reference" in text for text in compared["fid"].notes)
    assert compared["isc"].notes == (), "it has no reference"
    expected = math.sqrt(0.075 + jackknife_variance(REF))
    assert compared["fid"].se == pytest.approx(expected, rel=1e-12)


def test_errors_of_one_and_blocks_of_the_other():
    a, b = result("a", fid={"value": 12.0, "se": 0.3}), result("b", fid=with_blocks(GEN_B, REF))
    compared = gm.compare(a, b)["fid"]
    assert compared.se == pytest.approx(math.sqrt(0.09 + 0.0375 + jackknife_variance(REF)), rel=1e-12)
    assert (compared.method, compared.paired) == ("errors", ())
    assert "taken as independent" in compared.notes[0]


@pytest.mark.parametrize(
    ("metric", "up"),
    [
        ("fid", "worse"),
        ("kid", "worse"),
        ("isc", "better"),
        ("prc", "better"),
        ("fid_clean", "worse"),
        ("fd.efficientnet-lite0.in1k", "worse"),
        ("isc.efficientnet-lite0.in1k", "better"),
        ("fid.adm-256", "worse"),
        ("isc.square-64", "better"),
        ("kid_full.dinov2-vitb14.lvd142m.pil-bicubic-256", "worse"),
        ("fd.hf:owner/model.v2@0123abc", "worse"),
    ],
)
def test_direction(metric, up):
    low, high = ({metric: {"value": value, "se": 0.1}} for value in (1.0, 2.0))
    a, b = result("a", **low), result("b", **high)
    assert gm.compare(a, b)[metric].verdict == up
    assert gm.compare(b, a)[metric].verdict == ("better" if up == "worse" else "worse")


def test_a_metric_that_nobody_knows():
    a, b = (result(name, my_metric={"value": value, "se": 0.1}) for name, value in (("a", 1.0), ("b", 2.0)))
    compared = gm.compare(a, b)["my_metric"]
    assert (compared.verdict, compared.reason) == ("unknown", "not known which way is better")
    assert compared.ci95_low is not None and compared.ci95_low > 0


@pytest.mark.parametrize(("a", "b", "lacking"), [(None, None, "A and B"), (0.1, None, "B"), (None, 0.1, "A")])
def test_without_error_bars_the_difference_is_there_and_no_verdict(a, b, lacking):
    values = [{"value": 12.0} if se is None else {"value": 12.0, "se": se} for se in (a, b)]
    compared = gm.compare(result("a", fid=values[0]), result("b", fid={**values[1], "value": 10.0}))["fid"]
    assert (compared.verdict, compared.reason) == ("unknown", f"no error bars in {lacking}")
    assert compared.difference == -2
    assert compared.se is compared.ci95_low is compared.ci95_high is compared.method is None


def test_debiased_is_compared_where_both_have_it():
    a = result("a", fid={"value": 14.0, "debiased": 12.0, "se": 0.1})
    b = result("b", fid={"value": 13.0, "debiased": 12.5, "se": 0.1})
    compared = gm.compare(a, b)["fid"]
    assert (compared.compared, compared.a.value, compared.b.value) == ("debiased", 12.0, 12.5)
    compared = gm.compare(a, result("b", fid={"value": 13.0, "se": 0.1}))["fid"]
    assert (compared.compared, compared.a.value, compared.b.value) == ("value", 14.0, 13.0)
    assert "not all results have a value without the bias of few samples" in compared.notes[0]


def test_debiased_is_not_compared_where_other_sides_were_corrected():
    """A reference without blocks leaves its share of the bias in the figure."""
    a = result("a", fid=with_blocks(GEN_A, REF, 14.0, debiased=12.0))
    b = result("b", fid=with_blocks(GEN_B, None, 13.0, debiased=12.5))
    compared = gm.compare(a, b)["fid"]
    assert (compared.compared, compared.difference) == ("value", -1.0)
    assert "the bias of both sides was taken from one result" in compared.notes[0]
    b["metrics"]["fid"]["replicates"]["ref"] = REF
    assert gm.compare(a, b)["fid"].compared == "debiased"


def test_errors_of_zero_do_not_make_a_difference_sure():
    flat = [0.5, 0.5, 0.5]
    a, b = result("a", prc=with_blocks(flat, flat, 0.5)), result("b", prc=with_blocks(flat, flat, 0.6))
    compared = gm.compare(a, b)["prc"]
    assert (compared.verdict, compared.reason) == ("unknown", "no spread in its errors")


def test_the_same_images_are_never_better():
    a = result("a", fid=with_blocks(GEN_A, REF))
    again = with_field(a, "metrics.fid.value", a["metrics"]["fid"]["value"] + 1)
    for other in (a, again):
        compared = gm.compare(a, other)
        assert any("have the same generated images" in text for text in compared.notes)
    again["metrics"]["fid"]["replicates"]["gen"][0] += 1e-9
    assert compared["fid"].paired == ("gen", "ref")
    assert gm.compare(a, again)["fid"].verdict == "inconclusive"


def test_that_training_again_is_another_thing_is_said():
    a, b = (result(name, fid={"value": value, "se": 0.1}) for name, value in (("a", 1.0), ("b", 2.0)))
    assert any("not of training the models again" in text for text in gm.compare(a, b).notes)
    assert gm.compare([a], [b]).notes == gm.compare(a, b).notes
