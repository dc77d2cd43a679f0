"""The two entry points of Python and the command line: evaluate a set, or make its statistics."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from genmetrics import distributed
from genmetrics.engine.image_pass import read_source, select
from genmetrics.engine.networks import Networks, load_networks
from genmetrics.engine.options import Options
from genmetrics.engine.plan import Plan, make_plan
from genmetrics.errors import StatisticsError, UsageError
from genmetrics.extractors import EXTRACTORS
from genmetrics.report.report import Report, versions
from genmetrics.sources.base import ImageSource
from genmetrics.sources.parse import open_source
from genmetrics.stats.stats import Stats
from genmetrics.types import (
    AlphaPolicy,
    BadImagePolicy,
    ExtractorRecord,
    MetricResult,
    Need,
    Precision,
    Progress,
)

__all__ = [
    "build_report",
    "check_comparable",
    "compute_stats",
    "evaluate",
    "iter_compute_stats",
    "iter_evaluate",
]

Result = TypeVar("Result")
#: A path or prefixed string, a sequence of paths, an (n, 3, h, w) uint8 tensor, an (n, h, w, 3) uint8 array, or
#: an ``ImageSource``.
SourceLike = Any


def evaluate(
    gen: SourceLike | Stats,
    ref: SourceLike | Stats | None = None,
    metrics: Sequence[str] | str | None = None,
    *,
    extractor: str | None = None,
    weights: Mapping[str, Path] | Path | str | None = None,
    device: str = Options.device,
    precision: Precision = Options.precision,
    batch_size: int = Options.batch_size,
    workers: int | None = None,
    num: int | None = None,
    seed: int = Options.seed,
    alpha: AlphaPolicy = Options.alpha,
    on_bad_image: BadImagePolicy = Options.on_bad_image,
    progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Measure a generated image set, alone or against a reference.

    Under an initialised ``torch.distributed`` every rank reads its share, and all return the same report.

    Args:
        gen: the generated set: a folder, zip, tar, npz or npy path (a prefix such as ``zip:`` forces the
            kind), a sequence of image paths, an (n, 3, h, w) uint8 tensor, an (n, h, w, 3) uint8 array, an
            ``ImageSource``, or ``Stats``.
        ref: the reference set, likewise.
        metrics: metric ids; None takes ``fid,kid,isc`` with a reference and ``isc`` without one.
        extractor: the network on which to compute them; None takes each metric's own.
        weights: a weight file for the one extractor in use, or files by extractor id.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        precision: ``exact``, ``tf32`` or ``bf16``; only the first is the published protocols'.
        batch_size: images that go through the network at once; it does not change the numbers.
        workers: decoding threads; None takes one a core, at most 8.
        num: how many of the generated images to use, drawn with the seed; None uses all.
        seed: of every random choice, 0..2³²−1.
        alpha: what becomes of transparency: ``drop``, or composited on ``white`` or ``black``.
        on_bad_image: ``error`` stops at an image that cannot be read, ``skip`` leaves it out and lists it.
        progress: called with each progress record.

    Raises:
        GenmetricsError: see ``genmetrics.errors``; whatever can be checked before the first image is.
    """
    options = Options(
        extractor=extractor,
        weights=_weights_by_extractor(weights, extractor, metrics),
        device=device,
        precision=precision,
        batch_size=batch_size,
        workers=workers,
        num=num,
        seed=seed,
        alpha=alpha,
        on_bad_image=on_bad_image,
    )
    return _drive(iter_evaluate(gen, ref, metrics, options), progress)


def compute_stats(
    source: SourceLike,
    metrics: Sequence[str] | str = ("fid", "kid"),
    *,
    extractor: str | None = None,
    weights: Mapping[str, Path] | Path | str | None = None,
    device: str = Options.device,
    precision: Precision = Options.precision,
    batch_size: int = Options.batch_size,
    workers: int | None = None,
    num: int | None = None,
    seed: int = Options.seed,
    alpha: AlphaPolicy = Options.alpha,
    on_bad_image: BadImagePolicy = Options.on_bad_image,
    progress: Callable[[Progress], None] | None = None,
) -> Stats:
    """Compute once all that the given metrics need of an image set, on either side.

    Args:
        source: the image set, as ``evaluate`` takes it.
        metrics: the metrics that will be asked for.
        extractor: as in ``evaluate``, and so are the remaining arguments.
        weights: a weight file for the one extractor in use, or files by extractor id.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        precision: ``exact``, ``tf32`` or ``bf16``.
        batch_size: images that go through the network at once.
        workers: decoding threads; None takes one a core, at most 8.
        num: how many of the images to use, drawn with the seed; None uses all.
        seed: of every random choice.
        alpha: what becomes of transparency.
        on_bad_image: what becomes of images that cannot be read.
        progress: called with each progress record.

    Raises:
        GenmetricsError: see ``genmetrics.errors``.
    """
    options = Options(
        extractor=extractor,
        weights=_weights_by_extractor(weights, extractor, metrics),
        device=device,
        precision=precision,
        batch_size=batch_size,
        workers=workers,
        num=num,
        seed=seed,
        alpha=alpha,
        on_bad_image=on_bad_image,
    )
    return _drive(iter_compute_stats(source, metrics, options), progress)


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
    gen_set, ref_set = _open(gen), None if ref is None or not plan.ref_needs else _open(ref)
    if isinstance(gen_set, Stats) and options.num is not None:
        raise UsageError("'--num' chooses images, and the generated side is given as statistics; leave it out")
    needs = [] if isinstance(gen_set, Stats) else list(plan.gen_needs)
    if isinstance(ref_set, ImageSource):
        needs += plan.ref_needs
    networks = load_networks(needs, options)
    seconds: dict[str, float] = {}

    ref_stats = None
    if ref_set is not None:
        ref_stats = yield from _statistics(ref_set, plan.ref_needs, networks, options, "ref", seconds)
    gen_stats = yield from _statistics(gen_set, plan.gen_needs, networks, options, "gen", seconds)
    return (yield from build_report(plan, gen_stats, ref_stats, networks, options, seconds, started))


def iter_compute_stats(
    source: SourceLike, metrics: Sequence[str] | str, options: Options
) -> Generator[Progress, None, Stats]:
    """``compute_stats`` as a generator of progress records that returns the statistics."""
    plan = make_plan(metrics, options.extractor, options.seed, has_reference=True)
    opened = _open(source)
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
    if ref is not None:
        check_comparable(plan.ref_needs, gen, ref)
    began = time.perf_counter()
    extractors = {**(ref.extractors if ref else {}), **gen.extractors}
    results: dict[str, MetricResult] = {}
    for done, metric in enumerate(plan.metrics):
        yield Progress("metrics", done, len(plan.metrics), metric.id)
        result = metric.compute(gen, None if metric.unary else ref)
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


def check_comparable(needs: Sequence[Need], gen: Stats, ref: Stats) -> None:
    """Refuse to compare features of unlike networks.

    Raises:
        StatisticsError: naming the field that differs.
    """
    for name in dict.fromkeys(need.extractor for need in needs):
        ours, theirs = gen.extractors.get(name), ref.extractors.get(name)
        for field in ("weights_sha256", "precision"):
            if ours and theirs and getattr(ours, field) != getattr(theirs, field):
                raise StatisticsError(
                    f"'{gen.side.source}' and '{ref.side.source}' were measured with different {field} of "
                    f"{name!r} ({getattr(ours, field)} and {getattr(theirs, field)}); the number would mean "
                    "nothing. Compute both with the same"
                )


def _open(source: SourceLike | Stats) -> ImageSource | Stats:
    return source if isinstance(source, Stats) else open_source(source)


def _statistics(
    given: ImageSource | Stats,
    needs: Sequence[Need],
    networks: Networks,
    options: Options,
    stage: Literal["gen", "ref"],
    seconds: dict[str, float],
) -> Generator[Progress, None, Stats]:
    """A side's statistics: as they are, or read from its images."""
    if isinstance(given, Stats):
        for need in needs:
            given.get(need)
        return given
    began = time.perf_counter()
    selection = select(len(given), options.num, options.seed) if stage == "gen" else None
    stats = yield from read_source(given, needs, networks, options, stage, selection)
    seconds[stage] = time.perf_counter() - began
    return stats


def _with_provenance(result: MetricResult, record: ExtractorRecord) -> MetricResult:
    warnings = list(result.warnings)
    name = result.protocol.extractor
    if not record.official:
        warnings.append(
            f"the weights of {name!r} are not the published ones (sha256 {record.weights_sha256[:12]}…): the number "
            "does not compare with published ones"
        )
    if record.precision != "exact":
        warnings.append(f"the network ran in {record.precision}, which published numbers did not")
    protocol = replace(result.protocol, precision=record.precision)
    return replace(result, protocol=protocol, warnings=tuple(warnings))


def _weights_by_extractor(
    weights: Mapping[str, Path] | Path | str | None,
    extractor: str | None,
    metrics: Sequence[str] | str | None,
) -> dict[str, Path]:
    """Weight files by extractor id; a lone path belongs to the one extractor in use."""
    if weights is None:
        return {}
    if isinstance(weights, Mapping):
        for name in weights:
            EXTRACTORS.get(name)
        return {name: Path(path) for name, path in weights.items()}
    plan = make_plan(metrics, extractor, Options.seed, has_reference=True)
    names = list(dict.fromkeys(need.extractor for need in plan.gen_needs))
    if len(names) > 1:
        raise UsageError(
            f"the metrics use several extractors ({', '.join(names)}); say whose weights '{weights}' are: "
            f"'--weights {names[0]}={weights}'"
        )
    return {names[0]: Path(weights)}


def _drive(steps: Generator[Progress, None, Result], progress: Callable[[Progress], None] | None) -> Result:
    """Run a generator of progress records to its end and give back what it returns."""
    while True:
        try:
            record = next(steps)
        except StopIteration as finished:
            result: Result = finished.value
            return result
        if progress is not None:
            progress(record)
