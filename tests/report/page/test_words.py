"""What metrics are called and mean."""

from __future__ import annotations

from collections import Counter

import pytest

from genmetrics.engine.lookup import info_of
from genmetrics.metrics import METRICS
from genmetrics.report.page.words import FAMILIES, direction, family_of, meaning, title


@pytest.mark.parametrize("name", [*METRICS, *sorted({info.generic for info in METRICS.entries() if info.generic})])
def test_every_metric_and_every_generic_name_has_a_meaning(name):
    assert family_of(name) is not None
    assert meaning(name, info_of(name)).endswith(".")


def test_no_metric_is_in_two_families_and_none_is_made_up():
    ids = Counter(name for family in FAMILIES for name in family.ids)
    assert max(ids.values()) == 1
    assert set(ids) == {*METRICS, *(info.generic for info in METRICS.entries() if info.generic)}


def test_a_distance_on_another_network_is_not_called_by_the_name_of_inceptions():
    assert title("fid", info_of("fid")) == "Fréchet Inception Distance"
    assert title("fd.dinov2", info_of("fd.dinov2")) == "Fréchet distance, on dinov2"
    assert title("of_a_plugin", None) == "of_a_plugin"


def test_directions():
    assert direction(info_of("fid")) == "lower is better"
    assert direction(info_of("isc")) == "higher is better"
    assert direction(None) == "not known which way is better"
    assert "nothing" in meaning("of_a_plugin", None)
