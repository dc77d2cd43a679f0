"""``vq.runners``: what of it measures."""

from __future__ import annotations

__all__: list[str] = []
