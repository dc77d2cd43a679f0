"""The two entry points: evaluate a set, or make its statistics."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from genmetrics import distributed
from genmetrics.engine.hints import naming_another_network
from genmetrics.engine.options import Options, RayOptions, told_alike
from genmetrics.engine.plan import make_plan
from genmetrics.engine.run import iter_evaluate
from genmetrics.engine.sides import SourceLike
from genmetrics.engine.statistics import iter_compute_stats
from genmetrics.errors import UsageError
from genmetrics.extractors import EXTRACTORS
from genmetrics.report.report import Report
from genmetrics.sources.captions import CaptionsLike
from genmetrics.stats.stats import Stats
from genmetrics.types import (
    AlphaPolicy,
    BackendChoice,
    BadImagePolicy,
    DecodePolicy,
    Engine,
    ErrorBars,
    MetricsLike,
    Precision,
    Progress,
    Shard,
    Stage,
)

__all__ = ["compute_stats", "drive", "evaluate", "weights_by_extractor"]

Result = TypeVar("Result")
_WHOLE = Shard()


@distributed.shared_run("evaluate")
def evaluate(
    gen: SourceLike | Stats,
    ref: SourceLike | Stats | None = None,
    metrics: MetricsLike | None = None,
    *,
    extractor: str | None = None,
    weights: Mapping[str, Path] | Path | str | None = None,
    device: str = Options.device,
    precision: Precision = Options.precision,
    backend: BackendChoice = Options.backend,
    batch_size: int | None = Options.batch_size,
    workers: int | None = None,
    num: int | None = None,
    seed: int = Options.seed,
    alpha: AlphaPolicy = Options.alpha,
    on_bad_image: BadImagePolicy = Options.on_bad_image,
    crop: str | None = Options.crop,
    decode: DecodePolicy = Options.decode,
    labels: str | Path | Mapping[Stage, str | Path] = Options.labels,
    captions: CaptionsLike | None = Options.captions,
    cache: bool | Path = Options.cache,
    resume: Path | str | None = Options.resume,
    force: bool = Options.force,
    error_bars: ErrorBars = Options.error_bars,
    diagnostics: bool = Options.diagnostics,
    progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Measure a generated image set, alone or against a reference.

    Under an initialised ``torch.distributed`` every rank reads its share, and all return the same report or raise the
    same error; what they are told has to be the same. See docs/distributed.md.

    Args:
        gen: the generated set: whatever ``open_source`` takes, a statistics file of any known format (``stats:``
            before its path forces that), or ``Stats``.
        ref: the reference set, likewise.
        metrics: metric ids, or a ``MetricInfo`` for constants that no id has; None takes ``fid,kid,isc`` with a
            reference and ``isc`` without one.
        extractor: the network on which to compute them; None takes each metric's own.
        weights: a weight file for the one extractor in use, or files by extractor id.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        precision: ``exact``, ``tf32`` or ``bf16``; only the first is the published protocols'.
        backend: what convolutional networks run on: ``auto``, ``openvino``, ``torch`` or ``reference``.
        batch_size: images that go through the network at once, which does not change the numbers; None takes 32, and
            128 on a CUDA device.
        workers: decoding threads; None takes one a core, at most 8.
        num: how many of the generated images to use, drawn with the seed; None uses all.
        seed: of every random choice, 0..2³²−1.
        alpha: what becomes of transparency: ``drop``, or composited on ``white`` or ``black``.
        on_bad_image: ``error`` stops at an image that cannot be read, ``skip`` leaves it out and lists it.
        crop: a centre crop and resize that every image undergoes first, such as ``adm-256``; the metrics' names
            then say so. None leaves images as they are.
        decode: ``pillow``, or ``gpu`` for JPEG files by nvJPEG, whose pixels differ a little, which is recorded.
        labels: where the classes of the images come from; see ``open_source``. A mapping gives it by side.
        captions: what each generated image is said to show, for CLIP scores: one text for each image in order, or the
            path of a ``.json``, ``.jsonl``, ``.csv``, ``.tsv`` or ``.txt`` file or of a folder of texts.
        cache: keep the statistics of images on disk, and use those that are kept; they are known by the content
            that they were made from. A path is another folder than the user's cache folder.
        resume: the folder of a run's checkpoints: they are written on the way, and gone on from where there are any.
            They stay there; remove the folder when the result is safe. None for no checkpoints. See docs/resume.md.
        force: compare what is not comparable; the report warns of it.
        error_bars: give metrics that have them a standard error and 95 % interval, and distances of few samples a
            value without their bias: ``on``, ``off``, or ``auto`` for on unless they would take more than a fifth of
            the run, which a note then says. See docs/error-bars.md.
        diagnostics: give the report what a page shows beyond figures: the distance against the number of images,
            spectra and a map of the features, and the images that stand out. It changes no figure; both sets' features
            are kept for it, 8 KB an image at 2,048 dimensions, and a few images are read once more. A note says where
            there is nothing to show.
        progress: called with each progress record.

    Raises:
        GenmetricsError: see ``genmetrics.errors``; whatever can be checked before the first image is.
    """
    options = Options(
        extractor=extractor,
        weights=weights_by_extractor(weights, extractor, metrics),
        device=device,
        precision=precision,
        backend=backend,
        batch_size=batch_size,
        workers=workers,
        num=num,
        seed=seed,
        alpha=alpha,
        on_bad_image=on_bad_image,
        crop=crop,
        decode=decode,
        labels=labels,
        captions=captions,
        cache=cache,
        resume=None if resume is None else Path(resume),
        force=force,
        error_bars=error_bars,
        diagnostics=diagnostics,
    )
    distributed.agree(told_alike(metrics, options))
    with naming_another_network(metrics, extractor, ref is not None):
        return drive(iter_evaluate(gen, ref, metrics, options), progress)


@distributed.shared_run("compute_stats")
def compute_stats(
    source: SourceLike,
    metrics: MetricsLike = ("fid", "kid"),
    *,
    extractor: str | None = None,
    weights: Mapping[str, Path] | Path | str | None = None,
    device: str = Options.device,
    precision: Precision = Options.precision,
    backend: BackendChoice = Options.backend,
    batch_size: int | None = Options.batch_size,
    workers: int | None = None,
    num: int | None = None,
    seed: int = Options.seed,
    alpha: AlphaPolicy = Options.alpha,
    on_bad_image: BadImagePolicy = Options.on_bad_image,
    crop: str | None = Options.crop,
    decode: DecodePolicy = Options.decode,
    labels: str | Path | Mapping[Stage, str | Path] = Options.labels,
    cache: bool | Path = Options.cache,
    error_bars: ErrorBars = "off",
    resume: Path | str | None = Options.resume,
    shard: Shard = _WHOLE,
    engine: Engine = "local",
    ray_options: RayOptions | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Stats:
    """Compute once all that the given metrics need of an image set, on either side.

    Under an initialised ``torch.distributed`` every rank reads its share of the images, or of those of ``shard``; see
    ``evaluate``.

    Args:
        source: the image set, as ``evaluate`` takes it.
        metrics: the metrics that will be asked for.
        extractor: as in ``evaluate``, and so are the remaining arguments.
        weights: a weight file for the one extractor in use, or files by extractor id.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        precision: ``exact``, ``tf32`` or ``bf16``.
        backend: what convolutional networks run on: ``auto``, ``openvino``, ``torch`` or ``reference``.
        batch_size: images that go through the network at once; None takes 32, and 128 on a CUDA device.
        workers: decoding threads; None takes one a core, at most 8.
        num: how many of the images to use, drawn with the seed; None uses all.
        seed: of every random choice.
        alpha: what becomes of transparency.
        on_bad_image: what becomes of images that cannot be read.
        crop: a centre crop and resize that every image undergoes first.
        decode: what decodes JPEG files.
        labels: where the classes of the images come from; they are kept with the statistics.
        cache: keep the statistics of images on disk, and use those that are kept.
        error_bars: ``on`` keeps what the error bars of distances take of this set too, five times as much as mean and
            covariance; see docs/error-bars.md.
        resume: the folder of a run's checkpoints: they are written on the way, and gone on from where there are any.
            They stay there; remove the folder when the result is safe. None for no checkpoints. See docs/resume.md.
        shard: which share of the images to read, where others are read elsewhere; ``Stats.merge`` puts the
            statistics of all shares together.
        engine: ``local``, or ``ray`` for the actors of a Ray cluster: the one at hand, else one of this machine alone.
        ray_options: how many actors read and what each takes; see ``genmetrics.engine.options.RayOptions``.
        progress: called with each progress record.

    Raises:
        GenmetricsError: see ``genmetrics.errors``.
    """
    options = Options(
        extractor=extractor,
        weights=weights_by_extractor(weights, extractor, metrics),
        device=device,
        precision=precision,
        backend=backend,
        batch_size=batch_size,
        workers=workers,
        num=num,
        seed=seed,
        alpha=alpha,
        on_bad_image=on_bad_image,
        crop=crop,
        decode=decode,
        labels=labels,
        cache=cache,
        error_bars=error_bars,
        resume=None if resume is None else Path(resume),
        shard=shard,
    )
    distributed.agree(told_alike(metrics, options))
    with naming_another_network(metrics, extractor, has_reference=True):
        if engine == "local" and ray_options is None:
            return drive(iter_compute_stats(source, metrics, options), progress)
        if engine != "ray":
            raise UsageError(
                f"engine {engine!r}: expected 'local' or 'ray'"
                if engine != "local"
                else "ray_options were given without engine='ray' (--ray-actors without --engine ray); give both"
            )
        from genmetrics.engine.ray_engine import iter_compute_stats_on_ray

        return drive(iter_compute_stats_on_ray(source, metrics, options, ray_options or RayOptions()), progress)


def weights_by_extractor(
    weights: Mapping[str, Path] | Path | str | None,
    extractor: str | None,
    metrics: MetricsLike | None,
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


def drive(steps: Generator[Progress, None, Result], progress: Callable[[Progress], None] | None) -> Result:
    """Run a generator of progress records to its end and give back what it returns.

    Whatever comes of ``progress``, the generator lets go of what it holds before this returns.
    """
    with closing(steps):
        while True:
            try:
                record = next(steps)
            except StopIteration as finished:
                result: Result = finished.value
                return result
            if progress is not None:
                progress(record)
