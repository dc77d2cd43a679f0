"""What ``torchmetrics.image`` has of metrics of generative models."""

from __future__ import annotations

from genmetrics.compat.torchmetrics.image.fid import FrechetInceptionDistance
from genmetrics.compat.torchmetrics.image.inception import InceptionScore
from genmetrics.compat.torchmetrics.image.kid import KernelInceptionDistance
from genmetrics.compat.torchmetrics.image.mifid import MemorizationInformedFrechetInceptionDistance

__all__ = [
    "FrechetInceptionDistance",
    "InceptionScore",
    "KernelInceptionDistance",
    "MemorizationInformedFrechetInceptionDistance",
]
