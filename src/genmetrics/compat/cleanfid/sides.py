"""What is compared with what: folders, generators and known sets, as moments of their features."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

from torch import Tensor

from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.moments import Moments
from genmetrics.compat.cleanfid.distances import moments_distance
from genmetrics.compat.cleanfid.feature_sets import announced
from genmetrics.compat.cleanfid.generated import features_of_generator
from genmetrics.compat.cleanfid.images import PathLike
from genmetrics.compat.cleanfid.network import INCEPTION, Network, check_mode
from genmetrics.compat.cleanfid.passes import (
    Way,
    features_of_images,
    moments_of,
    stats_of,
)
from genmetrics.compat.cleanfid.statistics import found_stats
from genmetrics.errors import GenmetricsWarning, StatisticsError, UsageError
from genmetrics.sources.loader import ItemSource
from genmetrics.stats.stats import Stats

__all__ = [
    "Generator",
    "KnownSet",
    "check_sides",
    "folder_to_folder",
    "folder_to_set",
    "generator_to_folder",
    "generator_to_set",
    "say_if",
]

#: From (batch_size, z_dim) noise to as many images, (n, 3, h, w), 0..255.
Generator = Callable[[Tensor], Tensor]

Held = TypeVar("Held", Moments, FeatureBank)


@dataclass(frozen=True)
class KnownSet:
    """A set of which there are statistics by name.

    Attributes:
        name: of the set.
        resolution: of its images.
        split: which of them; ``custom`` for the user's own.
        model_name: of the network, a part of the file's name.
    """

    name: str
    resolution: int | str
    split: str
    model_name: str = INCEPTION

    def moments(self, mode: str) -> Moments:
        """Mean and covariance of its features.

        Raises:
            StatisticsError: if they are neither here nor to be had, or damaged.
        """
        return _held(self._path(mode, "FID"), Moments)

    def features(self, mode: str) -> FeatureBank:
        """Its features.

        Raises:
            StatisticsError: as ``moments``.
        """
        return _held(self._path(mode, "KID"), FeatureBank)

    def _path(self, mode: str, metric: str) -> Path:
        check_mode(mode)
        return found_stats(self.name, mode, self.model_name, self.split, self.resolution, metric)


def check_sides(fdir1: PathLike | None, fdir2: PathLike | None, gen: Generator | None) -> None:
    """Refuse what is no pair of sides.

    Raises:
        UsageError: naming what is.
    """
    if fdir1 is None and gen is None:
        raise UsageError(
            "invalid combination of directories and models entered: give fdir1 and fdir2, fdir1 and a dataset_name, "
            "gen and fdir2, or gen and a dataset_name"
        )
    if fdir1 is not None and gen is not None:
        raise UsageError("fdir1 and gen were both given, and one of them is measured; leave the other out")
    if gen is not None and not callable(gen):
        raise UsageError(f"the generator is a {type(gen).__name__}, expected a function of the noise")


def folder_to_folder(fdir1: PathLike, fdir2: PathLike, way: Way) -> float:
    """The FID of two folders, both of which are looked at before any image is read."""
    sides = [(announced(fdir, way.verbose), f"FID {Path(fdir).name} : ") for fdir in (fdir1, fdir2)]
    gen, ref = (_of_images(source, way, description) for source, description in sides)
    return moments_distance(gen, ref, way.torch_device)


def folder_to_set(fdir: PathLike, known: KnownSet, way: Way) -> float:
    """The FID of a folder against a known set."""
    ref = _fitting(known, way)
    gen = _of_images(announced(fdir, way.verbose), way, f"FID {Path(fdir).name} : ")
    return moments_distance(gen, ref, way.torch_device)


def generator_to_folder(generator: Generator, fdir: PathLike, way: Way, z_dim: int, num_gen: int) -> float:
    """The FID of a generator against a folder."""
    ref = _of_images(announced(fdir, way.verbose), way, f"FID {Path(fdir).name} : ")
    return moments_distance(_of_generator(generator, way, z_dim, num_gen), ref, way.torch_device)


def generator_to_set(generator: Generator, known: KnownSet, way: Way, z_dim: int, num_gen: int) -> float:
    """The FID of a generator against a known set."""
    ref = _fitting(known, way)
    return moments_distance(_of_generator(generator, way, z_dim, num_gen), ref, way.torch_device)


def say_if(verbose: bool, text: str) -> None:
    """Print a line of clean-fid's."""
    if verbose:
        print(text)


def _of_images(source: ItemSource, way: Way, description: str) -> Moments:
    stats = stats_of(source, way, description, features=False)
    if stats is None:
        return moments_of(features_of_images(source, way, description))
    (moments,) = stats.accumulators.values()
    return cast(Moments, moments)


def _of_generator(generator: Generator, way: Way, z_dim: int, num_gen: int) -> Moments:
    found = features_of_generator(generator, way, z_dim, num_gen, "FID model: ")
    return moments_of(features for features, _ in found)


def _fitting(known: KnownSet, way: Way) -> Moments:
    """A known set's moments, with a warning where nobody can tell whether the model is theirs."""
    moments = known.moments(way.mode)
    model = way.model
    if not isinstance(model, Network):
        warnings.warn(
            f"the images' features are of a network of yours, and the statistics of {known.name!r} are of model_name="
            f"{known.model_name!r}: the distance means something only if that is the same network",
            GenmetricsWarning,
            stacklevel=2,
        )
    elif model.width != moments.width:
        raise StatisticsError(
            f"the statistics of {known.name!r} are {moments.width} wide and the network's features {model.width}: they "
            f"are of another network; look at model_name={known.model_name!r}"
        )
    return moments


def _held(path: Path, kind: type[Held]) -> Held:
    for held in Stats.load(path).accumulators.values():
        if isinstance(held, kind):
            return held
    what = "mean and covariance" if kind is Moments else "features"
    raise StatisticsError(f"'{path}' holds no {what}, which its name promises; remove it and make or fetch it again")
