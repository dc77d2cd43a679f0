"""``todd.tasks.image_generation.fid``: features, their statistics, and the distance of two of these."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from genmetrics import distributed
from genmetrics.accumulators.moments import Moments
from genmetrics.compat.vq.cache import find_statistics
from genmetrics.compat.vq.protocol import INCEPTION, PLAIN, weights_here
from genmetrics.errors import StatisticsError, UsageError
from genmetrics.extractors.base import load_extractor
from genmetrics.metrics.frechet import frechet_distance
from genmetrics.preprocess.resize_torch import resize_torch_bilinear
from genmetrics.preprocess.spec import get_preprocess
from genmetrics.stats.formats.checks import FileChecks
from genmetrics.stats.formats.todd import write_todd
from genmetrics.stats.stats import Stats

__all__ = ["Inception", "Statistician", "Statistics", "fid", "load", "save"]

_FEATURE = "2048"


class Statistics(NamedTuple):
    """Mean and covariance of features.

    Attributes:
        mu: (d,) float32.
        sigma: (d, d) float64, with ddof 1.
    """

    mu: np.ndarray
    sigma: np.ndarray


class Inception(nn.Module):
    """The network; it runs where the images are, and nothing of the process is patched for it.

    Matches: todd's, transcribed on pytorch-fid 0.3.0's network; tests/compat/vq/test_image_generation.py.
    """

    def __init__(self, pretrained: str | Path | None = None) -> None:
        """Load the weights.

        Args:
            pretrained: the weight file; None takes ``pretrained/pytorch-fid/pt_inception.pth`` as todd does, and
                where that is not there the published file that genmetrics finds.

        Raises:
            WeightsError: if there is none, or it does not fit.
        """
        super().__init__()
        path = weights_here() if pretrained is None else Path(pretrained)
        self._extractor = load_extractor(INCEPTION, path)

    def forward(self, image: Tensor) -> Float32[Tensor, "n 2048"]:
        """The pooled features.

        Args:
            image: (n, 3, h, w), 0..255, uint8 or floats.

        Raises:
            UsageError: if it is of another shape, or floats are not of that range.
        """
        inputs = _preprocessed(image.detach())
        if self._extractor.device != inputs.device:
            self._extractor.to(inputs.device, "exact")
        return self._extractor.run(inputs, [_FEATURE])[_FEATURE]


class Statistician(nn.Module):
    """Gathers the features of images that come batch by batch, and of all ranks.

    Unlike todd's it keeps sums and not features, so that any number of images takes the same memory.
    """

    def __init__(self, inception: Inception | None = None) -> None:
        """Begin without images.

        Args:
            inception: the network; None loads one.
        """
        super().__init__()
        self._inception = Inception() if inception is None else inception
        self._moments = Moments(2048)

    def forward(self, images: Tensor) -> None:
        """Take a batch in; see ``Inception.forward``.

        Raises:
            UsageError: if it is no batch of images of 0..255.
        """
        shard, count = distributed.current_shard(), self._moments.num_samples
        places = torch.arange(count, count + len(images)) * shard.count + shard.index
        self._moments.update(self._inception(images), places)

    def summarize(self) -> Statistics:
        """The statistics of the images of all ranks, the same on each; every rank calls it.

        Raises:
            StatisticsError: if there are fewer than two images.
        """
        with distributed.shared_run("Statistician.summarize()"):
            held = distributed.merge_over_ranks(self._moments)
        return _statistics(held)


def fid(gt: Statistics, pred: Statistics, eps: float = 1e-6) -> float:
    """The Fréchet distance of two statistics.

    Args:
        gt: of real images.
        pred: of generated ones.
        eps: what todd adds to diagonals where a product is singular; there is no product here, and it does nothing.

    Raises:
        StatisticsError: if one is no mean and covariance, or they are not of one width.
        UsageError: if ``eps`` is negative.
    """
    if not eps >= 0:
        raise UsageError(f"eps {eps!r}: expected 0 or more")
    sides = [_moments(side, name) for name, side in (("gt", gt), ("pred", pred))]
    if sides[0].width != sides[1].width:
        raise StatisticsError(
            f"gt is of {sides[0].width} features and pred of {sides[1].width}; both have to be of the same network"
        )
    return frechet_distance(sides[1], sides[0])


def load(path: str | Path) -> Statistics:
    """Statistics of a file: a name in ``pretrained/fid/``, or a path of any format that genmetrics reads.

    Raises:
        SourceError: if there is no such file.
        StatisticsError: if it is damaged, or holds several or none.
    """
    stats = Stats.load(find_statistics(path))
    found = [held for held in stats.accumulators.values() if isinstance(held, Moments)]
    if len(found) != 1:
        raise StatisticsError(
            f"'{path}' holds {len(found)} means with a covariance, expected one; it holds: {stats.holdings()}"
        )
    return _statistics(found[0])


def save(statistics: Statistics, path: str | Path) -> None:
    """Write statistics as ``torch.save`` writes todd's own, whose name ``torch.save`` here could not give them.

    Args:
        statistics: what to write.
        path: a name that ends in ``.pth``.

    Raises:
        UsageError: if it does not.
        OutputError: if it cannot be written.
    """
    write_todd(Path(path), statistics.mu.astype(np.float32), statistics.sigma.astype(np.float64))


def _moments(side: Statistics, name: str) -> Moments:
    """Statistics after the checks that those of files undergo."""
    try:
        return FileChecks(name).moments(side.mu, side.sigma, None, (f"{name}.mu", f"{name}.sigma"))
    except StatisticsError as error:
        raise StatisticsError(str(error).removeprefix(f"statistics file {name!r}: ")) from error


def _statistics(held: Moments) -> Statistics:
    return Statistics(held.mean().cpu().numpy().astype(np.float32), held.covariance().cpu().numpy())


def _preprocessed(images: Tensor) -> Float32[Tensor, "n 3 299 299"]:
    """The network's input of images of 0..255."""
    if images.ndim != 4 or images.shape[1] != 3:
        raise UsageError(f"images have shape {tuple(images.shape)}; expected (n, 3, h, w)")
    spec = get_preprocess(PLAIN)
    if images.dtype == torch.uint8:
        return spec(images)
    if not images.is_floating_point():
        raise UsageError(f"images are {images.dtype}; expected uint8, or floats of 0..255")
    low, high = (float(value) for value in images.aminmax()) if images.numel() else (0.0, 0.0)
    if not (low >= 0 and high <= 255):
        raise UsageError(
            f"float images run from {low:g} to {high:g}; expected 0..255. From -1..1: "
            "((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)"
        )
    if 0 < high <= 1 and not bool((images == images.round()).all()):
        raise UsageError(f"float images run from {low:g} to {high:g}, which is 0..1; expected 0..255: multiply by 255")
    assert spec.size is not None
    mean, std = (torch.tensor(values, device=images.device)[:, None, None] for values in (spec.mean, spec.std))
    resized = resize_torch_bilinear(images.to(torch.float32) / spec.divisor, spec.size)
    return (resized - mean) / std
