"""pytorch-fid's command, modules and functions on genmetrics' engine; see docs/compat/pytorch-fid.md."""

from __future__ import annotations

__all__ = ["__version__"]

#: The release of pytorch-fid whose names and numbers these are.
__version__ = "0.3.0"
