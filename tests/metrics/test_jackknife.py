"""The jackknife against figures whose bias and error are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from genmetrics.metrics.jackknife import jackknife

stats = pytest.importorskip("scipy.stats")


def blocks_of(values: np.ndarray, num_blocks: int = 10) -> list[np.ndarray]:
    return [np.delete(values, np.s_[number::num_blocks]) for number in range(num_blocks)]


def test_of_a_mean_it_is_the_textbooks():
    values = np.random.default_rng(0).standard_normal(200)
    found = jackknife(values.mean(), {"gen": [rest.mean() for rest in blocks_of(values)]})
    means = [values[number::10].mean() for number in range(10)]
    assert found.debiased == pytest.approx(values.mean(), rel=1e-9)
    assert found.se == pytest.approx(np.std(means, ddof=1) / math.sqrt(10), rel=1e-9)
    assert found.high - found.debiased == pytest.approx(stats.t.ppf(0.975, 9) * found.se, rel=1e-9)
    assert found.low + found.high == pytest.approx(2 * found.debiased)


def test_bias_that_falls_with_the_samples_is_taken_off():
    """The variance with ddof 0 is too small by one part in n."""
    values = np.random.default_rng(1).standard_normal(1000)
    found = jackknife(values.var(), {"gen": [rest.var() for rest in blocks_of(values, 1000)]})
    assert found.debiased == pytest.approx(values.var(ddof=1), rel=1e-12)
    assert found.debiased != pytest.approx(values.var(), rel=1e-4)


def test_two_sets_add_their_shares():
    rng = np.random.default_rng(2)
    gen, ref = rng.standard_normal(300), 3 * rng.standard_normal(500)
    value = gen.mean() - ref.mean()
    of_gen = [rest.mean() - ref.mean() for rest in blocks_of(gen)]
    of_ref = [gen.mean() - rest.mean() for rest in blocks_of(ref, 5)]
    alone = [jackknife(value, side) for side in ({"gen": of_gen}, {"ref": of_ref})]
    both = jackknife(value, {"gen": of_gen, "ref": of_ref})
    assert both.se == pytest.approx(math.hypot(alone[0].se, alone[1].se), rel=1e-12)
    freedom = both.se**4 / (alone[0].se ** 4 / 9 + alone[1].se ** 4 / 4)
    assert both.high - both.debiased == pytest.approx(stats.t.ppf(0.975, freedom) * both.se, rel=1e-9)


def test_without_spread():
    found = jackknife(2.0, {"gen": [2.0] * 10})
    assert (found.debiased, found.se, found.low, found.high) == (2.0, 0.0, 2.0, 2.0)
