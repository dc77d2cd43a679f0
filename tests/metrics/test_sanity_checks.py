"""What our fidelity and diversity metrics pass and fail of a published suite of experiments is as documented.

A cell that changes means that a number changed: then a metric is broken, or docs/sanity-checks.md is to be made anew
with ``python tests/support/sanity_checks.py`` and the change explained.
"""

from __future__ import annotations

import pytest

from support.sanity_checks import BEGIN, CHECKS, END, FIGURES, PAGE, Check, outcomes


def documented(check: Check) -> dict[str, dict[str, str]]:
    """The rows of a check in the page."""
    text = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    found: dict[str, dict[str, str]] = {}
    current = ""
    for line in text.splitlines()[2:]:
        name, criterion, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        current = name or current
        if current == check.name:
            found[criterion] = dict(zip(FIGURES, cells, strict=True))
    return found


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_outcomes_are_as_documented(check: Check) -> None:
    assert outcomes(check) == documented(check)


def test_the_page_has_nothing_else() -> None:
    text = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    assert len(text.splitlines()) - 2 == sum(len(documented(check)) for check in CHECKS)


def test_no_metric_passes_everything() -> None:
    """The source's position holds for ours; a table of ``yes`` alone would mean that nothing was checked."""
    cells = {figure: {row[figure] for check in CHECKS for row in documented(check).values()} for figure in FIGURES}
    for seen in cells.values():
        assert {"yes", "no"} <= seen
