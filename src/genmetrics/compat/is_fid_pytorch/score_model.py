"""``ScoreModel``: Inception Score and FID of tensors and datasets, on torchvision's network."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.moments import Moments
from genmetrics.cli.progress import showing_progress
from genmetrics.compat.commands import say
from genmetrics.compat.frechet import Values
from genmetrics.compat.is_fid_pytorch.inception_score import EqualSplits, divergences_of_each
from genmetrics.compat.is_fid_pytorch.network import SharedNetwork, devices_to_use
from genmetrics.compat.is_fid_pytorch.reference import EXTRACTOR, given_reference, reference_in
from genmetrics.errors import GenmetricsWarning, StatisticsError, UsageError
from genmetrics.metrics.frechet import frechet_distance
from genmetrics.preprocess.resize_torch import resize_torch_bilinear
from genmetrics.types import Progress

__all__ = ["IgnoreLabelDataset", "ScoreModel"]

_OUTPUTS = ("2048", "logits")
_SIDE = 299
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: What images that were normalised as a mode says lie in, with room for generators that overshoot.
_RANGES = {1: (-2.4, 3.0), 2: (-1.3, 1.3)}
_SAID = {1: "mean (0.485, 0.456, 0.406) and deviation (0.229, 0.224, 0.225)", 2: "mean and deviation 0.5: -1..1"}


class IgnoreLabelDataset(Dataset[Any]):
    """The images of a dataset of images and labels."""

    def __init__(self, orig: Any) -> None:
        """Take a dataset whose items begin with the image."""
        self.orig = orig

    def __getitem__(self, index: int) -> Any:
        """The image of an item."""
        return self.orig[index][0]

    def __len__(self) -> int:
        return len(self.orig)


class ScoreModel:
    """Inception Score and Fréchet distance of float images, which are never rounded to 8 bits.

    The network is torchvision's Inception-v3 of ImageNet, so that the numbers compare with those of lzhbrian/metrics
    and with no published FID or Inception Score; ``genmetrics.evaluate`` computes these.

    Matches: lzhbrian/metrics at 7f2f99c, transcribed, features and scores to 1e-5 relative;
    tests/compat/is_fid_pytorch/test_score_model.py.

    Attributes:
        mode: how images were normalised.
        calc_fid: whether a reference was given here.
        mu1: its mean, if so.
        sigma1: its covariance, if so.
    """

    def __init__(
        self, mode: int, cuda: bool = True, stats_file: str | Path = "", mu1: Values = 0, sigma1: Values = 0
    ) -> None:
        """Load the network, and the reference if one is given.

        Args:
            mode: 1 for images normalised with ImageNet's mean and deviation, 2 for images in -1..1.
            cuda: use all visible GPUs, which share each batch; on a machine without any the CPU, with a note.
            stats_file: an npz file with the reference's ``mu`` and ``sigma``.
            mu1: the reference's mean as an array (2048,), in place of a file.
            sigma1: its covariance (2048, 2048).

        Raises:
            UsageError: if there is no such mode, or a reference is given by half.
            StatisticsError: if the file or the arrays hold no mean and covariance, or those of another network.
            WeightsError: if the network's weights are missing, damaged or refused.
        """
        if mode not in _RANGES:
            raise UsageError(
                f"mode={mode!r}: expected 1 (images normalised with {_SAID[1]}) or 2 ({_SAID[2]}); what older versions "
                "call 3 is 2 with get_score_dataset"
            )
        self.mode = mode
        self._reference = given_reference(mu1, sigma1, "ScoreModel")
        if stats_file:
            if self._reference is not None:
                warnings.warn(
                    f"mu1 and sigma1 are not used: stats_file='{stats_file}' goes before them, as in the original",
                    GenmetricsWarning,
                    stacklevel=2,
                )
            self._reference = reference_in(stats_file)
        self.calc_fid = self._reference is not None
        if self._reference is not None:
            self.mu1, self.sigma1 = self._reference.mean().numpy(), self._reference.covariance().numpy()
        if cuda and not torch.cuda.is_available():
            say("ScoreModel: note: cuda=True, and torch finds no CUDA device here; the network runs on the CPU")
        if not cuda and torch.cuda.is_available():
            print("WARNING: You have a CUDA device, so you should probably set cuda=True")
        self._network = SharedNetwork(EXTRACTOR, devices_to_use(cuda))
        if self._network.weights.official is False:
            say(f"ScoreModel: note: the weights '{self._network.weights.path}' are not torchvision's")
        self._told_of_override = False

    def get_score_image_tensor(
        self,
        imgs_nchw: Tensor | np.ndarray,
        mu1: Values = 0,
        sigma1: Values = 0,
        n_split: int = 10,
        batch_size: int = 32,
        return_stats: bool = False,
        return_each_score: bool = False,
    ) -> tuple[Any, ...]:
        """Score a tensor of images.

        Args:
            imgs_nchw: (n, 3, h, w) floats on any device, normalised as the model's mode says.
            mu1: the reference's mean, for a model that was made without one.
            sigma1: its covariance.
            n_split: into how many equal splits the images are cut for the Inception Score; what is left over of them
                is not in it.
            batch_size: images that go through the network at once, on all devices together; it changes no number.
            return_stats: also return the images' own mean and covariance.
            return_each_score: with ``n_split=1`` return the divergence KL(p(y|x) ‖ p(y)) of each image.

        Returns:
            ``(is_mean, is_std, fid)``, and with ``return_stats`` also ``mu, sigma``. ``fid`` is -1 without a reference.
            With ``return_each_score`` and ``n_split=1`` ``is_mean`` is a list, one number an image, and ``is_std`` 0.

        Raises:
            UsageError: if the images are no (n, 3, h, w) floats, or an option is out of its range.
            StatisticsError: if there are too few images, a feature is NaN or infinite, or the reference does not fit.
        """
        images = _checked(torch.as_tensor(imgs_nchw), "imgs_nchw")
        _check_batch_size(batch_size)
        options = _Options(len(images), n_split, return_stats, return_each_score)
        return self._scored(torch.split(images, batch_size), options, mu1, sigma1)

    def get_score_dataset(
        self,
        dataset: Any,
        mu1: Values = 0,
        sigma1: Values = 0,
        n_split: int = 10,
        batch_size: int = 32,
        return_stats: bool = False,
        return_each_score: bool = False,
    ) -> tuple[Any, ...]:
        """Score the images of a torch dataset in their order; all else is as in ``get_score_image_tensor``.

        Args:
            dataset: items are (3, h, w) float tensors of one size, normalised as the model's mode says. For items with
                a label give ``IgnoreLabelDataset(dataset)``.
            mu1: the reference's mean.
            sigma1: its covariance.
            n_split: into how many equal splits.
            batch_size: images that go through the network at once.
            return_stats: also return the images' own mean and covariance.
            return_each_score: with ``n_split=1`` return each image's divergence.

        Raises:
            UsageError: if an item is something else.
            StatisticsError: as ``get_score_image_tensor``.
        """
        _check_batch_size(batch_size)
        options = _Options(len(dataset), n_split, return_stats, return_each_score)
        return self._scored(_batches_of(dataset, batch_size), options, mu1, sigma1)

    def _scored(self, batches: Iterable[Tensor], options: _Options, mu1: Values, sigma1: Values) -> tuple[Any, ...]:
        reference = self._reference_for(mu1, sigma1)
        splits = EqualSplits(options.count, options.n_split)
        moments = Moments(2048) if options.return_stats or reference is not None else None
        logits = FeatureBank(1000) if options.each else None
        low, high = np.inf, -np.inf
        done = 0
        with showing_progress(quiet=False) as progress:
            progress(Progress("gen", 0, options.count, "ScoreModel"))
            for batch in batches:
                least, most = (float(value) for value in batch.aminmax())
                # Not every backend hands a NaN on: the features of such images may look like any others.
                if not np.isfinite(least) or not np.isfinite(most):
                    raise StatisticsError(
                        f"NaN or infinite values in images {done} to {done + len(batch) - 1}; look at what made them"
                    )
                low, high = min(low, least), max(high, most)
                found = self._network(batch, self._prepared, _OUTPUTS)
                indices = torch.arange(done, done + len(batch))
                splits.update(found["logits"], done)
                for held, name in ((moments, "2048"), (logits, "logits")):
                    if held is not None:
                        held.update(found[name], indices)
                done += len(batch)
                progress(Progress("gen", done, options.count, "ScoreModel"))
        if done != options.count:
            raise UsageError(f"the dataset gave {done} images, and its length is {options.count}; they must agree")
        self._check_range(low, high)
        is_mean: Any
        is_std: Any
        if logits is not None:
            is_mean, is_std = divergences_of_each(logits.rows()), 0
        else:
            is_mean, is_std = (np.float64(figure) for figure in splits.scores())
        fid = -1 if reference is None or moments is None else np.float64(frechet_distance(moments, reference))
        if not options.return_stats or moments is None:
            return is_mean, is_std, fid
        return is_mean, is_std, fid, moments.mean().numpy(), moments.covariance().numpy()

    def _prepared(self, images: Float32[Tensor, "n 3 h w"]) -> Float32[Tensor, "n 3 299 299"]:
        """What torchvision's network makes of images before its first layer."""
        inputs = resize_torch_bilinear(images, (_SIDE, _SIDE))
        if self.mode == 2:
            return inputs
        mean, std = (torch.tensor(values, device=inputs.device)[:, None, None] for values in (_MEAN, _STD))
        return inputs * (std / 0.5) + (mean - 0.5) / 0.5

    def _reference_for(self, mu1: Values, sigma1: Values) -> Moments | None:
        """The model's own reference, which goes before that of a call."""
        given = given_reference(mu1, sigma1, "mu1, sigma1")
        if self._reference is None or given is None:
            return self._reference or given
        if not self._told_of_override:
            self._told_of_override = True
            warnings.warn(
                "mu1 and sigma1 of the call are not used: this ScoreModel was made with a reference of its own, which "
                "goes before them as in the original; make one without for references call by call",
                GenmetricsWarning,
                stacklevel=4,
            )
        return self._reference

    def _check_range(self, low: float, high: float) -> None:
        least, most = _RANGES[self.mode]
        if low < least or high > most:
            warnings.warn(
                f"the images have values in {low:.4g}..{high:.4g}, which are not images normalised with "
                f"{_SAID[self.mode]}, as mode={self.mode} expects; the scores are of these values all the same",
                GenmetricsWarning,
                stacklevel=4,
            )


class _Options:
    """What a call asks for."""

    def __init__(self, count: int, n_split: int, return_stats: bool, return_each_score: bool) -> None:
        self.count = count
        self.n_split = n_split
        self.return_stats = return_stats
        self.each = return_each_score and n_split == 1
        if return_each_score and n_split != 1:
            warnings.warn(
                f"return_each_score is not done with n_split={n_split}: the score of single images needs n_split=1",
                GenmetricsWarning,
                stacklevel=3,
            )


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise UsageError(f"batch_size={batch_size}: expected at least 1")


def _checked(images: Tensor, name: str) -> Tensor:
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise UsageError(
            f"{name} is {images.dtype} of shape {tuple(images.shape)}; expected floats of shape (n, 3, h, w), "
            "normalised as the mode says (for 0..255 and mode=2: x / 127.5 - 1)"
        )
    return images


def _batches_of(dataset: Any, batch_size: int) -> Iterator[Tensor]:
    for batch in DataLoader(dataset, batch_size=batch_size):
        if not isinstance(batch, Tensor):
            raise UsageError(
                f"the dataset's items give a batch that is a {type(batch).__name__}; expected image tensors alone. For "
                "items of an image and a label give IgnoreLabelDataset(dataset)"
            )
        yield _checked(batch, "a batch of the dataset")
