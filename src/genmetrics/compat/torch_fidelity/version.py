"""The release of torch-fidelity whose names and numbers these are."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.4.0"
