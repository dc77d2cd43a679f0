"""Which versions of which packages touched a number."""

from __future__ import annotations

import platform
import sys
from importlib import metadata

__all__ = ["version_of", "versions"]

_ALWAYS = ("genmetrics", "torch", "numpy", "pillow")
#: Packages that some networks, captions and decoders run on, where they are installed.
_WHERE_USED = ("openvino", "transformers", "tokenizers", "torchvision")


def versions() -> dict[str, str]:
    """Versions of genmetrics, Python and the packages that touch the numbers; of optional ones where they are in use.

    Nothing is imported to find out.
    """
    found = {name: metadata.version(name) for name in _ALWAYS}
    found |= {name: version_of(name) for name in _WHERE_USED if name in sys.modules}
    return {**found, "python": platform.python_version(), "platform": platform.platform()}


def version_of(package: str) -> str:
    """The version of a package that need not be imported; ``unknown`` if it does not say."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"
