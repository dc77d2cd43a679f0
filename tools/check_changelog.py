"""Fail unless the newest version in CHANGELOG.md is the one in pyproject.toml."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Compare the two versions; 0 if they agree."""
    project = re.search(r'^version = "([^"]+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    newest = re.search(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    if project and newest and project[1] == newest[1]:
        return 0
    stated = newest[1] if newest else "no version"
    wanted = project[1] if project else "no version"
    sys.stderr.write(f"CHANGELOG.md begins with {stated}, pyproject.toml says {wanted}; write an entry '## {wanted}'\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
