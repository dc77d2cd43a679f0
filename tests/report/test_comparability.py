"""What does not compare is refused, and the field is named."""

from __future__ import annotations

import pytest

import genmetrics as gm
from genmetrics.errors import StatisticsError
from support.results import FID, ISC, KID, result, save, with_field

A = result("a", fid=10.0, kid=0.01, isc=20.0)
B = result("b", fid=9.0, kid=0.02, isc=21.0)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        (
            "metrics.fid.protocol",
            FID + "/bf16",
            rf"fid: metrics.fid.protocol is '{FID}' in 'A' and '{FID}/bf16' in 'B'; evaluate both with the same",
        ),
        ("metrics.kid.protocol", FID, rf"kid: metrics.kid.protocol is '{KID}' in 'A' and '{FID}' in 'B'"),
        (
            "ref.digest",
            "f" * 64,
            r"fid, kid: ref.digest is 746865207265… in 'A' and ffffffffffff… in 'B'; evaluate both "
            r"against the same --ref",
        ),
        ("ref.digest", None, r"fid, kid: ref.digest is 746865207265… in 'A' and not said in 'B'"),
        ("ref", None, r"fid, kid: ref is 'real/' in 'A' and not said in 'B'"),
        (
            "gen.num_samples",
            500,
            r"fid, kid, isc: gen.num_samples is 1000 in 'A' and 500 in 'B'; evaluate both with --num 500",
        ),
        ("gen.num_samples", None, r"fid, kid, isc: gen.num_samples is 1000 in 'A' and not said in 'B'"),
        (
            "extractors/inception-v3.tf2015/weights_sha256",
            "1" * 64,
            r"fid, kid, isc: extractors.inception-v3.tf2015.weights_sha256 is 6726825d6726… in 'A' and "
            r"111111111111… in 'B'; evaluate both with the same --weights",
        ),
        (
            "extractors/inception-v3.tf2015/preprocess/tf1-bilinear-299",
            {"size": [298, 299]},
            r"extractors.inception-v3.tf2015.preprocess.tf1-bilinear-299 is '\{\"size\": \[299, 299\]\}' in 'A'",
        ),
    ],
)
def test_each_field(field, value, said):
    other = with_field(B, field, value)
    with pytest.raises(StatisticsError, match=rf"the results do not compare.*{said}.*-m.*--force"):
        gm.compare(A, other)
    forced = gm.compare(A, other, force=True)
    assert forced.forced and len(forced) == 3
    assert any(text.startswith("forced: ") and "the difference is not between the models" in text
               for text in forced.notes)  # fmt: skip
    assert not gm.compare(A, B).forced


@pytest.mark.parametrize(
    ("field", "value"), [("stats_file", "other.npz"), ("source", "elsewhere/"), ("num_samples", 4000)]
)
def test_references_that_do_not_say_their_images(field, value):
    a, b = (with_field(which, "ref.digest", None) for which in (A, B))
    gm.compare(a, b)
    with pytest.raises(StatisticsError, match=rf"fid, kid: ref.{field} is .* in 'A' and .* in 'B'"):
        gm.compare(a, with_field(b, f"ref.{field}", value))


def test_what_was_forced_compares_with_nothing():
    a, b = (with_field(which, "metrics.fid.protocol", FID + "/forced") for which in (A, B))
    with pytest.raises(StatisticsError, match=r"fid: metrics.fid.protocol.*a forced number compares with no other"):
        gm.compare(a, b)


def test_a_metric_without_a_reference_needs_none():
    assert list(gm.compare(A, with_field(B, "ref.digest", "f" * 64), ["isc"])) == ["isc"]
    assert list(gm.compare(A, with_field(B, "metrics.fid.protocol", "x"), "kid, isc")) == ["kid", "isc"]


def test_all_that_differs_is_named_at_once():
    other = with_field(with_field(B, "gen.num_samples", 5), "metrics.isc.protocol", ISC + "x")
    with pytest.raises(StatisticsError, match=r"gen\.num_samples.*metrics\.isc\.protocol"):
        gm.compare(A, other)


def test_every_run_is_checked():
    bad = with_field(result("c", fid=9.0, kid=0.02, isc=21.0), "gen.num_samples", 999)
    with pytest.raises(StatisticsError, match=r"gen.num_samples is 1000 in 'A' and 999 in 'B, run 2'"):
        gm.compare(A, [B, bad])
    with pytest.raises(StatisticsError, match=r"gen.num_samples is 1000 in 'A, run 1' and 999 in 'A, run 2'"):
        gm.compare([A, bad], B)


def test_runs_that_are_one(tmp_path):
    with pytest.raises(StatisticsError, match=r"'A, run 1' and 'A, run 2' of one model have the same images"):
        gm.compare([A, A], B)
    assert gm.compare([A, A], B, force=True).forced
    nameless = save(tmp_path / "a.json", with_field(A, "gen.digest", None))
    with pytest.raises(StatisticsError, match="are the same file"):
        gm.compare([nameless, nameless], B)
