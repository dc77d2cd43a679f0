"""From torch-fidelity's inputs and feature extractors to what our engine takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from genmetrics.compat.torch_fidelity.generative_model_base import GenerativeModelBase
from genmetrics.engine.sides import SourceLike
from genmetrics.types import MetricInfo

__all__ = ["Network", "default_extractor", "default_layer", "extractor_of", "model_of", "source_of"]


@dataclass(frozen=True)
class Network:
    """A feature extractor of torch-fidelity's names, as our engine is asked for it.

    Attributes:
        extractor: the id of our extractor.
        preprocess: the id of the preprocessing.
        features: the name of our output for each layer that was asked for.
        weights: the weight file that our engine is to be given for it; None for none.
    """

    extractor: str
    preprocess: str
    features: Mapping[str, str]
    weights: Path | None

    def metric(self, metric: MetricInfo, layer: str) -> MetricInfo:
        """A metric of our registry on one of the layers of this network.

        Args:
            metric: such as ``METRICS.get("kid")``.
            layer: torch-fidelity's name of it.
        """
        raise NotImplementedError

    @property
    def weights_option(self) -> dict[str, Path]:
        """What ``weights=`` of our engine is to be given."""
        raise NotImplementedError


def source_of(
    given: str | Path | Dataset[Any] | GenerativeModelBase | SourceLike,
    *,
    model_z_type: str = "normal",
    model_z_size: int | None = None,
    model_num_classes: int = 0,
    model_num_samples: int | None = None,
    batch_size: int = 64,
    rng_seed: int = 2020,
    device: str = "cpu",
    samples_find_deep: bool = False,
    samples_find_ext: str = "png,jpg,jpeg",
    samples_resize_and_crop: int = 0,
    datasets_root: str | Path | None = None,
    datasets_download: bool = True,
) -> SourceLike:
    """What ``input1`` or ``input2`` of ``calculate_metrics`` is, as ``gm.evaluate`` takes it.

    In this order: a registered name, a folder, a generator in an ``.onnx`` or ``.pth`` file, a torch ``Dataset`` or
    ``GenerativeModelBase``. Whatever else ``gm.evaluate`` takes is passed on: statistics, archives, arrays.

    Args:
        given: the input.
        model_z_type: of a generator in a file, as are the next two: a registered noise source.
        model_z_size: the size of its noise.
        model_num_classes: how many classes it has; 0 for none.
        model_num_samples: how many images a generator makes, one in a file or not.
        batch_size: images that a generator makes at once; noise and labels are drawn batch by batch.
        rng_seed: of noise and labels. Both inputs have the same, as in torch-fidelity.
        device: where a generator is moved, if this is a CUDA device; else it stays where it is.
        samples_find_deep: whether a folder's subfolders are read too.
        samples_find_ext: the extensions of its images.
        samples_resize_and_crop: the side of a square to which its images are resized and cropped; 0 leaves them.
        datasets_root: where the archives of a registered dataset are; None looks where ours and torch-fidelity's are.
        datasets_download: whether one that is not there is fetched.

    Raises:
        UsageError: if the input is none of these, or an option cannot be meant.
        SourceError: if there are no images in it.
    """
    raise NotImplementedError


def model_of(
    given: str | Path | GenerativeModelBase,
    *,
    model_z_type: str = "normal",
    model_z_size: int | None = None,
    model_num_classes: int = 0,
) -> GenerativeModelBase:
    """The generator that an input is, loaded if it is a file; for the Perceptual Path Length, and as ``source_of``.

    Raises:
        UsageError: if the input is no generator.
        SourceError: if the file is damaged or is none.
    """
    raise NotImplementedError


def extractor_of(
    name: str,
    layers: Sequence[str],
    *,
    weights_path: str | Path | None = None,
    internal_dtype: str | None = None,
    example: Tensor | SourceLike | None = None,
    settings: Mapping[str, object] = MappingProxyType({}),
) -> Network:
    """A registered feature extractor as our engine is asked for it.

    A built-in one is ours, of the same numbers. One that was registered, or a built-in one in float64, is wrapped: it
    gets uint8 images and its tuple becomes named features.

    Args:
        name: a registered name.
        layers: the features that are wanted.
        weights_path: ``feature_extractor_weights_path``.
        internal_dtype: ``feature_extractor_internal_dtype``: ``float32``, ``float64`` or None.
        example: what to find the widths of a wrapped one's features with: images (n, 3, h, w) uint8, or a source, of
            which one image is read; None takes one of 299x299.
        settings: all that ``calculate_metrics`` was given, by name, which the class of a wrapped one is called with.

    Raises:
        UnknownNameError: if nothing of that name is registered.
        UsageError: if it has no such layer, or cannot be used.
    """
    raise NotImplementedError


def default_extractor(metric: str) -> str:
    """The feature extractor that a metric has unless another is named: ``isc``, ``fid``, ``kid``, ``mind``, ``prc``."""
    raise NotImplementedError


def default_layer(extractor: str, metric: str) -> str:
    """The layer of a registered feature extractor that a metric takes unless another is named.

    Raises:
        UnknownNameError: if nothing of that name is registered.
        UsageError: if the extractor names none for this metric.
    """
    raise NotImplementedError
