"""Where everything that a side of a run needs comes from: given, kept from earlier, or computed from its images."""

from __future__ import annotations

import time
from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from genmetrics import distributed
from genmetrics.accumulators.base import Accumulator
from genmetrics.accumulators.build import CAPTIONS
from genmetrics.engine.binding import Bound, bind
from genmetrics.engine.captions import NO_CAPTIONS
from genmetrics.engine.checkpoints import Checkpoints
from genmetrics.engine.chosen import Chosen, choose, part_of_set, set_identity
from genmetrics.engine.image_pass import read_source
from genmetrics.engine.networks import Networks
from genmetrics.engine.options import Options
from genmetrics.engine.paths import check_paths
from genmetrics.engine.plan import Plan
from genmetrics.engine.remember import Memory
from genmetrics.engine.resuming import open_checkpoints
from genmetrics.engine.seen import Seen, after, before
from genmetrics.engine.sides import Side
from genmetrics.engine.thumbnails import Thumbnail, thumbnails
from genmetrics.errors import StatisticsError, UsageError
from genmetrics.sources.base import ImageSource
from genmetrics.stats.stats import Stats
from genmetrics.types import ExtractorRecord, Need, Progress, SideRecord, Stage, joined_backends

__all__ = ["PreparedSide", "bind_side", "joined_record", "prepare_side"]

_SIDES: Mapping[Stage, str] = {"gen": "generated", "ref": "reference"}


@dataclass(frozen=True)
class _Images:
    """What comes from the images of a side.

    Attributes:
        source: the images.
        chosen: those that are used.
        memory: what was kept of them.
        recalled: statistics that were kept from earlier, by need.
        missing: what is left to compute.
        identity: what the shards of the set are known by; None if nobody will merge it, or it cannot be told.
        keep_logits: whether logits are kept in place of their sums.
        checkpoints: where reading goes on from, if the run can be resumed.
    """

    source: ImageSource
    chosen: Chosen
    memory: Memory
    recalled: Mapping[Need, Stats]
    missing: tuple[Need, ...]
    identity: str | None
    keep_logits: bool
    checkpoints: Checkpoints | None


@dataclass(frozen=True)
class PreparedSide:
    """A side of which it is known where everything comes from.

    Attributes:
        stage: which side it is.
        records: the network behind each need of the side.
        cautions: what a reader must know of numbers from this side, by need.
    """

    stage: Stage
    records: Mapping[Need, ExtractorRecord]
    cautions: Mapping[Need, tuple[str, ...]]
    _given: Stats | None
    _images: _Images | None
    _networks: Networks = field(repr=False)
    _options: Options = field(repr=False)
    _labels_for: str = ""

    @property
    def reused(self) -> bool:
        """Whether anything was kept from an earlier run."""
        return self._images is not None and bool(self._images.recalled)

    @property
    def extractors_to_run(self) -> tuple[str, ...]:
        """The networks that images have to go through."""
        missing = self._images.missing if self._images is not None else ()
        return tuple(dict.fromkeys(need.extractor for need in missing))

    @property
    def num_images(self) -> int | None:
        """How many images the side has at most; None if that is not known."""
        if self._images is not None:
            return self._images.chosen.count
        return None if self._given is None else self._given.num_samples

    def names(self) -> Sequence[str] | None:
        """What a person finds the images by, by index; None where that is not known."""
        if self._images is None:
            return None
        names, positions = self._images.source.names(), self._images.chosen.positions
        return names if names is None or positions is None else [names[position] for position in positions]

    def thumbnails(self, indices: Collection[int]) -> Mapping[int, Thumbnail]:
        """Small versions of some of the images, by index; none where they cannot be read again."""
        if self._images is None:
            return {}
        return thumbnails(self._images.source, self._images.chosen, indices, self._options)

    def seen(self) -> Seen:
        """What is known of the images before any is read in this run."""
        if self._images is not None:
            return before(self._images.source, self._images.chosen)
        assert self._given is not None
        return after(self._given)

    def complete(self, seconds: dict[str, float]) -> Generator[Progress, None, Stats]:
        """Compute what is missing, and give back all of the side's statistics.

        Args:
            seconds: gets the time that reading took, under the name of the stage.
        """
        if self._images is None:
            assert self._given is not None
            return self._given
        found = list(self._images.recalled.values())
        if self._images.missing:
            began = time.perf_counter()
            count = self._images.chosen.count
            computed = yield from distributed.over_ranks(
                read_source(
                    self._images.source,
                    self._images.missing,
                    self._networks,
                    self._options,
                    self.stage,
                    self._images.chosen,
                    keep_logits=self._images.keep_logits,
                    captions=self._options.captions,
                    labels_for=self._labels_for,
                    checkpoints=self._images.checkpoints,
                ),
                None if count is None else len(self._options.shard.range(count)),
            )
            seconds[self.stage] = time.perf_counter() - began
            self._images.memory.keep(computed, self._images.missing)
            found.append(computed)
        # Of the images all say the same, but the run that read them last says it of all that was read in it.
        images = found[-1]
        if images.side.digest is not None:  # it is None where no image was read, only steps of a generator were made
            part = part_of_set(images.side, self._images.chosen, self._options.shard, self._images.identity)
            images = images.with_side(replace(images.side, parts=(part,)))
        return _combined(self._given, [*found[:-1], images], self._options.seed)


def bind_side(side: Side, stage: Stage, needs: Sequence[Need], plan: Plan, options: Options) -> Bound:
    """What given statistics meet of a side's needs, and what is left for its images.

    Raises:
        StatisticsError: if given statistics lack something, or are of something else.
        UsageError: if the images are of no generator where one is needed, or captions are missing.
    """
    can_compute = side.source is not None
    if side.stats is None:
        bound = Bound(None, tuple(needs), {})
    else:
        bound = bind(side.stats, needs, plan, force=options.force, can_compute=can_compute, side=_SIDES[stage])
    if side.source is not None:
        check_paths(side.source, bound.missing)
        if options.captions is None and any(need.accumulator == CAPTIONS for need in bound.missing):
            raise UsageError(NO_CAPTIONS)
    return bound


def prepare_side(
    side: Side,
    stage: Stage,
    needs: Sequence[Need],
    bound: Bound,
    networks: Networks,
    options: Options,
    *,
    num: int | None = None,
    keep_logits: bool = False,
    labels_for: str = "",
) -> PreparedSide:
    """Find out where everything that a side needs comes from; nothing is read yet.

    Args:
        side: what was given.
        stage: which side it is.
        needs: what the metrics need of it.
        bound: what given statistics meet of that.
        networks: the extractors of the run.
        options: how images are read.
        num: how many of the images are used; None for all.
        keep_logits: keep class logits in place of their sums; see ``read_source``.
        labels_for: the metric that needs the images' classes; empty if none does.

    Raises:
        UsageError: if there are fewer images than asked for.
        StatisticsError: if given statistics have no classes and a metric needs them.
    """
    if labels_for and side.source is None and side.stats is not None and side.stats.labels is None:
        raise StatisticsError(
            f"metric {labels_for!r} is of single classes, and '{side.stats.name}' was made of images without any; "
            "build it again with '--labels', such as --labels folders"
        )
    if side.stats is not None:
        given = f"{side.stats.num_samples} images of digest {side.stats.side.digest}"
        distributed.agree({f"the {_SIDES[stage]} statistics": given})
    images = None
    if side.source is not None and bound.missing:
        chosen = choose(side.source, num, options.seed)
        distributed.agree(_set_as_seen(side.source, chosen, stage))
        memory = Memory(side.source, networks, options, chosen.positions, keep_logits)
        recalled = memory.recall(bound.missing)
        if options.resume is not None and len(recalled) < len(bound.missing):
            recalled = {}  # what is kept of a set may be more today than yesterday, and a checkpoint is of all or none
        missing = tuple(need for need in bound.missing if need not in recalled)
        # Only statistics that are given away are ever merged.
        identity = set_identity(side.source, chosen, options.shard) if keep_logits else None
        checkpoints = None
        if options.resume is not None and missing:
            checkpoints = open_checkpoints(
                options.resume, stage, side.source, chosen, missing, networks, options, keep_logits
            )
        images = _Images(side.source, chosen, memory, recalled, missing, identity, keep_logits, checkpoints)
    records = {need: networks.record(need) for need in bound.missing}
    distributed.agree({f"extractor {need.extractor}": _as_run(record) for need, record in records.items()})
    if bound.stats is not None:
        records |= {need: bound.stats.extractors[need.extractor] for need in needs if need not in records}
    return PreparedSide(stage, records, bound.cautions, bound.stats, images, networks, options, labels_for)


def _set_as_seen(source: ImageSource, chosen: Chosen, stage: Stage) -> dict[str, str]:
    """What all ranks must find alike in a set of which each reads a share."""
    if distributed.current_shard().count == 1:
        return {}
    whose = f"of the {_SIDES[stage]} images"
    # A copy in another place is as good.
    return {
        f"the kind {whose}": source.kind,
        f"the number {whose}": str(chosen.count),
        f"the digest of the names and contents {whose}": str(source.identity()),
    }


def _as_run(record: ExtractorRecord) -> str:
    """A network as far as its features depend on it."""
    return f"weights {record.weights_sha256} at {record.precision} on {record.backend}"


def _combined(given: Stats | None, found: Sequence[Stats], seed: int) -> Stats:
    """One set of statistics of the same images that were computed in several runs, and of those of a file."""
    images = found[-1]
    accumulators: dict[Need, Accumulator] = {}
    extractors: dict[str, ExtractorRecord] = {}
    for stats in (*found, *(() if given is None else (given,))):
        accumulators |= {need: held for need, held in stats.accumulators.items() if need not in accumulators}
        for name, record in stats.extractors.items():
            extractors[name] = joined_record([extractors[name], record] if name in extractors else [record])
    side = images.side if given is None else _mixed_side(given, images)
    return Stats(
        accumulators, side, extractors, seed, images.labels, images.class_names, images.versions, keys=images.keys
    )


def joined_record(records: Sequence[ExtractorRecord]) -> ExtractorRecord:
    """One record of a network, with what the first of several says that says it."""

    def first(field: str) -> Any:
        return next((getattr(record, field) for record in records if getattr(record, field) is not None), None)

    preprocess: dict[str, Mapping[str, object]] = {}
    for record in records:
        preprocess |= {key: spec for key, spec in record.preprocess.items() if not preprocess.get(key)}
    backends = joined_backends(records)
    return ExtractorRecord(first("weights_sha256"), first("official"), first("precision"), preprocess, backends)


def _mixed_side(given: Stats, images: Stats) -> SideRecord:
    """The record of a file that holds statistics of one set and images of another."""
    held = given.holdings()
    computed = ", ".join(sorted({need.accumulator.replace("_", " ") for need in images.accumulators}))
    note = (
        f"'{given.name}' holds {held}, which were used as they are; the rest ({computed}) was computed from its "
        f"{images.num_samples} images, which need not be the images that those are of"
    )
    notes = (*given.side.notes, note, *images.side.notes)
    return replace(images.side, source=given.name, kind=given.side.kind, notes=notes, stats_file=given.side.stats_file)
