"""The statistics of one image set: check what is asked of it, then read it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from genmetrics.accumulators.build import CAPTIONS, NO_FEATURES
from genmetrics.accumulators.feature_bank import FeatureBank
from genmetrics.engine.error_bars import error_needs_of
from genmetrics.engine.networks import Networks
from genmetrics.engine.options import Options
from genmetrics.engine.plan import Plan, make_plan
from genmetrics.engine.prepare import bind_side, prepare_side
from genmetrics.engine.sides import Side, SourceLike, open_side
from genmetrics.errors import UsageError
from genmetrics.sources.base import ImageSource
from genmetrics.stats.stats import Stats
from genmetrics.types import MetricsLike, Progress

__all__ = ["OpenedSet", "iter_compute_stats", "iter_stats_of", "open_for_stats"]


def iter_compute_stats(source: SourceLike, metrics: MetricsLike, options: Options) -> Generator[Progress, None, Stats]:
    """``compute_stats`` as a generator of progress records that returns the statistics."""
    return (yield from iter_stats_of(open_for_stats(source, metrics, options), options))


@dataclass(frozen=True)
class OpenedSet:
    """An image set whose statistics are wanted, and the networks for them.

    Attributes:
        plan: the metrics that will be asked for.
        source: the images.
        networks: the extractors, made when they are first used.
    """

    plan: Plan
    source: ImageSource
    networks: Networks


def open_for_stats(source: SourceLike, metrics: MetricsLike, options: Options) -> OpenedSet:
    """Check what is asked of a set and open it; no image is read yet.

    Raises:
        UsageError: if a metric cannot be met by statistics, or the source is statistics already.
    """
    plan = make_plan(metrics, options.extractor, options.seed, True, options.crop)
    whole = [need for need in plan.all_needs if need.accumulator in NO_FEATURES]
    if whole and options.shard.count > 1:
        raise UsageError(
            f"metric {plan.asking_for(whole[0])!r} draws from a set as a whole, of which '--shard' reads a share; "
            "leave the metric out here and ask for it of all images"
        )
    captioned = [need for need in plan.all_needs if need.accumulator == CAPTIONS]
    if captioned:
        raise UsageError(
            f"metric {plan.asking_for(captioned[0])!r} is of images and their captions, which statistics do not keep; "
            "leave it out here and ask for it of the images: genmetrics eval GEN --captions FILE"
        )
    side = open_side(source, "ref", options)
    if side.source is None:
        raise UsageError("the source is statistics already; give the images themselves")
    return OpenedSet(
        plan, side.source, Networks(list(dict.fromkeys(need.extractor for need in plan.all_needs)), options)
    )


def iter_stats_of(opened: OpenedSet, options: Options) -> Generator[Progress, None, Stats]:
    """The statistics of the share of an open set that the options name."""
    plan, networks = opened.plan, opened.networks
    # Of a file that holds statistics beside its images, the images were asked for.
    images = Side(source=opened.source)
    needs = (*plan.all_needs, *error_needs_of(plan, images, options, options.num))
    bound = bind_side(images, "ref", needs, plan, options)
    prepared = prepare_side(
        images,
        "ref",
        needs,
        bound,
        networks,
        options,
        num=options.num,
        keep_logits=True,
        labels_for=plan.labels_for,
    )
    stats = yield from prepared.complete({})
    for held in stats.accumulators.values():
        if isinstance(held, FeatureBank):
            held.collect()  # whoever gets the statistics may save them, in one of the processes alone
    return stats
