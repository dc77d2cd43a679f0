"""``todd.tasks.image_generation``, as far as it measures: ``import genmetrics.compat.vq.image_generation as ig``."""

from __future__ import annotations

from genmetrics.compat.vq.image_generation.fid import Inception, Statistician, Statistics, fid, load, save

__all__ = ["Inception", "Statistician", "Statistics", "fid", "load", "save"]
