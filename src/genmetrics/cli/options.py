"""Options that several commands share, and what becomes of their texts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from genmetrics.types import (
    AlphaPolicy,
    BackendChoice,
    BadImagePolicy,
    DecodePolicy,
    Engine,
    ErrorBars,
    Precision,
    Shard,
    Stage,
)

__all__ = [
    "Alpha",
    "Backend",
    "BatchSize",
    "Crop",
    "Device",
    "Extractor",
    "Labels",
    "NetworkPrecision",
    "NoCache",
    "Num",
    "OnBadImage",
    "Quiet",
    "RayActors",
    "Resume",
    "RunBy",
    "Seed",
    "Weights",
    "WithErrorBars",
    "Workers",
    "backend_of",
    "parse_labels",
    "parse_shard",
    "parse_weights",
]

Extractor = Annotated[
    str | None,
    typer.Option(
        "--extractor",
        metavar="ID",
        help="Compute the metrics on this network; their names then say so. [default: each metric's own]",
        show_default=False,
    ),
]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        "--weights",
        metavar="[EXTRACTOR=]PATH",
        help="A weight file in place of the published one; may be given again for another extractor.",
        show_default=False,
    ),
]
RunBy = Annotated[
    Engine,
    typer.Option(
        "--engine", metavar="local|ray", help="What reads the images: this process, or the actors of a Ray cluster."
    ),
]
RayActors = Annotated[
    int | None,
    typer.Option(
        "--ray-actors",
        metavar="N",
        help="With --engine ray: how many actors read. [default: what the cluster has room for]",
        show_default=False,
    ),
]
Device = Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda[:N]|mps", help="Where the networks run.")]
NetworkPrecision = Annotated[
    Precision,
    typer.Option("--precision", metavar="exact|tf32|bf16", help="Only 'exact' is the published protocols'."),
]
Backend = Annotated[
    BackendChoice,
    typer.Option(
        "--backend",
        metavar="auto|openvino|torch|reference",
        help="What convolutional networks run on; changes no number but by float32's rounding ('reference' is torch, "
        "layer by layer as published). [default: auto, the fastest]",
        show_default=False,
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        metavar="N",
        help="Images in a network batch; changes no number but by float32's rounding. [default: 32, on a GPU 128]",
        show_default=False,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        help="Decoding threads; changes no number. [default: one a core, at most 8]",
        show_default=False,
    ),
]
Num = Annotated[
    int | None,
    typer.Option(
        "--num",
        metavar="N",
        help="Use N of the images, drawn with the seed. [default: all]",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option("--seed", metavar="S", help="The seed of every random choice.")]
Alpha = Annotated[
    AlphaPolicy,
    typer.Option(
        "--alpha",
        metavar="drop|white|black",
        help="Transparency: dropped, as in the published protocols, or composited.",
    ),
]
OnBadImage = Annotated[
    BadImagePolicy,
    typer.Option("--on-bad-image", metavar="error|skip", help="Stop at an unreadable image, or list it and go on."),
]
WithErrorBars = Annotated[
    ErrorBars,
    typer.Option(
        "--error-bars",
        metavar="auto|on|off",
        help="Standard errors, intervals and values without the bias of few samples; auto leaves them out where they "
        "would take more than a fifth of the run.",
    ),
]
Decode = Annotated[
    DecodePolicy,
    typer.Option(
        "--decode",
        metavar="pillow|gpu",
        help="What decodes JPEG files: Pillow, as in the published protocols, or nvJPEG on the GPU, whose pixels "
        "differ a little; the report then says so.",
    ),
]
Crop = Annotated[
    str | None,
    typer.Option(
        "--crop",
        metavar="HOW-SIZE",
        help="Crop and resize every image first: adm-256, pil-bicubic-256, pil-bilinear-256, square-256; the metrics' "
        "names then say so.",
        show_default=False,
    ),
]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--labels",
        metavar="[gen=|ref=]WHAT",
        help="Where the images' classes come from: auto (what the container says), folders, none, or a .json, .csv, "
        ".tsv or .npy file. [default: auto]",
        show_default=False,
    ),
]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Neither use nor keep statistics of earlier runs; see `genmetrics cache`.")
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Write checkpoints on the way, and go on from the last one where there is one."),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress on standard error.")]

_SHARD = re.compile(r"(\d+)/(\d+)")
_SIDES: tuple[Stage, ...] = ("gen", "ref")


def parse_weights(given: list[str]) -> dict[str, Path] | str | None:
    """``EXTRACTOR=PATH`` by extractor, or a lone PATH for the one extractor in use."""
    from genmetrics.errors import UnknownNameError, UsageError
    from genmetrics.extractors import EXTRACTORS
    from genmetrics.registry import did_you_mean

    named: dict[str, Path] = {}
    lone: list[str] = []
    for entry in given:
        extractor, _, path = entry.partition("=")
        if path and (extractor in EXTRACTORS or EXTRACTORS.makes(extractor)):
            named[extractor] = Path(path)
        elif path and extractor and "/" not in extractor and not Path(entry).exists():
            raise UnknownNameError(
                f"--weights {entry}: there is no extractor {extractor!r}, and no file of that whole name; "
                f"{did_you_mean(extractor, list(EXTRACTORS))}"
            )
        else:
            lone.append(entry)
    if lone and (named or len(lone) > 1):
        raise UsageError(
            f"'--weights {lone[0]}' does not say whose they are; with several, write each as EXTRACTOR=PATH"
        )
    return lone[0] if lone else (named or None)


def parse_labels(given: list[str]) -> str | dict[Stage, str | Path]:
    """``gen=WHAT`` and ``ref=WHAT`` by side, or a lone WHAT for both."""
    from genmetrics.errors import UsageError

    named: dict[Stage, str | Path] = {}
    lone: list[str] = []
    for entry in given:
        side = next((side for side in _SIDES if entry.startswith(f"{side}=")), None)
        if side is None:
            lone.append(entry)
        else:
            named[side] = entry.removeprefix(f"{side}=")
    if len(lone) > 1 or (lone and named):
        raise UsageError(f"'--labels {lone[0]}' does not say for which side; write gen={lone[0]} or ref={lone[0]}")
    return lone[0] if lone else (named or "auto")


def parse_shard(text: str | None) -> Shard:
    """``I/N`` with I from 0."""
    from genmetrics.errors import UsageError

    if text is None:
        return Shard()
    match = _SHARD.fullmatch(text)
    if match is None or int(match[1]) >= int(match[2]):
        raise UsageError(f"--shard {text}: expected I/N with I from 0 to N-1, such as 0/8 for the first of eight")
    return Shard(int(match[1]), int(match[2]))


def backend_of(device: str) -> str:
    """How processes that torchrun started talk to one another."""
    import torch

    on_gpu = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    return "nccl" if on_gpu else "gloo"
