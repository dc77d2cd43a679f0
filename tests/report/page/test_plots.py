"""Plots: every place in them is a number, the colours are the page's, and equal input gives equal bytes."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib
import pytest

from genmetrics.report.diagnostics import Cloud, Curve, Spectra
from genmetrics.report.page.plots import draw_curve, draw_projection, draw_spectra, draw_steps
from genmetrics.report.page.svg import Drawing
from support.pages import diagnostics

_HELD = diagnostics(points=2000)


def all_of_them() -> dict[str, Drawing | None]:
    assert _HELD.curve and _HELD.spectra and _HELD.projection
    steps = [1000.0, 2000.0, 4000.0]
    bands = [(1.0, 3.0), (1.0, 2.0), (0.5, 1.0)]
    return {
        "curve": draw_curve(_HELD.curve, "fid", "curve-1"),
        "spectra": draw_spectra(_HELD.spectra, "spectra-1"),
        "projection": draw_projection(_HELD.projection, "projection-1"),
        "steps": draw_steps(steps, [2.0, 1.5, 0.7], bands, 2, "step", "FID", "Falls.", "steps-1"),
        "steps without all bands": draw_steps(
            steps, [2.0, 1.5, 0.7], [None, *bands[1:]], None, "step", "FID", "", "s-2"
        ),
    }


@pytest.fixture(scope="module")
def drawings() -> dict[str, Drawing | None]:
    return all_of_them()


def test_every_place_is_a_number_within_the_plot(drawings):
    for name, drawing in drawings.items():
        root = ElementTree.fromstring(drawing.svg)
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        places = []
        for element in root.iter():
            for key in ("d", "x", "y"):
                places += [float(text) for text in re.findall(r"[-\d.e]*\d|nan|inf", element.attrib.get(key, ""))]
        assert len(places) > 50, name
        assert all(math.isfinite(place) and abs(place) <= 10 * (width + height) for place in places), name
        assert not re.search(r"nan|inf\b", drawing.svg), name


def test_colours_are_variables_of_the_page(drawings):
    for name, drawing in drawings.items():
        assert "var(--gen)" in drawing.svg and "var(--ink)" in drawing.svg, name
        colours = set(re.findall(r"#[0-9a-f]{6}", drawing.svg))
        assert colours <= {"#000000"}, (name, colours)
    assert "var(--ref)" in drawings["spectra"].svg and "var(--ref)" in drawings["projection"].svg


def test_letters_are_text_in_the_pages_font_and_ticks_keep_their_digits(drawings):
    assert "<text" in drawings["curve"].svg and "font-family" not in drawings["curve"].svg
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", drawings["curve"].svg)
    assert "limit 9.000" in texts and "generated images" in texts


def test_nothing_in_a_plot_touches_the_rest_of_the_page(drawings):
    ids = [name for drawing in drawings.values() for name in re.findall(r' id="([^"]+)"', drawing.svg)]
    assert len(ids) == len(set(ids))
    for drawing in drawings.values():
        assert "<style" not in drawing.svg and "<?xml" not in drawing.svg and "http" not in drawing.svg
        for reference in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', drawing.svg):
            assert f' id="{"".join(reference)}"' in drawing.svg


def test_equal_input_gives_equal_bytes_whatever_the_users_settings_are(drawings):
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert all_of_them() == drawings
        assert matplotlib.rcParams["font.size"] == 30


def test_many_points_are_drawn_small_and_not_all(drawings):
    assert len(drawings["projection"].svg) < 80_000


def test_words_say_what_is_in_the_plot(drawings):
    assert "from 49.00 with 100 generated images to 13.00 with 1,000" in drawings["curve"].words
    assert "95 % interval 8.20 to 9.80" in drawings["curve"].words
    assert "vary less in the fine directions" in drawings["spectra"].words
    assert "0.50 standard deviations" in drawings["projection"].words
    assert "The axes hold 19 %" in drawings["projection"].words


def test_a_curve_without_a_limit_says_that_it_has_none():
    drawing = draw_curve(Curve((5,), (3.0,), (3.0,), (3.0,)), "fid", "c")
    assert drawing is not None
    assert drawing.words.startswith("With 5 generated images fid is 3.000. These are too few")


@pytest.mark.parametrize(
    ("gen", "ref", "words"),
    [
        ((4.0, 2.0, 1.0), (4.0, 2.0, 1.0), "as much along their axes"),
        ((4.0, 4.0, 4.0), (4.0, 2.0, 1.0), "as noise does"),
        ((4.0, 0.0, 0.0), (0.0, 2.0, 1.0), "No eigenvalue is above zero in both"),
    ],
)
def test_words_of_spectra(gen, ref, words):
    drawing = draw_spectra(Spectra((1, 2, 3), gen, ref), "s")
    assert drawing is not None and words in drawing.words


def test_what_cannot_be_drawn_is_not_drawn():
    assert _HELD.curve and _HELD.projection
    assert draw_curve(Curve((), (), (), ()), "fid", "c") is None
    assert draw_curve(Curve((0, 5), (1.0, 1.0), (1.0, 1.0), (1.0, 1.0)), "fid", "c") is None
    assert draw_curve(replace(_HELD.curve, limit=1e308), "fid", "c") is None
    assert draw_spectra(Spectra((1, 2), (0.0, 0.0), (0.0, 0.0)), "s") is None
    assert draw_spectra(Spectra((1,), (1e300,), (1.0,)), "s") is None
    far = replace(_HELD.projection, gen=Cloud(((1e300, 0.0),), (0.0, 0.0), (1.0, 0.0, 1.0)))
    assert draw_projection(far, "p") is None
    assert draw_steps([1.0], [1e200], [None], None, "step", "FID", "", "s") is None


@pytest.mark.parametrize("covariance", [(0.0, 0.0, 0.0), (1.0, 5.0, 1.0), (-1.0, 0.0, -1.0)])
def test_a_covariance_that_is_none_is_no_defect(covariance):
    assert _HELD.projection
    flat = replace(_HELD.projection, ref=Cloud((), (0.0, 0.0), covariance))
    assert draw_projection(flat, "p") is not None
