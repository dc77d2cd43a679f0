"""docs/benchmarks.md, docs/benchmarks.svg and the table of README.md, from the files of ``benchmarks/results``.

A row that has a ``ratio`` becomes a row of the page's tables; its ``targets``, such as ``{"ratio": ">= 2.8",
"peak_ratio": "< 0.5"}``, say what was to be reached, and the page whether it was; README's table has those rows, in
short. Rows of any other form are listed as they are, by their plain figures. The picture holds the ratios; it is not
part of the check, for drawing differs from one release of matplotlib to the next.

    python benchmarks/make_table.py [--check]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"
PICTURE = ROOT / "docs" / "benchmarks.svg"
README = ROOT / "README.md"
#: Between these lines of README.md lies its table.
MARKS = ("<!-- made by benchmarks/make_table.py -->", "<!-- end of what it made -->")
#: The order of the stages on the page; files that are not named here follow by name.
ORDER = (
    "whole_command",
    "startup",
    "decode",
    "resize",
    "network",
    "frechet",
    "kernel",
    "neighbours",
    "gpu",
    "gpu_stages",
)
#: Rows that are listed one by one would be a page of their own.
SUMMARISED = {"precision": "effects"}
#: What of a compared row has a place of its own on the page, or is said in words elsewhere.
SHOWN = (
    *(
        "what",
        "ours",
        "peer",
        "ratio",
        "ratio_min",
        "ratio_max",
        "rate",
        "peak_ratio",
        "targets",
        "images",
        "precision",
    ),
    *("share_of_convolutions", "features_relative_difference"),
)
HEAD = """# Benchmarks

Made by `benchmarks/make_table.py` from the files under `benchmarks/results`, each of which was written by the script of
its name; do not edit it. Ours and each peer ran in turn in one run. **A ratio above 1 means that ours is faster**: the
median over the rounds, with the smallest and the largest beside it. Times are wall-clock medians. The last column says
what was to be reached, and whether it was. Run them with `make bench` (on a GPU `make bench-gpu`).
"""

Row = Mapping[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail if the page is not what the results give")
    arguments = parser.parse_args()
    results = read_results(RESULTS)
    page, readme = make_page(results), with_table(README.read_text(), results)
    if arguments.check:
        for path, made in ((PAGE, page), (README, readme)):
            if not path.is_file() or path.read_text() != made:
                sys.exit(f"{path.name} is not what benchmarks/results give; run: python benchmarks/make_table.py")
        return
    PAGE.write_text(page)
    README.write_text(readme)
    draw(results)
    print(f"written: {PAGE.relative_to(ROOT)}{f', {PICTURE.relative_to(ROOT)}' if PICTURE.is_file() else ''}")


def read_results(folder: Path) -> dict[str, dict[str, Any]]:
    """All results by name, in the order of the page; one that is no result ends the run."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        result = json.loads(path.read_text())
        missing = [key for key in ("what", "rows", "date", "versions", "hardware") if key not in result]
        if missing:
            sys.exit(f"{path.name} has no {missing[0]!r}; is it written by benchmarks/harness.py?")
        found[path.stem] = result
    return dict(
        sorted(found.items(), key=lambda item: (ORDER.index(item[0]) if item[0] in ORDER else len(ORDER), item[0]))
    )


def make_page(results: Mapping[str, Mapping[str, Any]]) -> str:
    compared = {name: [row for row in result["rows"] if "ratio" in row] for name, result in results.items()}
    parts = [HEAD]
    if any(compared.values()):
        parts.append(f"![{in_words(compared)}](benchmarks.svg)\n")
    for name, result in results.items():
        parts.append(f"## {name.replace('_', ' ')}\n\n{sentence(result['what'])} {conditions(result)}\n")
        if compared[name]:
            parts.append(table_of_ratios(compared[name]))
        others = (
            result[SUMMARISED[name]] if name in SUMMARISED else [row for row in result["rows"] if "ratio" not in row]
        )
        if others:
            parts.append(table_of_figures(others))
    return "\n".join(parts)


def with_table(readme: str, results: Mapping[str, Mapping[str, Any]]) -> str:
    """The text with the rows that have targets between its marks, each in short."""
    begin, end = (readme.index(mark) for mark in MARKS)
    lines = ["| what | ours | other tool | times faster |", "|---|---:|---:|---:|"]
    for result in results.values():
        for row in result["rows"]:
            if "ratio" in row.get("targets", {}):
                ours, peer = row["ours"], row["peer"]
                times = f"{seconds(ours['seconds_median'])} | {peer['name']}: {seconds(peer['seconds_median'])}"
                lines.append(f"| {row['what']} | {times} | {row['ratio']:.3g} |")
    table = "\n".join(lines) + "\n" if len(lines) > 2 else ""
    return readme[: begin + len(MARKS[0])] + f"\n\n{table}\n" + readme[end:]


def sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def conditions(result: Mapping[str, Any]) -> str:
    """On what machine, with what, and when."""
    hardware = result["hardware"]
    machine = f"{hardware['cores']} cores of {hardware['processor'] or hardware['machine']}"
    if hardware.get("threads", hardware["cores"]) != hardware["cores"]:
        machine += f" (of which {hardware['threads']} used, OMP_NUM_THREADS)"
    machine = f"{result['device']}, {machine}" if result.get("device") else machine
    return f"{machine}, torch {result['versions'].get('torch', '?')}, {result['date']}."


def table_of_ratios(rows: Sequence[Row]) -> str:
    lines = ["| what | ours | peer | ratio (min to max) | other figures | targets |", "|---|---:|---:|---:|---|---|"]
    for row in rows:
        ours, peer = row["ours"], row["peer"]
        cells = [
            row["what"],
            f"{ours['name']}: {seconds(ours['seconds_median'])}",
            f"{peer['name']}: {seconds(peer['seconds_median'])}",
            f"**{row['ratio']:.3g}** ({row['ratio_min']:.3g} to {row['ratio_max']:.3g})",
            "; ".join(other_figures(row)),
            "; ".join(reached(row, name, wanted) for name, wanted in row.get("targets", {}).items()),
        ]
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def seconds(value: float) -> str:
    return f"{1000 * value:.3g} ms" if value < 1 else f"{value:.4g} s"


def other_figures(row: Row) -> list[str]:
    """Rates, memory, and how far the values are apart."""
    texts = []
    if "rate" in row:
        mine, theirs = (row["rate"][row[side]["name"]] for side in ("ours", "peer"))
        texts.append(f"{mine:.3g} against {theirs:.3g} a second")
    if "peak_ratio" in row:
        peaks = [row[side]["peak_mib_median"] for side in ("ours", "peer")]
        texts.append(f"peak {peaks[0]:.0f} against {peaks[1]:.0f} MiB")
    if "share_of_convolutions" in row:
        texts.append(f"{100 * row['share_of_convolutions']:.0f} % of the rate of convolutions")
    if "features_relative_difference" in row:
        texts.append(f"features differ by {row['features_relative_difference']:.1e}")
    agreement = row.get("agreement")
    for metric, values in agreement.items() if isinstance(agreement, Mapping) else ():
        apart = (
            f"{metric} differs by {values['relative']:.1e}" if isinstance(values, Mapping) else f"{metric}: {values}"
        )
        texts.append(apart)
    for name, value in row.items():
        if name not in SHOWN and isinstance(value, str | int | float):
            texts.append(f"{name.replace('_', ' ')}: {cell(value)}")
    return texts


def reached(row: Row, name: str, wanted: str) -> str:
    """``ratio >= 2.8: reached`` or by how much it was missed."""
    sign, _, number = wanted.partition(" ")
    value, limit = figure(row, name), float(number)
    holds = {">=": value >= limit, ">": value > limit, "<=": value <= limit, "<": value < limit}
    if sign not in holds:
        sys.exit(f"target {wanted!r} of {row['what']!r} begins with none of {', '.join(holds)}")
    label = name.replace("_", " ").replace(".", " ")
    return f"{label} {wanted}: {'reached' if holds[sign] else f'missed ({value:.3g})'}"


def figure(row: Row, name: str) -> float:
    """A figure of a row by its key, or by the keys on the way to it with dots between."""
    found: Any = row
    for key in name.split("."):
        found = found[key]
    return float(found)


def table_of_figures(rows: Sequence[Row]) -> str:
    """Whatever plain figures the rows have."""
    plain = [{key: value for key, value in row.items() if isinstance(value, str | int | float)} for row in rows]
    columns = list(dict.fromkeys(key for row in plain for key in row))
    lines = [f"| {' | '.join(column.replace('_', ' ') for column in columns)} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join(cell(row.get(column, '')) for column in columns)} |" for row in plain]
    return "\n".join(lines) + "\n"


def cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value).replace("|", "/")


def drawn(compared: Mapping[str, Sequence[Row]]) -> dict[str, list[Row]]:
    """Of all comparisons those that have something to reach; all would be more than one can look at."""
    chosen = {name: [row for row in rows if "ratio" in row.get("targets", {})] for name, rows in compared.items()}
    return chosen if any(chosen.values()) else {name: list(rows) for name, rows in compared.items()}


def in_words(compared: Mapping[str, Sequence[Row]]) -> str:
    """What the picture shows, for those who do not see it."""
    parts = []
    for name, rows in drawn(compared).items():
        if rows:
            ratios = [row["ratio"] for row in rows]
            parts.append(f"{name.replace('_', ' ')} {min(ratios):.2g} to {max(ratios):.2g}")
    shown = "Bars of how many times faster ours was than each peer"
    return f"{shown}: {'; '.join(parts)}. The figures are in the tables below."


def draw(results: Mapping[str, Mapping[str, Any]]) -> None:
    """A bar for each comparison, on a logarithmic axis; readable on a light and on a dark page."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "genmetrics", "font.size": 9})
    from matplotlib import pyplot

    compared = {name: [row for row in result["rows"] if "ratio" in row] for name, result in results.items()}
    bars = [(name, row) for name, rows in drawn(compared).items() for row in rows]
    if not bars:
        PICTURE.unlink(missing_ok=True)
        return
    grey, colours = "#808080", ("#2a7fb8", "#c2702a")
    figure_, axes = pyplot.subplots(figsize=(12, 0.8 + 0.27 * len(bars)), layout="constrained")
    stages = list(dict.fromkeys(name for name, _ in bars))
    for position, (name, row) in enumerate(bars):
        colour = colours[stages.index(name) % 2]
        spread = [[row["ratio"] - row["ratio_min"]], [row["ratio_max"] - row["ratio"]]]
        axes.barh(position, row["ratio"] - 1, left=1, color=colour, height=0.7, xerr=spread, error_kw={"ecolor": grey})
        axes.text(max(row["ratio_max"], 1) * 1.05, position, f"{row['ratio']:.3g} x", va="center", color=grey)
        if wanted := row.get("targets", {}).get("ratio"):
            limit = float(wanted.split()[-1])
            axes.plot([limit, limit], [position - 0.4, position + 0.4], color=grey, linewidth=2)
    labels = [f"{row['what']} / {row['peer']['name'].partition(',')[0]}" for _, row in bars]
    axes.set_yticks(range(len(bars)), labels, color=grey)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.axvline(1, color=grey, linewidth=1)
    axes.set_xlim(min(0.5, *(0.8 * row["ratio_min"] for _, row in bars)), 2 * max(row["ratio_max"] for _, row in bars))
    ticks = [
        value
        for value in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)
        if axes.get_xlim()[0] <= value <= axes.get_xlim()[1]
    ]
    axes.set_xticks(ticks, [f"{value:g}" for value in ticks], color=grey)
    axes.minorticks_off()
    axes.set_xlabel("times faster (thin line: smallest to largest; upright mark: target)", color=grey)
    axes.tick_params(colors=grey)
    axes.spines[:].set_visible(False)
    figure_.savefig(PICTURE, transparent=True, metadata={"Date": None})


if __name__ == "__main__":
    main()
