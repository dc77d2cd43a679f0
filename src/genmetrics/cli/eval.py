"""``genmetrics eval``: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genmetrics.cli import allocator, options, resuming
from genmetrics.cli.console import reporting_errors, say
from genmetrics.cli.processes import among_ranks
from genmetrics.cli.progress import showing_progress

__all__ = ["eval_command"]


def eval_command(
    gen: Annotated[
        str,
        typer.Argument(
            metavar="GEN",
            help="The generated images (a folder, .zip, .tar, shards, .npz, parquet, a dataset's name …), or a "
            "statistics file of any known format; 'zip:PATH', 'stats:PATH' and so on force the kind.",
            show_default=False,
        ),
    ],
    ref: Annotated[
        str | None,
        typer.Option("--ref", metavar="REF", help="The reference images or statistics, likewise.", show_default=False),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            "-m",
            "--metrics",
            metavar="ID,ID",
            help="Metrics to compute. [default: fid,kid,isc with a reference, isc without one]",
            show_default=False,
        ),
    ] = None,
    extractor: options.Extractor = None,
    weights: options.Weights = None,
    device: options.Device = "auto",
    precision: options.NetworkPrecision = "exact",
    backend: options.Backend = "auto",
    batch_size: options.BatchSize = None,
    workers: options.Workers = None,
    num: options.Num = None,
    seed: options.Seed = 2020,
    alpha: options.Alpha = "drop",
    on_bad_image: options.OnBadImage = "error",
    crop: options.Crop = None,
    decode: options.Decode = "pillow",
    labels: options.Labels = None,
    captions: Annotated[
        str | None,
        typer.Option(
            "--captions",
            metavar="PATH",
            help="What each image of GEN is said to show, for clip_score: a .json, .jsonl, .csv, .tsv or .txt file, or "
            "a folder of texts.",
            show_default=False,
        ),
    ] = None,
    no_cache: options.NoCache = False,
    resume: options.Resume = False,
    error_bars: options.WithErrorBars = "auto",
    force: Annotated[
        bool, typer.Option("--force", help="Compare statistics that are not comparable; the report warns of it.")
    ] = False,
    json_file: Annotated[
        str | None,
        typer.Option(
            "--json",
            metavar="[FILE]",
            help="Write the result as JSON to FILE; without FILE print nothing but JSON.",
            show_default=False,
        ),
    ] = None,
    per_image: Annotated[
        Path | None,
        typer.Option(
            "--per-image",
            metavar="FILE",
            help="Write the figures of single images (of fid_influence, realism, nearest, clip_score …) to FILE.csv or "
            "FILE.parquet.",
            show_default=False,
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="FILE",
            help="Write the result as one page that needs no network: figures, plots, the images that stand out. It "
            "takes the features of both sides, which are kept for it. With --json FILE these are in the JSON too, for "
            "`genmetrics report`.",
            show_default=False,
        ),
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Measure GEN, alone or against REF, and print a table.

    All metrics come from one pass over the images. Under torchrun the images are shared out, and rank 0
    prints and writes. With --resume checkpoints lie in the cache folder until the result is there, and the same command
    again goes on from them.
    """
    asked = dict(locals())
    with reporting_errors():
        allocator.keep_freed_memory(backend, device)
        target = None if json_file in (None, "-") else Path(str(json_file))
        with among_ranks("genmetrics eval", device) as first:
            if target is not None and first:
                from genmetrics.files import check_writable

                check_writable(target)
            if html is not None:
                from genmetrics.engine.page import check_page

                check_page(html, write=first)
            if per_image is not None:
                from genmetrics.engine.plan import check_per_image, make_plan
                from genmetrics.files import check_writable
                from genmetrics.report.single_images import check_table_name

                check_table_name(per_image)
                if first:
                    check_writable(per_image)
                check_per_image(make_plan(metrics, extractor, seed, ref is not None, crop))
            from genmetrics.cli.table import print_report
            from genmetrics.engine.evaluate import evaluate

            checkpoints = None
            if resume:
                unasked = ("no_cache", "resume", "json_file", "per_image", "html", "quiet", "workers")
                run = {name: asked[name] for name in asked if name not in unasked}
                checkpoints = resuming.folder_in_cache({**run, "diagnostics": html is not None})
            with showing_progress(quiet or not first) as progress:
                report = evaluate(
                    gen,
                    ref,
                    metrics,
                    extractor=extractor,
                    weights=options.parse_weights(weights or []),
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
                    labels=options.parse_labels(labels or []),
                    captions=captions,
                    cache=not no_cache,
                    resume=checkpoints,
                    force=force,
                    error_bars=error_bars,
                    diagnostics=html is not None,
                    progress=progress,
                )
        if not first:
            return
        if per_image is not None:
            report.save_per_image(per_image)
            say(f"figures of single images: {per_image}")
        if html is not None:
            from genmetrics.engine.page import write_page

            write_page(report, html)
        if json_file == "-":
            print(report.to_json())
            if not quiet:
                for text in report.advice:
                    say(f"advice: {text}")
                for text in report.notices:
                    say(f"note: {text}")
        else:
            print_report(report)
            if target is not None:
                report.save(target)
                print(f"report: {target}")
            if html is not None:
                print(f"page: {html}")
        if checkpoints is not None:
            resuming.forget(checkpoints)
