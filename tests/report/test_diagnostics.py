"""What a page shows, to plain values and back; damaged values are named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from genmetrics.errors import UsageError
from genmetrics.report.diagnostics import (
    SECTIONS,
    Cloud,
    Curve,
    Diagnostics,
    Gallery,
    Picture,
    Projection,
    Spectra,
)

PNG = "data:image/png;base64,iVBORw0KGgo="


def whole() -> Diagnostics:
    nearest = Picture(7, "real/b.png", None, {}, PNG, (64, 48))
    pictures = (
        Picture(3, "gen/a.png", "cat", {"influence": 0.5}, PNG, (32, 32), nearest),
        Picture(0, "", 4, {"distance": 1.25}),
    )
    cloud = Cloud(((0.0, 1.0), (2.0, -3.0)), (1.0, -1.0), (2.0, 0.5, 4.0))
    return Diagnostics(
        "fid",
        "inception-v3.tf2015/2048/tf1-bilinear-299",
        Curve((10, 20), (5.0, 4.0), (4.5, 4.0), (5.5, 4.0), 3.0, 20.0, 2.5, 3.5),
        Spectra((1, 2, 4), (9.0, 4.0, 0.0), (8.0, 5.0, 0.5)),
        Projection(cloud, Cloud((), (0.0, 0.0), (8.0, 0.0, 5.0)), (0.5, 0.25)),
        {"class": ["cat", "dog"], "num_gen": [3, 4], "influence": [0.5, -0.5], "mean_influence": [0.1, -0.1]},
        raises=Gallery(pictures, 20),
        absent={"uncovered": "the reference is a mean and covariance"},
    )


def changed(**by: object) -> Any:
    read = json.loads(json.dumps(whole().to_dict()))
    for path, value in by.items():
        *outer, last = path.split("__")
        place = read
        for key in outer:
            place = place[int(key) if key.isdigit() else key]
        place[last] = value
    return read


def test_through_json_and_back_nothing_changes():
    assert Diagnostics.from_dict(json.loads(json.dumps(whole().to_dict(), allow_nan=False)), "a.json") == whole()


def test_sections_are_all_there_as_fields():
    assert set(SECTIONS) <= set(whole().to_dict())


def test_a_nearly_empty_one_is_read():
    least = Diagnostics("fid", "x/y/z")
    assert Diagnostics.from_dict(json.loads(json.dumps(least.to_dict())), "a.json") == least


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"metric": 3}, r"'a\.json': diagnostics\.metric is 3, expected a text"),
        ({"curve__values": [1.0]}, r"diagnostics\.curve is .*, expected columns of equal length"),
        ({"curve__sizes": "many"}, r"diagnostics\.curve\.sizes is 'many', expected a list"),
        ({"spectra__gen": [1.0, None, 2.0]}, r"diagnostics\.spectra\.gen is None, expected a finite number"),
        ({"projection__explained": [1.0]}, r"diagnostics\.projection\.explained is \[1\.0\], expected 2 numbers"),
        ({"projection__gen__points": [[1.0]]}, r"diagnostics\.projection\.gen\.points is \[1\.0\], expected 2"),
        ({"classes__num_gen": [1]}, r"diagnostics\.classes is .*, expected columns of equal length"),
        ({"classes__num_gen": [1, None]}, r"diagnostics\.classes\.num_gen is None, expected numbers or texts"),
        ({"raises__pictures__0__label": []}, r"diagnostics\.raises\.pictures\.label is \[\], expected a number or"),
        ({"raises__of": "all"}, r"diagnostics\.raises\.of is 'all', expected a finite number"),
        ({"absent": []}, None),
        ({"absent": {"curve": 1}}, r"diagnostics\.absent\.curve is 1, expected a text"),
    ],
)
def test_what_is_damaged_is_named(change, named):
    if named is None:  # nothing is absent
        assert Diagnostics.from_dict(changed(**change), "a.json").absent == {}
        return
    with pytest.raises(UsageError, match=named):
        Diagnostics.from_dict(changed(**change), "a.json")


@pytest.mark.parametrize("address", ["https://example.org/a.png", "javascript:alert(1)", "data:text/html;base64,PGI+"])
def test_a_picture_is_in_the_file_or_nowhere(address):
    """A page made of a result that somebody sent may fetch nothing."""
    with pytest.raises(UsageError, match=r"pictures\.image is .*expected 'data:image/png;base64"):
        Diagnostics.from_dict(changed(raises__pictures__0__image=address), "a.json")
