"""Numbers as a person reads them."""

from __future__ import annotations

import pytest

from genmetrics.report.page.numbers import compact, counted, figure, interval, percent, plain, signed, sure


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12.344, "12.34"),
        (248.8, "248.8"),
        (9.99996, "10.00"),
        (12345.6, "12,346"),
        (0.0, "0"),
        (-0.002477, "−0.002477"),
        (1.5e-7, "1.500e−7"),
        (3e12, "3.000e12"),
        (1e308, "1.000e308"),
        (5e-324, "4.941e−324"),
    ],
)
def test_a_figure_has_four_digits(value, text):
    assert figure(value) == text


@pytest.mark.parametrize(
    ("value", "width", "text"),
    [
        (41.7012, 3.3, "41.70"),
        (-0.002477, 0.0064, "−0.0025"),
        (12345.0, 400.0, "12,345"),
        (12.3456, None, "12.35"),
        (12.3456, 0.0, "12.35"),
        (12.0, 1e-300, "12.00"),
        (1e300, 1e299, "1.000e300"),
    ],
)
def test_an_uncertain_figure_has_the_digits_that_its_interval_leaves(value, width, text):
    assert sure(value, width) == text


def test_the_ends_of_an_interval_have_equally_many_digits():
    assert interval(29.188, 32.531) == "29.19 to 32.53"
    assert interval(-0.0051, 0.00137) == "−0.0051 to 0.0014"
    assert interval(2.0, 2.0) == "2.000 to 2.000"


def test_the_others():
    assert signed(0.5, 2) == "+0.50" and signed(-0.5, 2) == "−0.50" and signed(0.0) == "0"
    assert [plain(n, 3) for n in (12000.0, -3.0, 0.25, 1e300)] == ["12,000", "−3", "0.250", "1.00e300"]
    assert counted(1, "image") == "1 image" and counted(50_000, "image") == "50,000 images"
    assert counted(2, "class", "classes") == "2 classes"
    assert percent(0.123) == "12 %" and percent(0.0123) == "1.2 %" and percent(0.02) == "2 %"
    assert [compact(n) for n in (500.0, 1e3, 1.5e3, 5e4, 2e6)] == ["500", "1k", "1.5k", "50k", "2M"]
