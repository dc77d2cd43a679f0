"""Student's t without SciPy, against SciPy's."""

from __future__ import annotations

import pytest
from scipy import stats

from genmetrics.student_t import NORMAL_95, t_quantile


@pytest.mark.parametrize("degrees", [0.5, 1.0, 1.5, 2.0, 3.0, 9.0, 9.3, 19.0, 49.0, 300.0, 999.0, 999.9, 1e3, 5e3, 1e6])
@pytest.mark.parametrize("probability", [0.6, 0.9, 0.975, 0.995, 0.9999])
def test_equals_scipy(probability: float, degrees: float) -> None:
    expected = stats.t.ppf(probability, degrees)
    assert t_quantile(probability, degrees) == pytest.approx(expected, rel=1e-10)
    assert t_quantile(1 - probability, degrees) == pytest.approx(-expected, rel=1e-9)


def test_a_printed_table_and_the_normal_distribution() -> None:
    """To the digits that every textbook prints, in case both were wrong alike."""
    printed = {1: 12.706, 2: 4.303, 4: 2.776, 9: 2.262, 19: 2.093, 30: 2.042, 120: 1.980}
    assert {degrees: round(t_quantile(0.975, float(degrees)), 3) for degrees in printed} == printed
    assert t_quantile(0.5, 3.0) == 0
    assert round(NORMAL_95, 4) == 1.96


@pytest.mark.parametrize(("probability", "degrees"), [(0.0, 3.0), (1.0, 3.0), (0.5, 0.0), (0.975, -1.0)])
def test_what_it_is_not_of(probability: float, degrees: float) -> None:
    with pytest.raises(ValueError, match="expected 0 < probability < 1 and degrees > 0"):
        t_quantile(probability, degrees)
