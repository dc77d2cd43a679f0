"""Which versions of which packages touched a number."""

from __future__ import annotations

import platform
from importlib import metadata

__all__ = ["versions"]


def versions() -> dict[str, str]:
    """Versions of genmetrics, Python and the packages that touch the numbers."""
    found = {name: metadata.version(name) for name in ("genmetrics", "torch", "numpy", "pillow")}
    return {**found, "python": platform.python_version(), "platform": platform.platform()}
