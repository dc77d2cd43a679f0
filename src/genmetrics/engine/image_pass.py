"""One pass over an image source: read each image once, fill everything that is needed, merge over ranks."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace

import torch

from genmetrics import distributed
from genmetrics.accumulators.base import Accumulator
from genmetrics.accumulators.build import CAPTIONS, PATHS
from genmetrics.accumulators.composition import Composition
from genmetrics.accumulators.content import ContentDigest
from genmetrics.engine.captions import NO_CAPTIONS
from genmetrics.engine.checkpoints import Checkpoints
from genmetrics.engine.chosen import Chosen, selection_note
from genmetrics.engine.feeders import make_feeders
from genmetrics.engine.networks import Networks
from genmetrics.engine.options import Options
from genmetrics.engine.paths import read_paths
from genmetrics.engine.reading import Gathered, Reading
from genmetrics.errors import GenmetricsWarning, SourceError, UsageError
from genmetrics.sources.base import BatchSpec, ImageSource
from genmetrics.sources.captions import CaptionsLike, captions_of
from genmetrics.sources.device_decode import DeviceDecoder, NvJpeg
from genmetrics.sources.loader import default_workers
from genmetrics.stats.stats import Stats
from genmetrics.types import Need, Progress, Shard, SideRecord, SkippedImage, Stage

__all__ = ["SEGMENT_BATCHES", "device_decoder", "read_source", "skipped_note", "transparency_note"]

#: So many batches are a segment, at whose end a checkpoint may be: far more than what is lost by waiting there.
SEGMENT_BATCHES = 32


@dataclass(frozen=True)
class _Told:
    """What a rank tells the others of its share, all in one."""

    content: ContentDigest
    composition: Composition
    skipped: tuple[SkippedImage, ...]
    transparent: int
    by_device: int
    notes: tuple[str, ...]


_NOT_PILLOWS = (
    "whose pixels are not bit for bit Pillow's, on which the published protocols rest; compare only with numbers made "
    "the same way, or leave '--decode gpu' out"
)


def device_decoder(options: Options, device: torch.device) -> DeviceDecoder | None:
    """What decodes JPEG files in Pillow's place, if the options ask for it; on the run's device if that is a GPU."""
    if options.decode == "pillow":
        return None
    return NvJpeg(device if device.type == "cuda" else torch.device("cuda"))


def read_source(
    source: ImageSource,
    needs: Iterable[Need],
    networks: Networks,
    options: Options,
    stage: Stage,
    chosen: Chosen,
    *,
    keep_logits: bool = False,
    captions: CaptionsLike | None = None,
    labels_for: str = "",
    checkpoints: Checkpoints | None = None,
) -> Generator[Progress, None, Stats]:
    """Read a source once and return its statistics, the same on every rank.

    Args:
        source: where the images come from.
        needs: what is to be filled.
        networks: the extractors that the needs name.
        options: how images are read.
        stage: which side this is, for the progress records.
        chosen: the images to use.
        keep_logits: keep class logits in place of their sums, so that any splits can be made of them later and
            the statistics merge with those of other sets.
        captions: what each image is said to show, for the needs that ask for it.
        labels_for: the metric that needs the images' classes; empty if none does.
        checkpoints: where to go on from, and what to write on the way; None for neither.

    Raises:
        BadImageError: at images that cannot be read, if the options say so.
        SourceError: if the container is damaged, or no image is left.
    """
    needs = tuple(needs)
    texts = _captions(source, needs, captions, chosen)
    count = chosen.count
    total = count if options.on_bad_image == "error" and not keep_logits else None
    workers = default_workers() if options.workers is None else options.workers
    batch_size = options.batch_size_on(networks.device)
    spec = BatchSpec(
        batch_size,
        workers,
        options.alpha,
        options.on_bad_image,
        chosen.positions,
        options.crop,
        device_decoder(options, networks.device),
    )
    shard = _share(options.shard)
    expected = None if count is None else len(shard.range(count))
    message = source.description
    # Steps of a generator are made in a pass of their own.
    with ExitStack() as ending:
        gathered = Gathered() if checkpoints is None else ending.enter_context(checkpoints.opened())
        if checkpoints is not None:
            spec = replace(spec, segment=SEGMENT_BATCHES * batch_size, after=gathered.finished)
        feeders = make_feeders(needs, networks, batch_size, total, texts, gathered.accumulators)
        reading = Reading(feeders, gathered, _missing_labels(labels_for, message) if labels_for else "")
        yield Progress(stage, reading.num_through, expected, message)
        batches = source.batches(shard, spec) if feeders and not gathered.complete else ()
        # In this order: batches in a network end before what decodes, which holds threads and the container open.
        if isinstance(batches, Generator):
            ending.enter_context(closing(batches))
        for feeder in feeders:
            ending.callback(feeder.close)
        for batch in batches:
            reading.take(batch)
            if checkpoints is not None and batch.finished is not None:
                checkpoints.reached(reading, batch.finished)
            yield Progress(stage, reading.num_through, expected, message)
        if checkpoints is not None and not gathered.complete:
            checkpoints.end(reading, expected, source.notes)
        # Others may still read, and what they have read is passed on; finishing is done by all together.
        for _ in distributed.until_all_are_here(f"the end of the {stage} images"):
            yield Progress(stage, reading.num_through, expected, message)
        for feeder in feeders:
            feeder.finish()
    done = reading.num_through
    yield Progress(stage, done, done if expected is None else expected, message)
    filled = {need: held for feeder in feeders for need, held in feeder.accumulators.items()}
    of_paths = [need for need in needs if need.accumulator == PATHS]
    if of_paths:
        steps = read_paths(source, of_paths, networks, chosen.count or 0, shard, batch_size)
        filled |= yield from _path_progress(steps, stage)
    for _ in distributed.until_all_are_here(f"the merge of the {stage} images"):
        yield Progress(stage, done, done if expected is None else expected, message)
    accumulators = {need: distributed.merge_over_ranks(filled[need]) for need in needs}
    labels = distributed.merge_over_ranks(gathered.labels)
    keys = distributed.merge_over_ranks(gathered.keys)
    # Some sources know only after a pass what to tell of it, and each rank only of its share.
    of_source = gathered.source_notes if gathered.complete else source.notes
    known = (*of_source, *(note for feeder in feeders for note in feeder.notes))
    shares = distributed.gather(
        _Told(
            gathered.content,
            gathered.composition,
            tuple(gathered.skipped),
            gathered.num_transparent,
            gathered.num_by_device,
            known,
        )
    )
    content, composition = shares[0].content, shares[0].composition
    for share in shares[1:]:
        content, composition = content.merge(share.content), composition.merge(share.composition)
    all_skipped = tuple(image for share in shares for image in share.skipped)
    transparent, by_device = sum(share.transparent for share in shares), sum(share.by_device for share in shares)
    if feeders:
        _check_complete(source, chosen, options.shard, content.num_samples, len(all_skipped))
    notes = list(dict.fromkeys(note for share in shares for note in share.notes))
    if transparent:
        notes.append(transparency_note(transparent, content.num_samples, options))
        if options.alpha == "drop":
            warnings.warn(f"'{message}': {notes[-1]}", GenmetricsWarning, stacklevel=2)
    if spec.decoder is not None and by_device:
        notes.append(f"{by_device} JPEG images were decoded by {spec.decoder.name}, {_NOT_PILLOWS}")
        warnings.warn(f"'{message}': {notes[-1]}", GenmetricsWarning, stacklevel=2)
    if all_skipped:
        notes.append(skipped_note(len(all_skipped)))
    if chosen.record is not None:
        notes.append(selection_note(chosen.record))
    if 0 < labels.num_samples < content.num_samples:
        notes.append(f"only {labels.num_samples} of {content.num_samples} images have a class; classes were left out")
    side = SideRecord(
        source.description,
        source.kind,
        content.num_samples if feeders else count,
        content.hexdigest() if feeders else None,
        all_skipped,
        tuple(notes),
        chosen.record,
        alpha=options.alpha,
        num_transparent=transparent,
        num_by_device=by_device,
        formats=composition.formats if feeders else None,
        sizes=composition.sizes if feeders else None,
    )
    complete = labels if feeders and labels.num_samples == content.num_samples else None
    return Stats(
        accumulators,
        side,
        networks.records(needs),
        options.seed,
        complete,
        source.class_names,
        keys=keys if feeders and keys.complete else None,
    )


def _missing_labels(metric: str, name: str) -> str:
    """What to say where a metric of classes is asked for and a set has none."""
    return (
        f"metric {metric!r} is of single classes, and the images of '{name}' have none; say where they come from with "
        "'--labels', such as --labels folders or a .csv file"
    )


def _captions(
    source: ImageSource, needs: Iterable[Need], captions: CaptionsLike | None, chosen: Chosen
) -> dict[int, str]:
    """The captions by the index of their image; none if nobody asks."""
    if not any(need.accumulator == CAPTIONS for need in needs):
        return {}
    if captions is None:
        raise UsageError(NO_CAPTIONS)
    texts = captions_of(source, captions)
    positions = range(len(texts)) if chosen.positions is None else chosen.positions
    return {index: texts[position] for index, position in enumerate(positions)}


def _path_progress(
    steps: Generator[tuple[int, int], None, dict[Need, Accumulator]], stage: Stage
) -> Generator[Progress, None, dict[Need, Accumulator]]:
    """Pass on how many steps of a generator's paths are done."""
    while True:
        try:
            yield Progress(stage, *next(steps), "steps of the generator")
        except StopIteration as finished:
            found: dict[Need, Accumulator] = finished.value
            return found


def _share(wanted: Shard) -> Shard:
    """This rank's share of the share that is read here."""
    rank = distributed.current_shard()
    return Shard(wanted.index * rank.count + rank.index, wanted.count * rank.count)


def _check_complete(source: ImageSource, chosen: Chosen, shard: Shard, done: int, skipped: int) -> None:
    wanted = done + skipped if chosen.count is None else len(shard.range(chosen.count))
    if done + skipped < wanted:
        raise SourceError(
            f"'{source.description}' gave {done + skipped} images where {wanted} were asked for; lower --num"
        )
    if done == 0 and shard.count == 1:
        raise SourceError(
            f"'{source.description}': none of its {wanted} images could be read; see the list of skipped images"
        )


def skipped_note(number: int) -> str:
    """What a person reads of images that were left out."""
    return f"{number} images could not be read and were left out"


def transparency_note(transparent: int, total: int, options: Options) -> str:
    """What a person reads of images with transparency."""
    if options.alpha == "drop":
        done = (
            "was dropped, and the colours hidden behind it count, as in the published protocols; "
            "'--alpha white' or 'black' composites instead"
        )
    else:
        done = f"was composited on {options.alpha}"
    return f"{transparent} of {total} images have transparency, which {done}"
