"""The command's work: statistics of a set of images, and what is computed from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from genmetrics.cli.progress import showing_progress
from genmetrics.compat.is_fid_pytorch.inception_score import TruncatedInceptionScore
from genmetrics.compat.is_fid_pytorch.reference import EXTRACTOR, OF_TENSORS, check_network, moments_of
from genmetrics.engine.evaluate import compute_stats
from genmetrics.engine.options import Options
from genmetrics.errors import StatisticsError
from genmetrics.extractors import EXTRACTORS
from genmetrics.extractors.base import locate_weights
from genmetrics.metrics import METRICS
from genmetrics.metrics.frechet import few_samples, frechet_distance
from genmetrics.sources import cifar
from genmetrics.sources.base import ImageSource
from genmetrics.stats.stats import Stats
from genmetrics.types import UNKNOWN, MetricInfo

__all__ = ["check_comparable", "check_count", "cifar10", "distance_of", "notes_of", "score_of", "statistics_of"]

#: How images of folders become the network's input: as ``scipy.misc.imresize`` resized them.
_OF_FOLDERS = "pil-bilinear-299"
_NUM_SPLITS = 10
#: Where the original keeps the dataset, seen from the folder of its script.
_CIFAR_FOLDER = Path("../data/cifar10/cifar-10-batches-py")


def cifar10(note: Callable[[str], None]) -> ImageSource:
    """CIFAR-10's training images: where the original puts them, where genmetrics does, or fetched.

    Args:
        note: says where they are from if that is not usual.
    """
    if _CIFAR_FOLDER.is_dir():
        note(f"CIFAR-10 is read from '{_CIFAR_FOLDER}', where the original keeps it")
        return cifar.CifarSource(_CIFAR_FOLDER, cifar.CIFAR10, "train", cifar.CIFAR10.rows["train"])
    return cifar.open_cifar10("train")


def check_count(count: int, name: str) -> None:
    """Refuse fewer images than splits before any is read.

    Raises:
        StatisticsError: if there are.
    """
    if count < _NUM_SPLITS:
        raise StatisticsError(
            f"'{name}' has {count} image(s), which cannot fill the {_NUM_SPLITS} splits of the Inception Score; add "
            f"images (at least {_NUM_SPLITS}, thousands for a number that says something)"
        )


def check_comparable(stats: Stats) -> None:
    """Refuse statistics that images read here could not be compared with, before any is read.

    Raises:
        StatisticsError: if they say that they are of another network or of other weights, or are of another width.
        WeightsError: if the network's own weights are missing or refused.
    """
    check_network(stats)
    _, moments = moments_of(stats)
    width = EXTRACTORS.get(EXTRACTOR).features["2048"]
    if moments.width != width:
        raise StatisticsError(
            f"'{stats.name}' is of {moments.width} features and the images' are {width}; expected statistics of "
            f"{EXTRACTOR}, as --save-stats-path writes them"
        )
    own = locate_weights(EXTRACTOR)
    _check_weights(_weights_of(stats), ("the network here", None if own is None else own.sha256))


def statistics_of(images: Any, *, of_tensors: bool, quiet: bool) -> Stats:
    """Mean and covariance of the pooled features, and the class logits, from one pass.

    Args:
        images: what ``compute_stats`` takes.
        of_tensors: resize the images as ``ScoreModel`` does tensors, and not as the original does folders.
        quiet: show no progress.
    """
    preprocess = OF_TENSORS if of_tensors else _OF_FOLDERS
    with showing_progress(quiet) as progress:
        return compute_stats(images, [_distance_info(preprocess), _score_info(preprocess)], progress=progress)


def notes_of(stats: Stats) -> tuple[str, ...]:
    """What a reader of a number from statistics that were made here must know."""
    unofficial = [name for name, record in stats.extractors.items() if record.official is False]
    return (
        *(f"'{stats.name}': {text}" for text in stats.side.notes),
        *(f"the weights of {name!r} are not the published ones" for name in unofficial),
    )


def score_of(stats: Stats) -> tuple[float, float]:
    """The Inception Score over 10 splits, its mean and spread; images of folders are permuted with the seed."""
    need, _ = moments_of(stats)
    result = TruncatedInceptionScore(_score_info(need.preprocess), Options.seed).compute(stats, None)
    return result.value, float(result.extra["std"])


def distance_of(gen: Stats, ref: Stats) -> tuple[float, tuple[str, ...]]:
    """The Fréchet distance, and what a reader of it must know.

    Raises:
        StatisticsError: if a side says that it is of another network, or both of different weights.
    """
    (gen_need, gen_moments), (ref_need, ref_moments) = moments_of(gen), moments_of(ref)
    notes: list[str] = []
    if UNKNOWN in (gen_need.extractor, ref_need.extractor):
        unnamed = " and ".join(f"'{side.name}'" for side in (gen, ref) if moments_of(side)[0].extractor == UNKNOWN)
        notes.append(f"{unnamed}: the file does not say which network it is of; that the sides compare is not checked")
    both = {need.extractor for need in (gen_need, ref_need)} - {UNKNOWN}
    if both & {EXTRACTOR} or len(both) > 1:
        for side in (gen, ref):
            check_network(side)
    if gen_moments.width != ref_moments.width:
        raise StatisticsError(
            f"'{gen.name}' is of {gen_moments.width} features and '{ref.name}' of {ref_moments.width}; expected two "
            "sets of one network"
        )
    _check_weights(*(_weights_of(side) for side in (gen, ref)))
    if len({need.preprocess for need in (gen_need, ref_need)} - {UNKNOWN}) > 1:
        notes.append(
            f"the images were resized by {gen_need.preprocess} on one side and by {ref_need.preprocess} on the other, "
            "so that part of the distance is that of two resizers; the original mixes them too"
        )
    return frechet_distance(gen_moments, ref_moments), (*notes, *few_samples(gen_moments, ref_moments))


def _distance_info(preprocess: str) -> MetricInfo:
    return replace(
        METRICS.get("fid"), id=f"fd.{EXTRACTOR}", extractor=EXTRACTOR, feature="2048", preprocess=preprocess, equals=""
    )


def _score_info(preprocess: str) -> MetricInfo:
    """CIFAR-10 is scored in its order, as ``ScoreModel`` scores datasets."""
    shuffle = int(preprocess == _OF_FOLDERS)
    return replace(
        METRICS.get("isc"),
        id=f"isc_equal_splits.{EXTRACTOR}",
        target=f"{TruncatedInceptionScore.__module__}:{TruncatedInceptionScore.__name__}",
        extractor=EXTRACTOR,
        feature="logits",
        preprocess=preprocess,
        estimator=f"equal-splits{_NUM_SPLITS}",
        equals="",
        settings=(("num_splits", _NUM_SPLITS), ("shuffle", shuffle)),
    )


def _weights_of(stats: Stats) -> tuple[str, str | None]:
    """What statistics are found by, and the sha256 of the weights that they say they were made with."""
    need, _ = moments_of(stats)
    record = stats.extractors.get(need.extractor)
    return f"'{stats.name}'", None if record is None else record.weights_sha256


def _check_weights(one: tuple[str, str | None], other: tuple[str, str | None]) -> None:
    if one[1] is not None and other[1] is not None and one[1] != other[1]:
        raise StatisticsError(
            f"{one[0]} and {other[0]} have different weights of {EXTRACTOR!r} (sha256 {one[1][:12]}… and "
            f"{other[1][:12]}…); the number would mean nothing. Make the statistics again with the same"
        )
