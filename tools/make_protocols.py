"""Write docs/protocols.md from the registries; with ``--check`` fail if it is not up to date."""

import sys
from pathlib import Path

from genmetrics.extractors import EXTRACTORS
from genmetrics.metrics import METRICS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "protocols.md"


def page() -> str:
    """The page's text."""
    lines = [
        "# Protocols",
        "",
        "Made by `tools/make_protocols.py` from the registries. A metric id stands for exactly one protocol, and two",
        "numbers compare exactly when their protocols are equal.",
        "",
        "| id | summary | protocol | better | reference | equals |",
        "|---|---|---|---|---|---|",
    ]
    for info in METRICS.entries():
        better = "higher" if info.higher_is_better else "lower"
        reference = "no" if info.unary else "yes"
        lines.append(f"| `{info.id}` | {info.summary} | `{info.protocol}` | {better} | {reference} | {info.equals} |")
    generic = [info for info in METRICS.entries() if info.generic]
    lines += [
        "",
        "## On other networks",
        "",
        "With `--extractor X`, or asked for by their full name:",
        "",
        "| ask for | reported as |",
        "|---|---|",
        *(f"| `{info.id}` | `{info.generic}.X` |" for info in generic),
        "",
        "## Extractors",
        "",
        "| id | summary | outputs | own preprocessing |",
        "|---|---|---|---|",
    ]
    for extractor in EXTRACTORS.entries():
        outputs = ", ".join(f"`{name}` ({width})" for name, width in extractor.features.items())
        lines.append(f"| `{extractor.id}` | {extractor.summary} | {outputs} | `{extractor.preprocess}` |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write or check."""
    if "--check" not in sys.argv:
        PAGE.write_text(page(), encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != page():
        sys.stderr.write("docs/protocols.md is not up to date; run `make protocols`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
