"""Drawings by matplotlib as SVG that is part of a page: its colours are the page's, its letters text."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

__all__ = ["GEN", "INK", "MUTED", "PAGE", "REF", "RULE", "Drawing", "draw"]

#: Stand-ins that no drawing uses for a colour; each becomes a variable of the page's style sheet, so that light and
#: dark have their own.
GEN, REF, INK, MUTED, RULE, PAGE = (f"#0a00{number:02x}" for number in range(6))
_VARIABLES = dict(zip((GEN, REF, INK, MUTED, RULE, PAGE), ("gen", "ref", "ink", "muted", "rule", "page"), strict=True))

_POINTS_PER_INCH = 72
#: Places and lengths in pixels, of which a tenth is enough.
_SHORTER = re.compile(r"-?\d+\.\d{2,}")
_FONT_SIZE = 13
#: Settings are matplotlib's own defaults but for these, whatever the user's are.
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "genmetrics",
    "font.size": _FONT_SIZE,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.unicode_minus": True,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": _FONT_SIZE - 1,
    "ytick.labelsize": _FONT_SIZE - 1,
    "xtick.minor.visible": False,
    "ytick.minor.visible": False,
}
# The settings are one object for the whole process, and are put back; two threads must not do that at once.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Drawing:
    """A plot as it stands in a page.

    Attributes:
        title: its name.
        words: what it shows, in words.
        svg: the element; no text in it is from outside.
    """

    title: str
    words: str
    svg: str


def draw(
    paint: Callable[[Axes], None], title: str, words: str, name: str, *, width: int = 440, height: int = 300
) -> Drawing:
    """A plot that ``paint`` puts into the axes that it is given.

    Args:
        paint: draws in the stand-in colours; it takes no text from outside.
        title: the plot's name.
        words: what it shows.
        name: begins the ids in it; unlike that of any other plot of the page.
        width: in pixels.
        height: in pixels.
    """
    with _ONE_AT_A_TIME, matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        drawing = Figure(figsize=(width / _POINTS_PER_INCH, height / _POINTS_PER_INCH), layout="constrained")
        FigureCanvasSVG(drawing)
        paint(drawing.add_subplot())
        text = io.StringIO()
        metadata: dict[str, str | None] = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        drawing.savefig(text, format="svg", transparent=True, metadata=metadata)
    return Drawing(title, words, _embedded(text.getvalue(), title, words, name))


def _embedded(file: str, title: str, words: str, name: str) -> str:
    """The element of an SVG file as a page can hold it beside others."""
    body = file[file.index("<svg") :].strip()
    view = re.search(r'viewBox="([\d. ]+)"', body)
    assert view is not None
    inner = body[body.index(">") + 1 : body.rindex("</svg>")]
    # A style sheet in one SVG holds for the whole page.
    inner = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", inner, flags=re.DOTALL)
    inner = re.sub(r"<metadata>.*?</metadata>", "", inner, flags=re.DOTALL)
    inner = _own_ids(_page_fonts(inner), name)
    inner = inner.replace("xlink:href", "href")
    inner = re.sub(r"<[^>]+>", lambda tag: _SHORTER.sub(lambda number: f"{float(number[0]):.1f}", tag[0]), inner)
    inner = re.sub(r"#0a00\d\d", lambda colour: f"var(--{_VARIABLES[colour[0]]})", inner)
    inner = re.sub(r"\s*\n\s*", " ", inner)
    labels = f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-words">{escape(words)}</desc>'
    return (
        f'<svg class="plot" viewBox="{view[1]}" role="img" aria-labelledby="{name}-title {name}-words">'
        f"{labels}{inner}</svg>"
    )


def _page_fonts(inner: str) -> str:
    """Letters with their size and without a family, which newer versions of matplotlib write by itself."""
    inner = re.sub(r"font: (?:[\w-]+ )*?([\d.]+px) [^;\"]*", r"font-size: \1", inner)
    return re.sub(r"font-family: [^;\"]*;? ?", "", inner)


def _own_ids(inner: str, name: str) -> str:
    """Ids that no other plot has, numbered by their place; those that nothing refers to are left out."""
    used = {*re.findall(r'xlink:href="#([^"]+)"', inner), *re.findall(r"url\(#([^)]+)\)", inner)}
    numbers: dict[str, str] = {}

    def renamed(found: re.Match[str]) -> str:
        if found[1] not in used:
            return ""
        return f' id="{numbers.setdefault(found[1], f"{name}-{len(numbers)}")}"'

    inner = re.sub(r' id="([^"]+)"', renamed, inner)
    inner = re.sub(r'xlink:href="#([^"]+)"', lambda found: f'xlink:href="#{numbers[found[1]]}"', inner)
    return re.sub(r"url\(#([^)]+)\)", lambda found: f"url(#{numbers[found[1]]})", inner)
