"""Multi-scale structural similarity of two images."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from torch import Tensor, nn

from genmetrics.errors import UsageError
from genmetrics.extractors import EXTRACTORS
from genmetrics.extractors.pairs import PairExtractor
from genmetrics.extractors.weights import WeightsFile

__all__ = ["MultiScaleSSIM", "multi_scale_ssim"]

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2
#: The smallest side of which the coarsest scale has a whole window.
MIN_SIDE = (_WINDOW - 1) * 2 ** (len(_WEIGHTS) - 1) + 1


def multi_scale_ssim(first: Float32[Tensor, "n c h w"], second: Float32[Tensor, "n c h w"]) -> Float32[Tensor, " n"]:
    """The structural similarity at five scales, each twice as coarse as the one before, as a weighted product.

    Windows lie wholly within the image. The product is taken per channel, of what is positive of each term, and then
    averaged over channels. Where a side is odd, its first row and column are repeated before the image is halved.

    Args:
        first: (n, c, h, w) float32, 0..1.
        second: likewise.

    Returns:
        (n,) of at most 1, which equal images have.

    Source: Wang, Simoncelli and Bovik 2003, "Multi-scale structural similarity for image quality assessment", eq. 7.
    Matches: ``piq.multi_scale_ssim`` 0.8.0 within 1e-5 absolute; tests/conformance/test_networks_lpips.py.
    torchmetrics 1.9.0 differs, by 4e-4 on the images of that test: its coarsest scale averages over a reflected border
    too, and it averages over channels before the product.
    """
    window = _gaussian(first.shape[1], first.device)
    result = torch.ones(first.shape[:2], device=first.device)
    for scale, weight in enumerate(_WEIGHTS):
        if scale > 0:
            first, second = _halved(first), _halved(second)
        similarity, contrast = _ssim(first, second, window)
        term = similarity if scale == len(_WEIGHTS) - 1 else contrast
        result = result * term.mean(dim=(2, 3)).clamp_(min=0) ** weight
    return result.mean(dim=1)


def _gaussian(channels: int, device: torch.device) -> Tensor:
    offsets = torch.arange(_WINDOW, dtype=torch.float64) - _WINDOW // 2
    weights = torch.exp(-offsets.square() / (2 * _SIGMA**2))
    return (weights / weights.sum()).to(device, torch.float32).expand(channels, 1, 1, _WINDOW)


def _smoothed(x: Tensor, window: Tensor) -> Tensor:
    channels = x.shape[1]
    return F.conv2d(F.conv2d(x, window, groups=channels), window.transpose(2, 3), groups=channels)


def _halved(x: Tensor) -> Tensor:
    odd = max(x.shape[2] % 2, x.shape[3] % 2)
    return F.avg_pool2d(F.pad(x, (odd, 0, odd, 0), mode="replicate"), 2)


def _ssim(first: Tensor, second: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
    """The similarity at each position, and its part without the luminance."""
    mu_first, mu_second = _smoothed(first, window), _smoothed(second, window)
    var_first = _smoothed(first * first, window) - mu_first * mu_first
    var_second = _smoothed(second * second, window) - mu_second * mu_second
    covariance = _smoothed(first * second, window) - mu_first * mu_second
    contrast = (2 * covariance + _C2) / (var_first + var_second + _C2)
    luminance = (2 * mu_first * mu_second + _C1) / (mu_first * mu_first + mu_second * mu_second + _C1)
    return luminance * contrast, contrast


class MultiScaleSSIM(PairExtractor):
    """Multi-scale structural similarity, a similarity: 1 for equal images. It has no weights."""

    def __init__(self, weights: Path | None) -> None:
        super().__init__(weights)
        self.info = EXTRACTORS.get("ms-ssim.wang2003")
        self.weights = self.locate(weights)
        self.network = nn.Identity()

    @classmethod
    def locate(cls, weights: Path | None) -> WeightsFile:
        """No file at all.

        Raises:
            UsageError: if one is given.
        """
        if weights is not None:
            raise UsageError(f"extractor 'ms-ssim.wang2003' has no weights; leave out '--weights {weights}'")
        return WeightsFile(Path(os.devnull), hashlib.sha256().hexdigest(), official=True)

    min_side = MIN_SIDE

    def compare(self, first: Float32[Tensor, "n 3 h w"], second: Float32[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        """The similarity of each pair of images in 0..255, in float32 whatever the precision.

        Raises:
            UsageError: if the images are too small.
        """
        height, width = first.shape[2:]
        if min(height, width) < MIN_SIDE:
            raise UsageError(
                f"extractor {self.id!r} needs images of at least {MIN_SIDE} pixels a side, for at its fifth scale a "
                f"window of {_WINDOW} must still fit; given {height}x{width}: enlarge them first, for example with "
                "'--crop pil-bicubic-256'"
            )
        with torch.autocast(first.device.type, enabled=False):
            return multi_scale_ssim(first / 255, second / 255)
