"""``genmetrics stats``: make, merge, show and convert statistics files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genmetrics.cli import allocator, options, resuming
from genmetrics.cli.console import reporting_errors, say
from genmetrics.cli.processes import among_ranks
from genmetrics.cli.progress import showing_progress
from genmetrics.errors import UsageError
from genmetrics.types import ErrorBars

if TYPE_CHECKING:
    from genmetrics.engine.describe import Description
    from genmetrics.types import ExtractorRecord

__all__ = ["stats_app"]

stats_app = typer.Typer(
    help="Make, merge, show and convert statistics files.", no_args_is_help=True, rich_markup_mode=None
)

Output = Annotated[
    Path,
    typer.Option(
        "-o", "--output", metavar="FILE", help=".safetensors, or .npz or .pth for other tools.", show_default=False
    ),
]
_INDENT = 14


@stats_app.command("build")
def build_command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="The images: whatever 'genmetrics eval' takes.",
            show_default=False,
        ),
    ],
    output: Output,
    metrics: Annotated[
        str | None,
        typer.Option(
            "-m",
            "--metrics",
            metavar="ID,ID",
            help="The metrics that will be asked for. [default: fid,kid, as far as FILE holds them; .pth: fid_pytorch]",
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
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            metavar="I/N",
            help="Read only the I-th of N shares of the images, I from 0; 'genmetrics stats merge' puts them together.",
            show_default=False,
        ),
    ] = None,
    engine: options.RunBy = "local",
    ray_actors: options.RayActors = None,
    no_cache: options.NoCache = False,
    resume: options.Resume = False,
    error_bars: Annotated[
        ErrorBars,
        typer.Option(
            "--error-bars",
            metavar="on|off|auto",
            help="Keep what the error bars of distances take of these images too, five times as much; auto does if "
            "there are enough images.",
        ),
    ] = "off",
    quiet: options.Quiet = False,
) -> None:
    """Compute once all that the metrics need of SRC, and write it to one file.

    Under torchrun the images are shared out, and rank 0 writes. With --resume checkpoints lie in FILE.resume until FILE
    is written.
    """
    checkpoints = resuming.folder_beside(output) if resume else None
    with reporting_errors():
        allocator.keep_freed_memory(backend, device)
        with among_ranks("genmetrics stats build", device) as first:
            from genmetrics.engine.describe import by_sides, needs_in_file
            from genmetrics.engine.evaluate import compute_stats
            from genmetrics.engine.options import RayOptions
            from genmetrics.files import check_writable
            from genmetrics.stats.formats import check_can_hold, check_name, save_as, usual_metrics

            check_name(output)
            if error_bars != "off" and output.suffix.lower() != ".safetensors":
                raise UsageError(
                    f"'{output}' cannot hold what error bars take, which '--error-bars {error_bars}' asks for; give a "
                    "name ending in .safetensors, or leave the option out"
                )
            if first:
                check_writable(output)
            metrics = metrics or usual_metrics(output)
            cut = options.parse_shard(shard)
            check_can_hold(output, needs_in_file(metrics, extractor, crop))
            with showing_progress(quiet or not first) as progress:
                stats = compute_stats(
                    source,
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
                    cache=not no_cache,
                    error_bars=error_bars,
                    resume=checkpoints,
                    shard=cut,
                    engine=engine,
                    ray_options=None if ray_actors is None else RayOptions(actors=ray_actors),
                    progress=progress,
                )
        if not first:
            return
        save_as(stats, output)
        if checkpoints is not None:
            resuming.forget(checkpoints)
        if not quiet:
            for text in stats.side.notes:
                say(f"note: {text}")
        print(f"{output}: statistics of {stats.num_samples} images of {stats.side.source}")
        given = {"--extractor": extractor, "--crop": crop, "--precision": precision if precision != "exact" else None}
        given["--decode"] = decode if decode != "pillow" else None
        asked = [f" {name} {value}" for name, value in given.items() if value is not None]
        asked += [f" --weights {path}" for path in weights or []]
        comparing, alone = by_sides(metrics, extractor)
        for names, sides in ((comparing, f"GEN --ref {output}"), (alone, f"{output}")):
            if names:
                print(f"use it with: genmetrics eval {sides} -m {','.join(names)}{''.join(asked)}")


@stats_app.command("merge")
def merge_command(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Statistics files, in any order.", show_default=False)
    ],
    output: Output,
    partial: Annotated[
        bool, typer.Option("--partial", help="Also where shards of a set are missing, to merge them later.")
    ] = False,
) -> None:
    """Put statistics together: shards of one set, or several sets as one."""
    with reporting_errors():
        from genmetrics.files import check_writable
        from genmetrics.stats.formats import check_name, save_as
        from genmetrics.stats.merge import check_complete, merge_stats
        from genmetrics.stats.stats import Stats

        check_name(output)
        check_writable(output)
        merged = merge_stats([Stats.load(path) for path in files])
        if not partial:
            check_complete(merged)
        save_as(merged, output)
        print(f"{output}: statistics of {merged.num_samples} images of {merged.side.source}")
        for part in merged.side.parts:
            if not part.complete:
                say(
                    f"note: of '{part.source}' only {part.num_covered} of {part.span} images are in it; merge the "
                    "other shards too"
                )


@stats_app.command("show")
def show_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A statistics file of any format.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="The same as JSON.")] = False,
) -> None:
    """Say what a statistics file is, and what can be computed from it."""
    with reporting_errors():
        from genmetrics.engine.describe import describe
        from genmetrics.stats.stats import Stats

        described = describe(Stats.load(file))
        if as_json:
            print(json.dumps(described.to_dict(), indent=2, ensure_ascii=False))
            return
        for name, text in _lines(described):
            print(f"{name:<{_INDENT}}{text}".rstrip())


@stats_app.command("convert")
def convert_command(
    given: Annotated[Path, typer.Argument(metavar="IN", help="A statistics file of any format.", show_default=False)],
    output: Annotated[Path, typer.Argument(metavar="OUT", help=".safetensors, .npz or .pth.", show_default=False)],
    protocol: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="METRIC",
            help="Say whose statistics they are, where IN does not: fid for TensorFlow's, fid_pytorch for "
            "pytorch-fid's.",
            show_default=False,
        ),
    ] = None,
    num_samples: Annotated[
        int | None,
        typer.Option(
            "--num-samples", metavar="N", help="Say how many images they are of, where IN does not.", show_default=False
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            "-m",
            "--metric",
            metavar="ID",
            help="Whose statistics to write to an .npz or .pth, where IN holds several.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Convert statistics: from any known format to ours, or to an .npz that the other tools read."""
    with reporting_errors():
        from genmetrics.engine.describe import need_in, with_num_samples, with_protocol
        from genmetrics.files import check_writable
        from genmetrics.stats.formats import check_name, save_as
        from genmetrics.stats.stats import Stats, describe_need

        check_name(output)
        check_writable(output)
        stats = Stats.load(given)
        if protocol is not None:
            stats = with_protocol(stats, protocol)
        if num_samples is not None:
            stats = with_num_samples(stats, num_samples)
        save_as(stats, output, None if metric is None else need_in(stats, metric))
        written = Stats.load(output).accumulators
        print(f"{output}: {', '.join(describe_need(need) for need in written)}")
        lost = [describe_need(need) for need in stats.accumulators if need not in written]
        if lost:
            say(f"note: a {output.suffix} file holds one of them; not in it: {', '.join(lost)}")


def _lines(described: Description) -> list[tuple[str, str]]:
    """What to print, as names and texts."""
    from genmetrics.accumulators.composition import sizes_text
    from genmetrics.stats.stats import describe_need
    from genmetrics.types import UNKNOWN

    stats, side = described.stats, described.stats.side
    images = "an unknown number of images" if side.num_samples is None else f"{side.num_samples:,} images"
    of = "" if side.source == side.stats_file else f" of {side.source} ({side.kind})"
    lines = [("file", f"{side.stats_file}" + (f" ({side.kind})" if not of else "")), ("statistics of", images + of)]
    if side.selection is not None:
        drawn = "the first ones" if side.selection.seed is None else f"drawn with seed {side.selection.seed}"
        lines.append(("selection", f"{side.selection.num:,} of {side.selection.of or 'a stream'}, {drawn}"))
    if len(side.parts) > 1:
        lines += [("merged from" if part is side.parts[0] else "", part.source) for part in side.parts]
    lines.append(("digest", side.digest or "unknown"))
    if side.formats:
        lines.append(("formats", ", ".join(f"{name} ({number:,})" for name, number in side.formats)))
    if side.sizes is not None:
        lines.append(("sizes", sizes_text(side.sizes)))
    if described.num_distinct is not None:
        lines.append(("distinct", f"{described.num_distinct:,} images"))
    for name, record in stats.extractors.items():
        lines.append(("network", "unknown: the file does not say" if name == UNKNOWN else _network(name, record)))
    held = [describe_need(need) for need in stats.accumulators]
    lines += [("holds" if text is held[0] else "", text) for text in held]
    if stats.labels is not None:
        lines.append(("labels", f"of {stats.labels.num_samples:,} images"))
    if stats.versions:
        lines.append(("made with", ", ".join(f"{name} {version}" for name, version in stats.versions.items())))
    lines.append(("reference for", ", ".join(described.as_reference) or "nothing, as it is"))
    lines.append(("as generated", ", ".join(described.as_generated) or "nothing, as it is"))
    if described.could_be:
        could_be = ", ".join(described.could_be)
        lines.append(("could be of", f"{could_be} (by its width; the file does not say)"))
        example = f"genmetrics stats convert {side.stats_file} OUT.safetensors --as {described.could_be[0]}"
        lines.append(("", f"say which with `{example}`"))
    lines += [("note", text) for text in side.notes]
    return lines


def _network(name: str, record: ExtractorRecord) -> str:
    from genmetrics.extractors import EXTRACTORS

    # What a file names is looked up and never made.
    unmade = "; it was not run or fetched to say this" if EXTRACTORS.makes(name) else ""
    if record.weights_sha256 is None:
        return f"{name}, of which weights the file does not say{unmade}"
    kind = "published weights" if record.official else "NOT the published weights"
    if record.official is None:
        kind = "weights that are published under no such name"
    engine = f" on {record.backend}" if record.backend else ""
    return f"{name}, {kind} (sha256 {record.weights_sha256[:12]}), {record.precision}{engine}{unmade}"
