"""A set of images against statistics, as ``tools.fid`` does it: everything is checked before an image is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from genmetrics.compat.vq.protocol import CROP, CROPPED, INCEPTION, METRIC
from genmetrics.engine.binding import bind
from genmetrics.engine.comparable import check_comparable
from genmetrics.engine.evaluate import compute_stats, evaluate
from genmetrics.engine.networks import Networks
from genmetrics.engine.options import Options
from genmetrics.engine.plan import make_plan
from genmetrics.report.report import Report
from genmetrics.sources.base import ImageSource
from genmetrics.stats.stats import Stats
from genmetrics.types import MetricResult, Progress

__all__ = ["measure"]


def measure(
    source: ImageSource, ref: Stats, given: dict[str, Any], progress: Callable[[Progress], None]
) -> tuple[MetricResult, Report, Stats]:
    """The FID of images, and their statistics.

    Args:
        source: the generated images.
        ref: what they are compared with; see ``load_statistics``.
        given: how images are read and the network computes; see ``settings``.
        progress: called with each progress record.

    Raises:
        GenmetricsError: if the two cannot be compared, or images cannot be read.
    """
    _check(ref, given)
    # For people it is not the reference that is read here.
    stats = compute_stats(source, [METRIC], **given, progress=lambda record: progress(replace(record, stage="gen")))
    report = evaluate(stats, ref, [METRIC], **given, cache=False, error_bars="off", progress=progress)
    (result,) = report.metrics.values()
    return result, report, stats


def _check(ref: Stats, given: dict[str, Any]) -> None:
    """What ``evaluate`` would refuse only after the images were read.

    Raises:
        StatisticsError: if the reference is of another network, crop, precision or weights.
    """
    plan = make_plan([METRIC], None, Options.seed, True, CROP)
    bound = bind(ref, plan.ref_needs, plan, force=False, can_compute=False, side="reference")
    assert bound.stats is not None
    weights = {} if given["weights"] is None else {INCEPTION: given["weights"]}
    options = Options(device=given["device"], precision=given["precision"], weights=weights, crop=given["crop"])
    networks = Networks([INCEPTION], options)
    (need,) = plan.ref_needs
    assert need.preprocess == CROPPED
    check_comparable(plan, {need: networks.record(need)}, {need: bound.stats.extractors[INCEPTION]}, force=False)
