"""vq's ``tools/`` folder: commands, to be run with ``python -m genmetrics.compat.vq.tools.fid`` and the like."""

from __future__ import annotations

__all__: list[str] = []
