"""From images to features: by the engine where the network and the resize are clean-fid's own, else one by one."""

from __future__ import annotations

import itertools
import os
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.accumulators.moments import Moments
from genmetrics.cli.progress import showing_progress
from genmetrics.compat.cleanfid.clip_features import CLIP_fx, img_preprocess_clip
from genmetrics.compat.cleanfid.images import holds_floats
from genmetrics.compat.cleanfid.network import (
    CLIP,
    METRIC_OF_MODE,
    DeviceLike,
    Network,
    check_mode,
    device_text,
    network_of,
)
from genmetrics.compat.cleanfid.utils import ResizeDataset, Transform, Unreadable
from genmetrics.engine.evaluate import drive
from genmetrics.engine.networks import resolve_device
from genmetrics.engine.options import Options
from genmetrics.engine.plan import make_plan
from genmetrics.engine.statistics import OpenedSet, iter_stats_of
from genmetrics.errors import BadImageError, GenmetricsWarning, UsageError
from genmetrics.metrics import METRICS
from genmetrics.sources.loader import ItemSource
from genmetrics.stats.stats import Stats
from genmetrics.types import Need, Progress, SideRecord

__all__ = [
    "Batches",
    "FeatureModel",
    "Way",
    "features_of_batch",
    "features_of_images",
    "moments_of",
    "of_one_size",
    "progress_of",
    "resize_of",
    "stats_of",
    "stats_of_features",
    "way_of",
]

#: From (n, 3, h, w) images, 0..255, to (n, d) features.
FeatureModel = Callable[[Tensor], Tensor]
#: Features of images in their order, batch by batch.
Batches = Iterator[Tensor]


@dataclass(frozen=True)
class Way:
    """How images become features.

    Attributes:
        model: the network.
        mode: whose resize it is.
        device: where batches are put for the model.
        transform: what each image undergoes first; None for nothing.
        resize: in place of the mode's resize; None for that.
        batch_size: images that go through the model at once.
        num_workers: the most processes, or threads, that decode; 0 for no process.
        verbose: whether progress is shown.
    """

    model: FeatureModel
    mode: str
    device: DeviceLike = "auto"
    transform: Transform | None = None
    resize: Transform | None = None
    batch_size: int = 32
    num_workers: int = 0
    verbose: bool = True

    def __post_init__(self) -> None:
        check_mode(self.mode)
        for name, least in (("batch_size", 1), ("num_workers", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise UsageError(f"{name} is {value!r}, expected a whole number of at least {least}")
        if not callable(self.model):
            raise UsageError(
                f"the feature model is a {type(self.model).__name__}, expected a function of (n, 3, h, w) images to "
                "(n, d) features"
            )

    @property
    def network(self) -> Network | None:
        """The network if it is ours and images come to it as the metric has it, so that the engine does the same."""
        model = self.model
        if not isinstance(model, Network) or self.transform is not None:
            return None
        if isinstance(model, CLIP_fx):
            return model if self.resize is img_preprocess_clip else None
        return model if self.resize is None and model.info.id == METRIC_OF_MODE[self.mode] else None

    @property
    def torch_device(self) -> torch.device:
        """Where batches are put."""
        return self.model.device if isinstance(self.model, Network) else resolve_device(device_text(self.device))

    @property
    def workers(self) -> int:
        """So many as were asked for and there are cores."""
        return min(self.num_workers, os.cpu_count() or 1)


def resize_of(model: FeatureModel) -> Transform | None:
    """The resize that a network of ours has of its own; None where the mode's is its."""
    return img_preprocess_clip if isinstance(model, CLIP_fx) else None


def way_of(
    model: FeatureModel | None,
    model_name: str,
    mode: str,
    device: DeviceLike,
    custom_image_tranform: Transform | None,
    custom_fn_resize: Transform | None,
    batch_size: int,
    num_workers: int,
    verbose: bool,
) -> Way:
    """How images become features; without a model by the network of ``model_name`` and the mode.

    Raises:
        UsageError: if that cannot be meant.
    """
    if model is None:
        model = network_of(mode, model_name, device)
        own = resize_of(model)
        if own is not None and custom_fn_resize is not None:
            raise UsageError(f"custom_fn_resize was given with model_name={CLIP!r}, which has a resize of its own")
        custom_fn_resize = custom_fn_resize or own
    return Way(model, mode, device, custom_image_tranform, custom_fn_resize, batch_size, num_workers, verbose)


def stats_of(source: ItemSource, way: Way, description: str, *, features: bool) -> Stats | None:
    """The statistics of images by the engine; None where it does not do what was asked for.

    Args:
        source: the images.
        way: how they become features.
        description: of the images, for people.
        features: whether all features are kept, in place of their mean and covariance.
    """
    network = way.network
    if network is None or holds_floats(source):
        return None
    info = network.info
    if features:
        info = replace(
            METRICS.get("kid"),
            id=f"kid.{info.id}",
            extractor=info.extractor,
            feature=info.feature,
            preprocess=info.preprocess,
        )
    options = Options(device=str(network.device), batch_size=way.batch_size, workers=way.workers or None)
    opened = OpenedSet(make_plan([info], None, options.seed, True), source, network.networks)
    # clean-fid's loader draws a seed from torch's own generator, as ours does below; the noise of a generator's images,
    # which may follow, is of it, and of one torch.manual_seed is to be the same.
    torch.empty((), dtype=torch.int64).random_()
    with progress_of(way, description) as show:
        found = drive(iter_stats_of(opened, options), show)
    for note in found.side.notes:
        warnings.warn(f"'{found.side.source}': {note}", GenmetricsWarning, stacklevel=2)
    return found


def features_of_images(source: ItemSource, way: Way, description: str) -> Batches:
    """The features of images one by one, whatever the network and the functions before it.

    Raises:
        BadImageError: if images cannot be read; the first ten of them are named.
        UsageError: if a function gives something else than images, or the model than features.
    """
    dataset = ResizeDataset.of(source, way.mode)
    dataset.custom_image_tranform = way.transform or dataset.custom_image_tranform
    dataset.fn_resize = way.resize or dataset.fn_resize
    loader: DataLoader[Any] = DataLoader(_Named(dataset), way.batch_size, collate_fn=list, **_processes(dataset, way))
    for note in source.notes:
        warnings.warn(f"'{source.description}': {note}", GenmetricsWarning, stacklevel=2)
    done = 0
    with progress_of(way, description) as show:
        show(Progress("gen", 0, len(source), source.description))
        for images in loader:
            bad = [image for image in images if isinstance(image, Unreadable)]
            if bad:
                raise _bad_images(source, bad)
            for batch in of_one_size(images):
                yield features_of_batch(batch, way.model, way.torch_device)
            done += len(images)
            show(Progress("gen", done, len(source), source.description))


def features_of_batch(images: Tensor, model: FeatureModel, device: torch.device) -> Tensor:
    """A model's features of a batch, on the CPU, without gradients.

    Raises:
        UsageError: if they are something else than one row for each image.
    """
    with torch.no_grad():
        features = model(images.to(device))
    if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != len(images):
        found = f"shape {tuple(features.shape)}" if isinstance(features, Tensor) else type(features).__name__
        raise UsageError(f"the feature model gave {found} for {len(images)} images; expected a tensor (n, d)")
    return features.detach().cpu()


def moments_of(batches: Batches) -> Moments:
    """The mean and covariance of features, in one pass and constant memory."""
    first = next(batches)
    moments, done = Moments(first.shape[1]), 0
    for batch in itertools.chain([first], batches):
        moments.update(batch.to("cpu"), torch.arange(done, done + len(batch)))
        done += len(batch)
    return moments


def stats_of_features(source: ItemSource, network: Network, rows: Tensor) -> Stats:
    """The statistics of features that were computed one by one, with their record."""
    info = network.info
    need = Need(info.extractor, info.preprocess, info.feature, "feature_bank")
    bank = FeatureBank(rows.shape[1])
    bank.update(rows, torch.arange(len(rows)))
    side = SideRecord(source.description, source.kind, len(rows), None, notes=source.notes)
    return Stats({need: bank}, side, network.networks.records([need]), None)


class _Named(torch.utils.data.Dataset[Any]):
    """A dataset whose unreadable images are told apart, since an error would lose its form on its way."""

    def __init__(self, dataset: ResizeDataset) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Tensor | Unreadable:
        return self._dataset.item(index)


def progress_of(way: Way, description: str) -> AbstractContextManager[Callable[[Progress], None]]:
    """A block with what takes the progress records of a pass over images.

    Args:
        way: whether to show any.
        description: of the images.
    """
    label = description.strip(" :") or "images"
    return showing_progress(not way.verbose, dict.fromkeys(("ref", "gen", "metrics"), label))


def _processes(dataset: ResizeDataset, way: Way) -> dict[str, Any]:
    """How many processes load, and how they are started: functions within functions only reach a forked one."""
    workers = way.workers
    if workers and sys.platform != "linux":
        try:
            pickle.dumps(dataset)
        except (pickle.PicklingError, AttributeError, TypeError):
            workers = 0
    return {"num_workers": workers, "multiprocessing_context": "fork" if workers and sys.platform == "linux" else None}


def of_one_size(images: Sequence[Tensor]) -> Iterator[Tensor]:
    """Batches of consecutive images of one size."""
    for _, group in itertools.groupby(images, key=lambda image: image.shape):
        yield torch.stack(list(group))


def _bad_images(source: ItemSource, bad: list[Unreadable]) -> BadImageError:
    lines = [f"{source.kind} '{source.description}': {len(bad)} image(s) of a batch cannot be read:"]
    lines += [f"  {image.name}: {image.reason}" for image in bad[:10]]
    lines.append("Repair or remove them")
    return BadImageError("\n".join(lines), tuple((image.name, image.reason) for image in bad[:10]))
