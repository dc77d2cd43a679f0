"""The page opened in a real browser: light, dark, narrow and on paper; of one result, of models, of checkpoints."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genmetrics.report.page.page import SECTION_IDS
from support.browser import opened
from support.pages import HOSTILE, full_result

_NUMBERS_OF_STEPS = (1000, 2000, 4000)

#: Text nodes whose colour is too near to that of what lies behind them, by WCAG 2 at level AA.
_FAINT = """() => {
  const parse = text => {
    const [r, g, b, a] = text.match(/[\\d.]+/g).map(Number);
    return {rgb: [r, g, b], alpha: a === undefined ? 1 : a};
  };
  const light = rgb => rgb.map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const faint = [];
  let seen = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest('title, desc')) continue;
    const style = getComputedStyle(element);
    const colour = parse(element instanceof SVGElement ? style.fill : style.color);
    let behind = element, page = null;
    while (behind && !page) {
      const found = parse(getComputedStyle(behind).backgroundColor);
      if (found.alpha === 1) page = found;
      behind = behind.parentElement;
    }
    const [low, high] = [light(colour.rgb), light(page.rgb)].sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    seen += 1;
    if (ratio < (large ? 3 : 4.5) || colour.alpha < 1) faint.push([walker.currentNode.data.trim().slice(0, 40), ratio]);
  }
  return {faint, seen};
}"""


def of_one() -> list[dict[str, Any]]:
    return [full_result()]


def of_models() -> list[dict[str, Any]]:
    other = full_result("other", fid=15.5, seed=1)
    bare = full_result("bare", diagnosed=False)
    bare["ref"]["digest"] = "another reference"
    return [full_result("base"), other, bare]


def of_checkpoints() -> list[dict[str, Any]]:
    return [full_result(f"step-{step}", fid=40 - step / 200, seed=step) for step in _NUMBERS_OF_STEPS]


def hostile() -> list[dict[str, Any]]:
    """A file that somebody sent: names, notes and texts that would be more than text if they were let."""
    made = full_result(names=HOSTILE, classes=len(HOSTILE))
    for number, text in enumerate(HOSTILE):
        made["metrics"][text] = made["metrics"]["kid"] | {"protocol": text, "warnings": [text]}
        made["versions"][text] = text
        made["extractors"][text] = {"weights_sha256": text, "preprocess": {text: {text: text}}}
        made["gen"]["skipped"] += [{"name": text, "reason": text}]
        made["diagnostics"]["raises"]["pictures"][number % 6]["figures"] = {text: 1.0}
    made["gen"] |= {"source": HOSTILE[0], "notes": list(HOSTILE), HOSTILE[1]: HOSTILE[1]}
    made["ref"]["source"] = HOSTILE[2]
    made |= {"notes": list(HOSTILE), "advice": list(HOSTILE), "command": HOSTILE[2], "device": HOSTILE[5]}
    made["diagnostics"] |= {"metric": HOSTILE[0], "features": HOSTILE[1]}
    return [made]


_PAGES = {"one": of_one, "models": of_models, "checkpoints": of_checkpoints, "hostile": hostile}
_WINDOWS = [(1280, "light"), (1280, "dark"), (360, "light"), (360, "dark"), (320, "light")]


@pytest.fixture(scope="module", params=list(_PAGES))
def page(request: pytest.FixtureRequest, written: Callable[..., Path]) -> Path:
    return written(_PAGES[request.param]())


@pytest.mark.parametrize(("width", "scheme"), _WINDOWS)
def test_it_opens_whole_and_asks_for_nothing(browser, page, width, scheme):
    with opened(browser, page, width=width, scheme=scheme) as found:
        assert found.page.evaluate("[...document.querySelectorAll('section')].map(s => s.id).sort()") == sorted(
            SECTION_IDS
        )
        for section in SECTION_IDS:
            place = found.page.locator(f"#{section}")
            assert place.is_visible()
            assert place.locator("h2").inner_text().strip()
            assert len(place.inner_text()) > len(place.locator("h2").inner_text()), f"{section} says nothing"
        # The page must not be wider than the window; what is wide scrolls within itself.
        assert found.page.evaluate("document.documentElement.scrollWidth") <= width
        assert found.page.evaluate("document.body.scrollWidth") <= width
        assert found.console == []
        assert found.requests == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_its_text_stands_out_from_what_is_behind_it(browser, page, scheme):
    with opened(browser, page, scheme=scheme) as found:
        found.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        seen = found.page.evaluate(_FAINT)
        assert seen["seen"] > 200
        assert seen["faint"] == []
        dark = found.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (dark == "rgb(255, 255, 255)") == (scheme == "light")


def test_the_check_of_contrast_would_notice_faint_text(browser, written):
    with opened(browser, written(of_one())) as found:
        found.page.add_style_tag(content=".small { color: #bbbbbb !important }")
        assert found.page.evaluate(_FAINT)["faint"]


def test_every_picture_is_there_and_has_its_text(browser, page):
    with opened(browser, page) as found:
        pictures = found.page.evaluate(
            "[...document.images].map(i => [i.complete && i.naturalWidth, i.alt, i.getBoundingClientRect().width])"
        )
        assert len(pictures) >= 30
        assert all(width > 0 and alt and shown > 40 for width, alt, shown in pictures)
        drawings = found.page.evaluate(
            """[...document.querySelectorAll('svg')].map(s => [s.getAttribute('role'),
                 ...s.getAttribute('aria-labelledby').split(' ').map(id => document.getElementById(id).textContent),
                 s.getBoundingClientRect().width])"""
        )
        assert len(drawings) >= 3
        assert all(
            role == "img" and title and len(words) > 40 and width > 200 for role, title, words, width in drawings
        )
        bars = found.page.evaluate("[...document.querySelectorAll('.bar')].map(b => [b.role, b.ariaLabel])")
        assert bars and all(role == "img" and label for role, label in bars)


def test_the_tree_for_screen_readers_names_every_plot_picture_and_section(browser, written):
    with opened(browser, written(of_one())) as found:
        tree = found.page.locator("body").aria_snapshot()
        assert 'img "fid against the number of generated images' in tree
        assert 'region "Copies' not in tree
        assert 'region "Generated images beside their nearest reference image"' in tree
        assert 'rowheader "fid lower is better"' in tree


def test_anchors_lead_somewhere_and_ids_are_there_once(browser, page):
    with opened(browser, page) as found:
        broken = """[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))
            .filter(href => !href.startsWith('#') || !document.getElementById(href.slice(1)))"""
        assert found.page.evaluate(broken) == []
        assert found.page.evaluate("document.querySelectorAll('nav a').length") == len(SECTION_IDS)
        twice = """(ids => ids.filter((id, at) => ids.indexOf(id) !== at))(
            [...document.querySelectorAll('[id]')].map(e => e.id))"""
        assert found.page.evaluate(twice) == []
        headings = found.page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])")
        assert headings[0] == 1 and headings.count(1) == 1
        assert all(below <= above + 1 for above, below in itertools.pairwise(headings)), headings


def test_on_paper_it_is_light_open_and_uncut(browser, page):
    with opened(browser, page, scheme="dark") as found:
        found.page.emulate_media(media="print", color_scheme="dark")
        assert found.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert found.page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
        assert not found.page.locator("nav").is_visible()
        hidden = "[...document.querySelectorAll('details table')].filter(t => !t.getBoundingClientRect().height).length"
        assert found.page.evaluate(hidden) == 0
        assert found.page.evaluate("document.querySelectorAll('details table').length") > 0
        assert found.page.pdf(format="A4")[:5] == b"%PDF-"
        assert found.console == []


def test_names_from_a_file_are_shown_as_text(browser, written):
    with opened(browser, written(hostile())) as found:
        assert found.page.evaluate("document.scripts.length") == 0
        title = found.page.title()
        assert title.startswith(HOSTILE[0].rpartition("/")[2] or HOSTILE[0]) or HOSTILE[0] in title
        handlers = (
            "[...document.querySelectorAll('*')].filter(e => [...e.attributes].some(a => /^on/.test(a.name))).length"
        )
        assert found.page.evaluate(handlers) == 0
        assert found.page.evaluate("[...document.images].every(i => i.src.startsWith('data:image/'))")
        text = found.page.evaluate("document.body.textContent")
        for name in HOSTILE:
            assert name in text, name


def test_nothing_could_leave_the_page_if_something_got_in(browser, written, tmp_path):
    """The policy in the page holds: what a hole in it would let in can neither run nor ask for anything."""
    attack = "<script>document.title='taken'</script><img src='http://127.0.0.1:9/leak' alt=''>"
    path = tmp_path / "attacked.html"
    path.write_text(written(of_one()).read_text().replace("<main", attack + "<main", 1))
    with opened(browser, path) as found:
        assert found.page.title() != "taken"
        assert found.page.evaluate("[...document.images].filter(i => i.src.includes('leak'))[0].naturalWidth") == 0
        assert sum("Content Security Policy" in text for text in found.console) >= 2
