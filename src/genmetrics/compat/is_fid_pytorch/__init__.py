"""lzhbrian/metrics' ``is_fid_pytorch``: its ``ScoreModel``, functions and command; see docs/compat/is-fid-pytorch.md.

The numbers are of torchvision's ImageNet network and compare with no published FID or Inception Score.
"""

from __future__ import annotations

from genmetrics.compat.frechet import calculate_frechet_distance
from genmetrics.compat.is_fid_pytorch.reference import read_stats_file
from genmetrics.compat.is_fid_pytorch.score_model import IgnoreLabelDataset, ScoreModel

__all__ = ["IgnoreLabelDataset", "ScoreModel", "calculate_frechet_distance", "read_stats_file"]
