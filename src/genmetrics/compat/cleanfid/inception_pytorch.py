"""clean-fid's copy of pytorch-fid's network."""

from __future__ import annotations

from genmetrics.compat.pytorch_fid.inception import FID_WEIGHTS_URL, InceptionV3, fid_inception_v3

__all__ = ["FID_WEIGHTS_URL", "InceptionV3", "fid_inception_v3"]
