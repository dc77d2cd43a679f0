"""Counts of formats and sizes: exact whatever the order, and small."""

from __future__ import annotations

import json
import math
import random
from dataclasses import asdict
from functools import reduce

import pytest

from genmetrics.accumulators.composition import Composition, formats_from, side_at, sizes_from, sizes_text
from genmetrics.types import Origin, Sizes


def drawn(count: int, seed: int = 0) -> list[Origin]:
    draw = random.Random(seed)
    return [
        Origin(draw.choice(("JPEG", "PNG", "")), draw.randint(1, 4000), draw.randint(1, 4000)) for _ in range(count)
    ]


def of(origins: list[Origin]) -> Composition:
    made = Composition()
    made.add(origins)
    return made


def test_counts_are_those_of_a_plain_loop() -> None:
    origins = drawn(3000)
    found = of(origins)
    assert found.formats == tuple((name, sum(origin.format == name for origin in origins)) for name in ("JPEG", "PNG"))
    assert found.sizes is not None
    assert sum(number for _, number, _ in found.sizes.bins) == 3000
    for quarter, number, pixels in found.sizes.bins:
        inside = [w * h for _, w, h in origins if 2 ** (quarter / 4) <= math.sqrt(w * h) < 2 ** ((quarter + 1) / 4)]
        assert (number, pixels) == (len(inside), sum(inside))
    areas = sorted(width * height for _, width, height in origins)
    assert [w * h for w, h in (found.sizes.smallest, found.sizes.largest)] == [areas[0], areas[-1]]
    assert len(found.sizes.bins) < 60


@pytest.mark.parametrize("seed", range(5))
def test_neither_order_nor_parts_matter(seed: int) -> None:
    # Some of as many pixels in two shapes, which only their shape can order.
    origins = [*drawn(200, seed), Origin("PNG", 1, 4), Origin("PNG", 4, 1), Origin("PNG", 2, 2)]
    origins += [Origin("", 8000, 4000), Origin("", 4000, 8000)]
    whole = of(origins)
    random.Random(seed).shuffle(origins)
    parts = [of(origins[:90]), of([]), of(origins[90:120]), of(origins[120:])]
    merged = reduce(lambda one, other: one.merge(other), parts)
    assert (merged.formats, merged.sizes) == (whole.formats, whole.sizes)
    assert merged.sizes is not None
    assert (merged.sizes.smallest, merged.sizes.largest) == ((1, 4), (8000, 4000))
    assert parts[0].sizes == of(origins[:90]).sizes, "merging changed an argument"


def test_pixels_alone_have_sizes_and_no_known_format() -> None:
    made = of([Origin("PNG", 10, 10)])
    made.add_pixels(0, 1, 1)
    assert made.formats == (("PNG", 1),)
    made.add_pixels(3, 20, 10)
    assert made.formats is None
    assert made.sizes == of([Origin("", 10, 10), *[Origin("", 20, 10)] * 3]).sizes
    for merged in (made.merge(of(drawn(5))), of(drawn(5)).merge(made)):
        assert merged.formats is None


def test_nothing_has_no_sizes() -> None:
    assert (Composition().formats, Composition().sizes) == ((), None)


def test_json_gives_back_the_same() -> None:
    made = of(drawn(100))
    assert made.sizes is not None
    read = json.loads(json.dumps({"formats": made.formats, "sizes": asdict(made.sizes)}))
    back = Composition(formats_from(read["formats"]), sizes_from(read["sizes"]))
    assert (back.formats, back.sizes) == (made.formats, made.sizes)
    assert (formats_from(None), sizes_from(None)) == (None, None)


def test_sides_of_a_set() -> None:
    one = of([Origin("", 64, 48)] * 7).sizes
    assert one is not None
    assert side_at(one, 0.5) == side_at(one, 1.0) == math.sqrt(64 * 48)
    assert sizes_text(one) == "64x48 pixels"
    two = of([Origin("", 100, 100)] * 60 + [Origin("", 400, 400)] * 40).sizes
    assert two is not None
    assert [side_at(two, fraction) for fraction in (0.05, 0.5, 0.6, 0.61, 1.0)] == [100, 100, 100, 400, 400]
    assert sizes_text(two) == "100x100 to 400x400 pixels"


@pytest.mark.parametrize("fraction", [0.05, 0.5, 0.95])
def test_sides_are_right_to_a_quarter_of_an_octave(fraction: float) -> None:
    origins = drawn(5000, 3)
    sizes = of(origins).sizes
    assert isinstance(sizes, Sizes)
    true = sorted(math.sqrt(width * height) for _, width, height in origins)[round(fraction * 5000) - 1]
    assert 2**-0.25 < side_at(sizes, fraction) / true < 2**0.25
