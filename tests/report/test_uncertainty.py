"""How sure a difference is: each way of finding it, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

import genmetrics as gm
from genmetrics.report.uncertainty import difference_of_means, jackknife_variance
from support.results import GEN_A, GEN_B, result, with_blocks

#: The t quantile for 3 degrees of freedom, as printed in tables.
T3 = 3.182446


def test_jackknife_variance():
    """(K-1)/K Σ (v - v̄)²: deviations -0.05, 0.15, -0.15, 0.05, squares 0.05 in all, times 3/4."""
    assert jackknife_variance(GEN_A) == pytest.approx(0.0375, rel=1e-12)


def test_of_a_mean_it_is_the_usual_variance():
    """Leaving out one value at a time gives s²/n exactly."""
    values = np.random.default_rng(0).normal(size=12)
    left_out = [float(np.delete(values, i).mean()) for i in range(12)]
    assert jackknife_variance(left_out) == pytest.approx(values.var(ddof=1) / 12, rel=1e-12)


def test_unpaired():
    """Both sets have 0.0375 (deviations of B: -0.05, 0.15, 0.05, -0.15), so 0.075 in all."""
    compared = gm.compare(result("a", isc=with_blocks(GEN_A)), result("b", isc=with_blocks(GEN_B)))["isc"]
    assert compared.difference == pytest.approx(-1)
    assert compared.se == pytest.approx(math.sqrt(0.075), rel=1e-12)
    half = T3 * math.sqrt(0.075)
    assert (compared.ci95_low, compared.ci95_high) == pytest.approx((-1 - half, -1 + half), rel=1e-6)
    assert (compared.paired, compared.method, compared.verdict) == ((), "blocks", "worse")
    assert compared.a.se == pytest.approx(math.sqrt(0.0375), rel=1e-12)


def test_paired():
    """B - A by block: -1.0, -1.0, -0.8, -1.2; deviations 0, 0, 0.2, -0.2; squares 0.08, times 3/4."""
    a, b = result("a", isc=with_blocks(GEN_A)), result("b", isc=with_blocks(GEN_B))
    compared = gm.compare(a, b, same_latents=True)["isc"]
    assert compared.se == pytest.approx(math.sqrt(0.06), rel=1e-12)
    assert compared.paired == ("gen",)


def test_of_stated_errors():
    """3-4-5: the errors add in squares, and the interval of a normal distribution is 1.96 of that each way."""
    a, b = result("a", isc={"value": 20.0, "se": 0.3}), result("b", isc={"value": 25.0, "se": 0.4})
    compared = gm.compare(a, b)["isc"]
    assert compared.se == pytest.approx(0.5, rel=1e-12)
    assert (compared.ci95_low, compared.ci95_high) == pytest.approx((5 - 0.98, 5 + 0.98), abs=1e-4)
    assert compared.method == "errors"


def test_of_stated_intervals_that_are_longer_on_one_side():
    """A reaches 3 up, B reaches 4 down: the difference reaches 5 down. And √(1² + 1²) up."""
    a = result("a", isc={"value": 20.0, "se": 1.0, "ci95_low": 19.0, "ci95_high": 23.0})
    b = result("b", isc={"value": 30.0, "se": 1.0, "ci95_low": 26.0, "ci95_high": 31.0})
    compared = gm.compare(a, b)["isc"]
    assert (compared.ci95_low, compared.ci95_high) == pytest.approx((10 - 5, 10 + math.sqrt(2)), rel=1e-12)


def test_an_interval_of_another_figure_than_the_compared_one():
    """A interval that is about the debiased figure keeps its width where the raw ones are compared."""
    a = result("a", fid={"value": 20.0, "debiased": 10.0, "se": 0.5, "ci95_low": 9.0, "ci95_high": 11.0})
    b = result("b", fid={"value": 20.0, "se": 0.0})
    compared = gm.compare(a, b)["fid"]
    assert (compared.compared, compared.difference) == ("value", 0)
    assert (compared.ci95_low, compared.ci95_high) == pytest.approx((-1, 1), rel=1e-12)


def test_runs():
    """Welch by hand: means 2 and 5, variances 1 and 4, n 3 and 4; se² = 1/3 + 1; df = (4/3)²/((1/3)²/2 + 1/3)."""
    a = [result(f"a{i}", fid=value) for i, value in enumerate((1.0, 2.0, 3.0))]
    b = [result(f"b{i}", fid=5 + dev) for i, dev in enumerate((-math.sqrt(6), 0.0, 0.0, math.sqrt(6)))]
    compared = gm.compare(a, b)["fid"]
    assert compared.difference == pytest.approx(3)
    assert compared.se == pytest.approx(math.sqrt(4 / 3), rel=1e-12)
    degrees = (16 / 9) / (1 / 18 + 1 / 3)
    assert degrees == pytest.approx(4.571, abs=1e-3)
    half = stats.t.ppf(0.975, degrees) * math.sqrt(4 / 3)
    assert (compared.ci95_low, compared.ci95_high) == pytest.approx((3 - half, 3 + half), rel=1e-9)
    assert (compared.method, compared.paired, compared.verdict) == ("runs", (), "inconclusive")
    assert (compared.a.sd, compared.a.best) == (1.0, 1.0)
    assert compared.b.sd == pytest.approx(2.0)


def test_runs_as_scipy_has_them():
    rng = np.random.default_rng(1)
    a, b = rng.normal(5, 1, 4).tolist(), rng.normal(6, 3, 7).tolist()
    found = difference_of_means(a, b)
    interval = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_one_run_against_several_has_the_spread_of_the_several():
    """A t-test of equal variances, in which one group of one adds nothing to the spread."""
    b = (5.0, 6.0, 7.5)
    runs = [result(f"b{i}", fid=value) for i, value in enumerate(b)]
    compared = gm.compare(result("a", fid=4.0), runs)
    of = compared["fid"]
    deviation = stats.tstd(b) * math.sqrt(1 + 1 / 3) * stats.t.ppf(0.975, 2)
    assert (of.ci95_low, of.ci95_high) == pytest.approx((of.difference - deviation, of.difference + deviation))
    assert any("has one run; its spread is taken to be that of the other's" in text for text in compared.warnings)
