"""One pass over an image source: read each image once, fill everything that is needed, merge over ranks."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterable
from typing import Literal

import numpy as np

from genmetrics import distributed
from genmetrics.accumulators.content import ContentDigest
from genmetrics.engine.features import FeatureFeeder
from genmetrics.engine.networks import Networks
from genmetrics.engine.options import Options
from genmetrics.errors import GenmetricsWarning, SourceError, UsageError
from genmetrics.sources.base import BatchSpec, ImageSource
from genmetrics.sources.loader import default_workers
from genmetrics.stats.stats import Stats
from genmetrics.types import Need, Progress, SideRecord, SkippedImage

__all__ = ["read_source", "select"]


def select(total: int, num: int | None, seed: int) -> tuple[int, ...] | None:
    """The positions of ``num`` of ``total`` images, drawn with the seed, ascending; None for all of them.

    Raises:
        UsageError: if there are fewer images than asked for.
    """
    if num is None or num == total:
        return None
    if num > total:
        raise UsageError(f"{num} images were asked for, and the generated set has {total}; lower --num")
    chosen = np.random.default_rng(seed).choice(total, num, replace=False)
    return tuple(int(position) for position in np.sort(chosen))


def read_source(
    source: ImageSource,
    needs: Iterable[Need],
    networks: Networks,
    options: Options,
    stage: Literal["gen", "ref"],
    selection: tuple[int, ...] | None = None,
) -> Generator[Progress, None, Stats]:
    """Read a source once and return its statistics, the same on every rank.

    Args:
        source: where the images come from.
        needs: what is to be filled.
        networks: the extractors that the needs name.
        options: how images are read.
        stage: which side this is, for the progress records.
        selection: positions of the images to use; None uses all.

    Raises:
        BadImageError: at images that cannot be read, if the options say so.
        SourceError: if the container is damaged, or no image is left.
    """
    needs = tuple(needs)
    count = len(source) if selection is None else len(selection)
    total = count if options.on_bad_image == "error" else None
    workers = default_workers() if options.workers is None else options.workers
    spec = BatchSpec(options.batch_size, workers, options.alpha, options.on_bad_image, selection)
    shard = distributed.current_shard()
    expected = len(shard.range(count))
    feeder = FeatureFeeder(needs, networks, options.batch_size, total)
    content = ContentDigest()
    skipped: list[SkippedImage] = []
    transparent = 0
    message = source.description
    yield Progress(stage, 0, expected, message)
    for batch in source.batches(shard, spec):
        feeder.add(batch.images, batch.indices)
        content.update(batch.images, batch.indices)
        skipped.extend(batch.skipped)
        transparent += batch.num_transparent
        done = content.num_samples - feeder.num_waiting + len(skipped)
        yield Progress(stage, done, expected, message)
    feeder.finish()
    yield Progress(stage, content.num_samples + len(skipped), expected, message)
    accumulators = {need: distributed.merge_over_ranks(feeder.accumulators[need]) for need in needs}
    content = distributed.merge_over_ranks(content)
    all_skipped = tuple(image for part in distributed.gather(tuple(skipped)) for image in part)
    transparent = sum(distributed.gather(transparent))
    if content.num_samples == 0:
        raise SourceError(f"'{message}': none of its {count} images could be read; see the list of skipped images")
    notes = list(source.notes)
    if transparent:
        notes.append(_transparency_note(transparent, content.num_samples, options))
        if options.alpha == "drop":
            warnings.warn(f"'{message}': {notes[-1]}", GenmetricsWarning, stacklevel=2)
    if all_skipped:
        notes.append(f"{len(all_skipped)} images could not be read and were left out")
    if selection is not None:
        notes.append(f"{count} of {len(source)} images, drawn with seed {options.seed}")
    side = SideRecord(
        source.description,
        source.kind,
        content.num_samples,
        content.hexdigest(),
        all_skipped,
        tuple(notes),
    )
    return Stats(accumulators, side, networks.records(needs), options.seed)


def _transparency_note(transparent: int, total: int, options: Options) -> str:
    if options.alpha == "drop":
        done = (
            "was dropped, and the colours hidden behind it count, as in the published protocols; "
            "'--alpha white' or 'black' composites instead"
        )
    else:
        done = f"was composited on {options.alpha}"
    return f"{transparent} of {total} images have transparency, which {done}"
