"""The steps of a run, as generators of progress records: check everything, read both sides, compute the metrics."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from genmetrics import distributed
from genmetrics.engine.image_pass import read_source, select
from genmetrics.engine.networks import Networks, load_networks
from genmetrics.engine.options import Options
from genmetrics.engine.plan import Plan, make_plan
from genmetrics.errors import StatisticsError, UsageError
from genmetrics.report.report import Report
from genmetrics.sources.base import ImageSource
from genmetrics.sources.parse import open_source
from genmetrics.stats.stats import Stats
from genmetrics.types import ExtractorRecord, MetricResult, Need, Progress
from genmetrics.versions import versions

__all__ = [
    "SourceLike",
    "build_report",
    "check_sides",
    "iter_compute_stats",
    "iter_evaluate",
    "open_side",
    "side_statistics",
]

#: A path or prefixed string, a sequence of paths, an (n, 3, h, w) uint8 tensor, an (n, h, w, 3) uint8 array, or
#: an ``ImageSource``.
SourceLike = Any


def iter_evaluate(
    gen: SourceLike | Stats,
    ref: SourceLike | Stats | None,
    metrics: Sequence[str] | str | None,
    options: Options,
) -> Generator[Progress, None, Report]:
    """``evaluate`` as a generator of progress records that returns the report.

    Names, options, sources, devices and weights are checked, in this order, before the first image is read.
    """
    started = time.perf_counter()
    plan = make_plan(metrics, options.extractor, options.seed, ref is not None)
    gen_set, ref_set = open_side(gen), None if ref is None or not plan.ref_needs else open_side(ref)
    if isinstance(gen_set, Stats) and options.num is not None:
        raise UsageError("'--num' chooses images, and the generated side is given as statistics; leave it out")
    needs = [] if isinstance(gen_set, Stats) else list(plan.gen_needs)
    if isinstance(ref_set, ImageSource):
        needs += plan.ref_needs
    networks = load_networks(needs, options)
    check_sides(plan, gen_set, ref_set, networks)
    seconds: dict[str, float] = {}

    ref_stats = None
    if ref_set is not None:
        ref_stats = yield from side_statistics(ref_set, plan.ref_needs, networks, options, "ref", seconds)
    gen_stats = yield from side_statistics(gen_set, plan.gen_needs, networks, options, "gen", seconds)
    return (yield from build_report(plan, gen_stats, ref_stats, networks, options, seconds, started))


def iter_compute_stats(
    source: SourceLike, metrics: Sequence[str] | str, options: Options
) -> Generator[Progress, None, Stats]:
    """``compute_stats`` as a generator of progress records that returns the statistics."""
    plan = make_plan(metrics, options.extractor, options.seed, has_reference=True)
    opened = open_side(source)
    if isinstance(opened, Stats):
        raise UsageError("the source is statistics already; give the images themselves")
    networks = load_networks(plan.gen_needs, options)
    selection = select(len(opened), options.num, options.seed)
    return (yield from read_source(opened, plan.gen_needs, networks, options, "ref", selection))


def build_report(
    plan: Plan,
    gen: Stats,
    ref: Stats | None,
    networks: Networks,
    options: Options,
    seconds: dict[str, float],
    started: float,
) -> Generator[Progress, None, Report]:
    """Compute the metrics of two finished sets and write down how they came about."""
    began = time.perf_counter()
    extractors = {**(ref.extractors if ref else {}), **gen.extractors}
    results: dict[str, MetricResult] = {}
    for done, metric in enumerate(plan.metrics):
        yield Progress("metrics", done, len(plan.metrics), metric.id)
        result = metric.compute(gen, None if metric.unary else ref)
        _check_finite(result)
        results[result.id] = _with_provenance(result, extractors[result.protocol.extractor])
    yield Progress("metrics", len(plan.metrics), len(plan.metrics), "done")
    now = time.perf_counter()
    seconds = {**seconds, "metrics": now - began, "total": now - started}
    used = {need.extractor for need in plan.gen_needs}
    return Report(
        metrics=results,
        gen=gen.side,
        ref=None if ref is None else ref.side,
        extractors={name: record for name, record in extractors.items() if name in used},
        versions=versions(),
        device=str(networks.device),
        num_processes=distributed.current_shard().count,
        seed=options.seed,
        seconds=seconds,
    )


def check_sides(
    plan: Plan, gen: ImageSource | Stats | None, ref: ImageSource | Stats | None, networks: Networks
) -> None:
    """Refuse, before any image is read, statistics that lack something or come from unlike networks.

    Args:
        plan: the metrics and their needs.
        gen: the generated side; what is no ``Stats`` will go through the networks.
        ref: the reference side, likewise.
        networks: the extractors of the run.

    Raises:
        StatisticsError: naming what is missing, or the field that differs.
    """
    records: list[Mapping[str, ExtractorRecord]] = []
    for side, needs in ((gen, plan.gen_needs), (ref, plan.ref_needs)):
        if isinstance(side, Stats):
            for need in needs:
                side.get(need)
        records.append(side.extractors if isinstance(side, Stats) else networks.records(needs))
    for name in dict.fromkeys(need.extractor for need in plan.ref_needs):
        ours, theirs = (of_side[name] for of_side in records)
        for field in ("weights_sha256", "precision"):
            if getattr(ours, field) != getattr(theirs, field):
                raise StatisticsError(
                    f"the two sides have different {field} of {name!r} (generated {getattr(ours, field)}, reference "
                    f"{getattr(theirs, field)}); the number would mean nothing. Compute both with the same"
                )


def open_side(source: SourceLike | Stats) -> ImageSource | Stats:
    """A side's statistics as they are, or its images, found but not read."""
    return source if isinstance(source, Stats) else open_source(source)


def side_statistics(
    given: ImageSource | Stats,
    needs: Sequence[Need],
    networks: Networks,
    options: Options,
    stage: Literal["gen", "ref"],
    seconds: dict[str, float],
) -> Generator[Progress, None, Stats]:
    """A side's statistics: as they are, or read from its images."""
    if isinstance(given, Stats):
        return given
    began = time.perf_counter()
    selection = select(len(given), options.num, options.seed) if stage == "gen" else None
    stats = yield from read_source(given, needs, networks, options, stage, selection)
    seconds[stage] = time.perf_counter() - began
    return stats


def _check_finite(result: MetricResult) -> None:
    for name, figure in {"value": result.value, **result.extra}.items():
        if not math.isfinite(figure):
            raise StatisticsError(
                f"metric {result.id!r} came out as {name} = {figure}, which is no result; look at the images and the "
                "features of both sides"
            )


def _with_provenance(result: MetricResult, record: ExtractorRecord) -> MetricResult:
    warnings = list(result.warnings)
    name = result.protocol.extractor
    if record.weights_sha256 is not None and not record.official:
        warnings.append(
            f"the weights of {name!r} are not the published ones (sha256 {record.weights_sha256[:12]}…): the number "
            "does not compare with published ones"
        )
    if record.precision not in (None, "exact"):
        warnings.append(f"the network ran in {record.precision}, which published numbers did not")
    protocol = replace(result.protocol, precision=record.precision or "exact")
    return replace(result, protocol=protocol, warnings=tuple(warnings))
