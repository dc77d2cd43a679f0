"""``genmetrics eval``: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genmetrics.cli.console import reporting_errors, say
from genmetrics.cli.progress import showing_progress
from genmetrics.types import AlphaPolicy, BadImagePolicy, Precision

__all__ = ["eval_command"]


def eval_command(
    gen: Annotated[
        str,
        typer.Argument(
            metavar="GEN",
            help="The generated images: a folder, .zip, .tar, .npz or .npy; 'zip:PATH' and so on force the kind.",
            show_default=False,
        ),
    ],
    ref: Annotated[
        str | None,
        typer.Option("--ref", metavar="REF", help="The reference images, likewise.", show_default=False),
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
    extractor: Annotated[
        str | None,
        typer.Option(
            "--extractor",
            metavar="ID",
            help="Compute the metrics on this network; their names then say so. [default: each metric's own]",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            "--weights",
            metavar="[EXTRACTOR=]PATH",
            help="A weight file in place of the published one; may be given again for another extractor.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        str, typer.Option("--device", metavar="auto|cpu|cuda[:N]|mps", help="Where the networks run.")
    ] = "auto",
    precision: Annotated[
        Precision,
        typer.Option("--precision", metavar="exact|tf32|bf16", help="Only 'exact' is the published protocols'."),
    ] = "exact",
    batch_size: Annotated[
        int, typer.Option("--batch-size", metavar="N", help="Images in a network batch; changes no number.")
    ] = 32,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N",
            help="Decoding threads; changes no number. [default: one a core, at most 8]",
            show_default=False,
        ),
    ] = None,
    num: Annotated[
        int | None,
        typer.Option(
            "--num",
            metavar="N",
            help="Use N of the generated images, drawn with the seed. [default: all]",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="The seed of every random choice.")] = 2020,
    alpha: Annotated[
        AlphaPolicy,
        typer.Option(
            "--alpha",
            metavar="drop|white|black",
            help="Transparency: dropped, as in the published protocols, or composited.",
        ),
    ] = "drop",
    on_bad_image: Annotated[
        BadImagePolicy,
        typer.Option("--on-bad-image", metavar="error|skip", help="Stop at an unreadable image, or list it and go on."),
    ] = "error",
    json_file: Annotated[
        str | None,
        typer.Option(
            "--json",
            metavar="[FILE]",
            help="Write the result as JSON to FILE; without FILE print nothing but JSON.",
            show_default=False,
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on standard error.")] = False,
) -> None:
    """Measure GEN, alone or against REF, and print a table.

    All metrics come from one pass over the images. Under torchrun the images are shared out, and rank 0
    prints and writes.
    """
    with reporting_errors():
        target = None if json_file in (None, "-") else Path(str(json_file))
        if target is not None:
            from genmetrics.files import check_writable

            check_writable(target)
        from genmetrics import distributed
        from genmetrics.cli.table import print_report
        from genmetrics.engine.evaluate import evaluate

        joined = distributed.join_from_environment(_backend(device))
        first = distributed.current_shard().index == 0
        try:
            with showing_progress(quiet or not first) as progress:
                report = evaluate(
                    gen,
                    ref,
                    metrics,
                    extractor=extractor,
                    weights=_parse_weights(weights or []),
                    device=device,
                    precision=precision,
                    batch_size=batch_size,
                    workers=workers,
                    num=num,
                    seed=seed,
                    alpha=alpha,
                    on_bad_image=on_bad_image,
                    progress=progress,
                )
        finally:
            if joined:
                distributed.leave()
        if not first:
            return
        if json_file == "-":
            print(report.to_json())
            if not quiet:
                for text in report.warnings:
                    say(f"note: {text}")
            return
        print_report(report)
        if target is not None:
            report.save(target)
            print(f"report: {target}")


def _parse_weights(given: list[str]) -> dict[str, Path] | str | None:
    """``EXTRACTOR=PATH`` by extractor, or a lone PATH for the one extractor in use."""
    from genmetrics.errors import UsageError
    from genmetrics.extractors import EXTRACTORS

    named: dict[str, Path] = {}
    lone: list[str] = []
    for entry in given:
        extractor, _, path = entry.partition("=")
        if path and extractor in EXTRACTORS:
            named[extractor] = Path(path)
        else:
            lone.append(entry)
    if lone and (named or len(lone) > 1):
        raise UsageError(
            f"'--weights {lone[0]}' does not say whose they are; with several, write each as EXTRACTOR=PATH"
        )
    return lone[0] if lone else (named or None)


def _backend(device: str) -> str:
    import torch

    on_gpu = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    return "nccl" if on_gpu else "gloo"
