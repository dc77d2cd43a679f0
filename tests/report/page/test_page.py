"""The page as text: sections, sizes, equal bytes, and what it refuses. What a browser makes of it is another file's."""

from __future__ import annotations

import re
from typing import Any

import pytest

from genmetrics.engine.lookup import info_of
from genmetrics.errors import UsageError
from genmetrics.report.page.page import SECTION_IDS, render
from genmetrics.report.saved import read_result
from support.pages import HOSTILE, full_result, thumbnail
from support.results import result


def page(*results: dict[str, Any], **options: Any) -> str:
    return render([read_result(given) for given in results], info_of, "1.2.3", **options)


@pytest.fixture(scope="module")
def whole() -> str:
    return page(full_result())


def section(text: str, name: str) -> str:
    found = re.search(rf'<section id="{name}".*?</section>', text, re.DOTALL)
    assert found is not None, name
    return found[0]


def test_every_section_is_there_once(whole):
    assert re.findall(r'<section id="(\w+)"', whole) == list(SECTION_IDS)
    assert whole.lstrip().startswith("<!doctype html>")


def test_nothing_in_it_runs_or_is_fetched(whole):
    assert "<script" not in whole and "http://" not in whole and "https://" not in whole
    assert not re.search(r"@import|url\((?!#)", whole)
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in whole


def test_equal_results_give_equal_bytes(whole):
    assert page(full_result()) == whole


def test_each_section_has_what_the_result_has(whole):
    assert "12.34" in section(whole, "figures") and "8.94 to 9.74" in section(whole, "figures")
    assert "Precision 0.810 is high beside recall 0.440" in section(whole, "meaning")
    assert "save both alike" in section(whole, "advice")
    for name in ("curve", "projection", "spectra"):
        assert section(whole, name).count("<svg") == 1
    assert section(whole, "classes").count('class="classbar"') == 8
    for name in ("raises", "unrealistic", "uncovered"):
        assert section(whole, name).count("<img") == 6
    assert section(whole, "copied").count("<img") == 12
    assert "genmetrics eval &#39;samples/model&#39; --ref real/" in section(whole, "provenance")


def test_a_section_that_cannot_be_there_says_why():
    text = page(full_result(diagnosed=False))
    for name in ("curve", "projection", "spectra", "raises", "unrealistic", "uncovered", "copied"):
        assert "evaluate again with --html FILE" in section(text, name)
    assert "--labels" in section(text, "classes")
    given = full_result()
    given["diagnostics"] |= {"curve": None, "copied": None}
    given["diagnostics"]["absent"] = {"curve": "the set is known by its mean alone"}
    text = page(given)
    assert "The set is known by its mean alone." in section(text, "curve")
    assert "The result does not have it." in section(text, "copied")


def test_numbers_that_cannot_be_drawn_are_said():
    given = full_result()
    given["diagnostics"]["spectra"] = {"ranks": [1], "gen": [1e300], "ref": [1.0]}
    given["diagnostics"]["curve"]["limit"] = 1e308
    given["diagnostics"]["projection"]["gen"]["centre"] = [1e308, 0.0]
    text = page(given)
    for name in ("spectra", "curve", "projection"):
        assert "cannot be drawn" in section(text, name)


def test_a_result_of_an_earlier_version_has_its_page():
    given = result("old", fid=10.0)
    for key in ("seed", "notes", "reused", "versions", "seconds", "device"):
        del given[key]
    given["ref"] = None
    text = page(given)
    assert "The run has no advice" in text and "names none" in section(text, "provenance")


def test_several_models_have_their_parts_under_one_another():
    text = page(full_result("base"), full_result("other", fid=15.0))
    assert re.findall(r'<section id="(\w+)"', text)[0] == "models"
    assert section(text, "raises").count("<img") == 12
    assert section(text, "curve").count("<svg") == 2
    assert "--as checkpoints" in section(text, "checkpoints")


def test_checkpoints_show_the_last_in_full():
    results = [full_result(f"step-{step}", fid=float(step)) for step in (30, 10, 20)]
    text = page(*results)
    assert re.findall(r'<section id="(\w+)"', text)[0] == "checkpoints"
    assert section(text, "checkpoints").count("<svg") == 4
    assert section(text, "curve").count("<svg") == 1
    assert "samples/step-30" in section(text, "figures") and "samples/step-10" not in section(text, "figures")
    assert "samples/step-10" in section(text, "provenance")
    assert "--as models" in section(text, "models")
    assert page(*results, as_="models").count('<section id="raises"') == 1
    assert section(page(*results, as_="models"), "curve").count("<svg") == 3


def test_results_that_nothing_numbers_are_checkpoints_if_one_says_so():
    text = page(full_result("base"), full_result("other"), as_="checkpoints")
    assert "checkpoint 1 to 2" in text


def test_names_are_those_that_were_given():
    text = page(full_result("a"), full_result("b"), names=["small", "large"])
    assert "<bdi>small</bdi>" in text and "large against small" in text
    for names in (["small"], ["small", "small"], ["a", "b", "c"]):
        with pytest.raises(UsageError, match="for 2 results; expected a name for each, all different"):
            page(full_result("a"), full_result("b"), names=names)


def test_results_of_one_source_are_told_apart():
    text = page(full_result("a"), full_result("a"), as_="models")
    assert "1: a" in text and "2: a" in text


def test_no_result_is_refused():
    with pytest.raises(UsageError, match="there is no result"):
        page()


def test_names_from_a_file_are_escaped():
    text = page(full_result(names=HOSTILE, classes=len(HOSTILE)))
    assert "<script" not in text and "<img src=x" not in text and '"onerror' not in text
    assert "{{ 7 * 7 }}" in text, "a text of the file must not be taken for a template"


@pytest.mark.parametrize("count", [1, 8])
def test_it_stays_small_with_everything_in_it(count):
    """Thumbnails of noise, which no JPEG makes small; 2,048 dimensions, 1,000 classes, and many points."""
    images = [thumbnail(number, 128, noise=True) for number in range(8)]
    assert min(map(len, images)) > 15_000
    results = [
        full_result(f"model {letter}", pictures=30, ranks=2048, classes=1000, points=3000, images=images)
        for letter in "abcdefgh"[:count]
    ]
    text = page(*results)
    assert len(text.encode()) < 5_000_000
    pictures = text.count("<img")
    assert pictures == 150 if count == 1 else pictures >= 8 * 5 * 2
    assert section(text, "raises").count("<img") % count == 0


def test_a_picture_that_is_too_large_is_left_out_and_said():
    given = full_result()
    given["diagnostics"]["raises"]["pictures"][0]["image"] = "data:image/png;base64," + "A" * 6_000_000
    text = page(given)
    assert len(text) < 5_000_000
    assert "too large to send" in section(text, "raises")
