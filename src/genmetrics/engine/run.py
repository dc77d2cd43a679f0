"""The steps of a run, as generators of progress records: check everything, read both sides, compute the metrics."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Hashable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from genmetrics import distributed
from genmetrics.accumulators.build import CAPTIONS, PATHS
from genmetrics.engine.advice import advice_on
from genmetrics.engine.classes import classes_of_images
from genmetrics.engine.command import command_of
from genmetrics.engine.comparable import FORCED, check_comparable, check_weights, decode_note
from genmetrics.engine.diagnostics import with_diagnostics
from genmetrics.engine.error_bars import error_needs_of, with_error_bars
from genmetrics.engine.galleries import share_neighbours
from genmetrics.engine.identical import Names
from genmetrics.engine.networks import Networks
from genmetrics.engine.options import Options
from genmetrics.engine.plan import Plan, could_meet, make_plan
from genmetrics.engine.prepare import PreparedSide, bind_side, joined_record, prepare_side
from genmetrics.engine.provenance import with_provenance
from genmetrics.engine.seen import after
from genmetrics.engine.sides import Side, SourceLike, open_side
from genmetrics.engine.subject import asked_alone, diagnostic_needs, no_subject_note, subject_of
from genmetrics.errors import StatisticsError, UsageError
from genmetrics.extractors import EXTRACTORS
from genmetrics.metrics.base import Metric
from genmetrics.report.report import Report
from genmetrics.stats.stats import Stats
from genmetrics.types import UNKNOWN, ExtractorRecord, MetricResult, MetricsLike, Need, Progress, Stage
from genmetrics.versions import versions

__all__ = ["build_report", "iter_evaluate", "merged_cautions"]


def iter_evaluate(
    gen: SourceLike | Stats,
    ref: SourceLike | Stats | None,
    metrics: MetricsLike | None,
    options: Options,
) -> Generator[Progress, None, Report]:
    """``evaluate`` as a generator of progress records that returns the report.

    Names, options, sides, devices, weights and whether the sides compare are checked, in this order, before the
    first image is read.
    """
    started = time.perf_counter()
    plan = make_plan(metrics, options.extractor, options.seed, ref is not None, options.crop)
    _check_options(plan, options)
    gen_side = open_side(gen, "gen", options)
    ref_side = None if ref is None or not plan.ref_needs else open_side(ref, "ref", options)
    notes: tuple[str, ...] = ()
    if metrics is None:
        if options.extractor is None and (named := _named_extractor(gen_side, ref_side)) is not None:
            plan = make_plan(None, named, options.seed, ref is not None, options.crop)
        plan, notes = _what_can_be(plan, gen_side, ref_side)
    if gen_side.source is None and options.num is not None:
        raise UsageError("'--num' chooses images, and the generated side is given as statistics; leave it out")
    gen_asked = (*plan.gen_needs, *error_needs_of(plan, gen_side, options, options.num))
    ref_asked = plan.ref_needs if ref_side is None else (*plan.ref_needs, *error_needs_of(plan, ref_side, options))
    subject = subject_of(plan) if options.diagnostics and ref_side is not None else None
    gen_shown = () if subject is None else diagnostic_needs(subject, gen_side, "gen")
    ref_shown = () if subject is None or ref_side is None else diagnostic_needs(subject, ref_side, "ref")
    gen_needs = tuple(dict.fromkeys((*gen_asked, *gen_shown)))
    ref_needs = tuple(dict.fromkeys((*ref_asked, *ref_shown)))
    gen_bound = bind_side(gen_side, "gen", gen_needs, plan, options)
    ref_bound = None if ref_side is None else bind_side(ref_side, "ref", ref_needs, plan, options)
    missing = [*gen_bound.missing, *(() if ref_bound is None else ref_bound.missing)]
    networks = Networks(_extractors(missing), options, _extractors(plan.gen_needs))
    prepared = [
        prepare_side(
            gen_side, "gen", gen_needs, gen_bound, networks, options, num=options.num, labels_for=plan.labels_for
        )
    ]
    if ref_side is not None and ref_bound is not None:
        prepared.append(
            prepare_side(ref_side, "ref", ref_needs, ref_bound, networks, options, labels_for=plan.labels_for)
        )
    for side in prepared:
        check_weights(side.records, options)
    cautions = [side.cautions for side in prepared]
    if len(prepared) == 2:
        cautions.append(check_comparable(plan, prepared[0].records, prepared[1].records, force=options.force))
    counts = [side.num_images for side in prepared] + [None]
    for metric in plan.metrics:
        metric.check_sizes(counts[0], counts[1])
    # Weights that do not fit come to light before any image is read.
    for name in [name for side in prepared for name in side.extractors_to_run]:
        networks.extractor(name)

    if distributed.current_shard().index == 0:
        foreseen = advice_on(plan, prepared[0].seen(), prepared[1].seen() if len(prepared) == 2 else None)
        for number, text in enumerate(foreseen, start=1):
            yield Progress("advice", number, len(foreseen), text)
    seconds: dict[str, float] = {}
    ref_stats = None
    if len(prepared) == 2:
        ref_stats = yield from prepared[1].complete(seconds)
    gen_stats = yield from prepared[0].complete(seconds)
    notes += _alpha_note(gen_stats, ref_stats) + decode_note(
        gen_stats.side, None if ref_stats is None else ref_stats.side
    )
    if subject is not None and ref_stats is not None and subject.neighbours is not None:
        share_neighbours(subject.neighbours, gen_stats, ref_stats)
    report = yield from build_report(
        plan,
        asked_alone(gen_stats, gen_asked, gen_shown),
        None if ref_stats is None else asked_alone(ref_stats, ref_asked, ref_shown),
        networks,
        options,
        seconds,
        started,
        records=[side.records for side in prepared],
        cautions=merged_cautions(*cautions),
        notes=notes,
        reused=tuple(side.stage for side in prepared if side.reused),
        names={side.stage: side.names for side in prepared},
    )
    report = replace(report, command=command_of(gen, ref, metrics, options))
    if subject is not None and ref_stats is not None:
        yield Progress("metrics", len(report), len(report), "diagnostics")
        sides: dict[Stage, tuple[PreparedSide, Stats]] = {
            "gen": (prepared[0], gen_stats),
            "ref": (prepared[1], ref_stats),
        }
        report = with_diagnostics(report, subject, sides, options, networks.device, started)
    elif options.diagnostics:
        report = replace(report, notes=(*report.notes, no_subject_note(plan)))
    if not any(result.per_image for result in report.metrics.values()):
        return report
    return replace(report, names={side.stage: names for side in prepared if (names := side.names()) is not None})


def build_report(
    plan: Plan,
    gen: Stats,
    ref: Stats | None,
    networks: Networks,
    options: Options,
    seconds: dict[str, float],
    started: float,
    *,
    records: Sequence[Mapping[Need, ExtractorRecord]],
    cautions: Mapping[Need, tuple[str, ...]],
    notes: tuple[str, ...] = (),
    reused: tuple[Stage, ...] = (),
    names: Mapping[Stage, Names] = MappingProxyType({}),
) -> Generator[Progress, None, Report]:
    """Compute the metrics of two finished sets and write down how they came about.

    Args:
        plan: the metrics.
        gen: the generated set.
        ref: the reference set.
        networks: the extractors of the run.
        options: its settings.
        seconds: how long its stages took.
        started: when it began, as ``time.perf_counter`` tells it.
        records: of each side, the network behind each need.
        cautions: what a reader must know of a number, by what it was computed from.
        notes: what a reader must know of the run.
        reused: the sides of which something was kept from an earlier run.
        names: give what a person finds the images of each side by; asked only if there is something to say of some.
    """
    began = time.perf_counter()
    results: dict[str, MetricResult] = {}
    took: dict[str, float] = {}
    if networks.device.type == "cuda":  # Metal has no float64
        for metric in plan.metrics:
            metric.device = networks.device
    for group in _groups(plan.metrics):
        yield Progress("metrics", len(results), len(plan.metrics), ", ".join(metric.id for metric in group))
        first, started_group = group[0], time.perf_counter()
        # Metrics that are computed together are all of one set, or all of two.
        for metric, found in zip(group, first.compute_together(group, gen, None if first.unary else ref), strict=True):
            _check_finite(found)
            needs = dict.fromkeys((*metric.needs, *metric.ref_needs))
            known = tuple(dict.fromkeys(text for need in needs for text in cautions.get(need, ())))
            forced = any(text.startswith(FORCED) for text in known)
            result = replace(found, warnings=(*found.warnings, *known), protocol=replace(found.protocol, forced=forced))
            behind = [(need.extractor, of_side[need]) for of_side in records for need in needs if need in of_side]
            results[result.id] = with_provenance(result, behind)
        took |= dict.fromkeys((metric.id for metric in group), time.perf_counter() - started_group)
    results, left_out = with_error_bars(plan, results, gen, ref, options, took, started)
    advice = advice_on(plan, after(gen, names.get("gen")), None if ref is None else after(ref, names.get("ref")))
    # Of equal statistics two processors make numbers that differ in the last bits: the first rank's are the result.
    results, advice = distributed.from_first_rank(({metric.id: results[metric.id] for metric in plan.metrics}, advice))
    yield Progress("metrics", len(plan.metrics), len(plan.metrics), "done")
    now = time.perf_counter()
    seconds = {**seconds, "metrics": now - began, "total": now - started}
    used = dict.fromkeys(need.extractor for need in plan.gen_needs)
    return Report(
        metrics=results,
        gen=gen.side,
        ref=None if ref is None else ref.side,
        extractors={
            name: joined_record([side.extractors[name] for side in (gen, ref) if side and name in side.extractors])
            for name in used
        },
        versions=versions(),
        device=str(networks.device),
        num_processes=distributed.current_shard().count,
        seed=options.seed,
        seconds=seconds,
        notes=notes + left_out,
        reused=reused,
        labels=classes_of_images(gen) if any(result.per_image for result in results.values()) else {},
        advice=advice,
    )


def _check_options(plan: Plan, options: Options) -> None:
    """Refuse options that none of the metrics can take.

    Raises:
        UsageError: naming the option and what to leave out.
    """
    kinds = {need.accumulator: need for need in plan.gen_needs}
    if options.captions is not None and CAPTIONS not in kinds:
        asked = ", ".join(metric.id for metric in plan.metrics)
        raise UsageError(
            f"captions were given, and none of the metrics reads any ({asked}); leave them out, or ask for clip_score"
        )
    if options.crop is not None and PATHS in kinds:
        raise UsageError(
            f"metric {plan.asking_for(kinds[PATHS])!r} compares images as the generator gives them, at a size of its "
            "own; leave '--crop' out, or the metric"
        )


def _groups(metrics: Sequence[Metric]) -> list[list[Metric]]:
    """The metrics, those of equal work together, in the order of the first of each."""
    groups: dict[Hashable, list[Metric]] = {}
    for metric in metrics:
        key = ("alone", metric.id) if metric.work is None else ("work", metric.unary, metric.work)
        groups.setdefault(key, []).append(metric)
    return list(groups.values())


def merged_cautions(*given: Mapping[Need, tuple[str, ...]]) -> dict[Need, tuple[str, ...]]:
    """All texts of each need, each once."""
    merged: dict[Need, tuple[str, ...]] = {}
    for cautions in given:
        for need, texts in cautions.items():
            merged[need] = tuple(dict.fromkeys((*merged.get(need, ()), *texts)))
    return merged


def _extractors(needs: Sequence[Need]) -> list[str]:
    return list(dict.fromkeys(need.extractor for need in needs))


def _named_extractor(*sides: Side | None) -> str | None:
    """The registered network that given statistics are of, if they are all of one.

    Others would have to be made (``python:…``, ``hf:…``): what a file names is neither run nor fetched.
    """
    given = [side.stats for side in sides if side is not None and side.stats is not None]
    names = {need.extractor for stats in given for need in stats.accumulators} - {UNKNOWN}
    return next((name for name in names if name in EXTRACTORS), None) if len(names) == 1 else None


def _what_can_be(plan: Plan, gen: Side, ref: Side | None) -> tuple[Plan, tuple[str, ...]]:
    """Of the default metrics those that given statistics allow, and a note of those that they do not."""

    def possible(side: Side, needs: Sequence[Need]) -> bool:
        if side.source is not None or side.stats is None:
            return True
        return all(side.stats.meets(need) or could_meet(side.stats, need) for need in needs)

    kept = tuple(
        metric
        for metric in plan.metrics
        if possible(gen, metric.needs) and (ref is None or possible(ref, metric.ref_needs))
    )
    compares = [metric for metric in kept if not metric.unary]
    if len(kept) == len(plan.metrics) or (ref is not None and not compares) or not kept:
        return plan, plan.notes
    left_out = ", ".join(metric.id for metric in plan.metrics if metric not in kept)
    return Plan(kept, plan.notes), (
        *plan.notes,
        f"of the default metrics {left_out} could not be computed: the given statistics do not hold what it takes; "
        "`genmetrics stats show` says what they hold",
    )


def _alpha_note(gen: Stats, ref: Stats | None) -> tuple[str, ...]:
    """What to say where transparency became one thing on one side and another on the other."""
    if ref is None or not gen.side.num_transparent or not ref.side.num_transparent or gen.side.alpha == ref.side.alpha:
        return ()
    return (
        f"both sides have images with transparency, which became {gen.side.alpha!r} on the generated and "
        f"{ref.side.alpha!r} on the reference side; use the same --alpha on both",
    )


def _check_finite(result: MetricResult) -> None:
    for name, figure in {"value": result.value, **result.extra}.items():
        if not math.isfinite(figure):
            raise StatisticsError(
                f"metric {result.id!r} came out as {name} = {figure}, which is no result; look at the images and the "
                "features of both sides"
            )
