"""How a run is carried out: the only home of its defaults."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from genmetrics.errors import UsageError
from genmetrics.registry import did_you_mean
from genmetrics.sources.captions import CaptionsLike
from genmetrics.sources.crop import parse_crop
from genmetrics.sources.device_decode import check_gpu_decode
from genmetrics.sources.labels import check_labels
from genmetrics.types import (
    AlphaPolicy,
    BackendChoice,
    BadImagePolicy,
    DecodePolicy,
    ErrorBars,
    MetricsLike,
    Precision,
    Shard,
    Stage,
)

if TYPE_CHECKING:
    import torch

__all__ = ["Options", "RayOptions", "told_alike"]

# A GPU needs many images to be busy; a CPU none beyond a few for each core, and they take memory.
_ON_CPU, _ON_CUDA = 32, 128


@dataclass(frozen=True)
class Options:
    """Settings of a run.

    Attributes:
        extractor: the network on which to compute the metrics; None takes each metric's own.
        weights: weight files in place of the published ones, by extractor id.
        device: ``auto`` (the first CUDA device, else the CPU), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        precision: ``exact`` (float32 without TF32), ``tf32`` or ``bf16``.
        backend: what convolutional networks run on: ``auto`` (the fastest measured), ``openvino``, ``torch``, or
            ``reference`` (torch, layer by layer as published).
        batch_size: images that go through the network at once; None takes 32, and 128 on a CUDA device.
        workers: decoding threads; None takes one a core, at most 8.
        num: how many of the generated images to use, drawn with the seed; None uses all.
        seed: of every random choice.
        alpha: what becomes of transparency: ``drop``, or composited on ``white`` or ``black``.
        on_bad_image: ``error`` stops at an image that cannot be read, ``skip`` leaves it out and lists it.
        decode: ``pillow``, or ``gpu`` for JPEG files by nvJPEG, whose pixels differ a little and which is therefore
            recorded.
        crop: a centre crop and resize that every image undergoes first, such as ``adm-256``; None leaves images
            as they are.
        labels: where the images' classes come from, for both sides or by side; see ``open_source``.
        captions: what each generated image is said to show; see ``captions_of``.
        cache: keep statistics of image sets, and use those that are kept; a path is a folder for them.
        force: compare what is not comparable, with a warning.
        error_bars: ``on``, ``off``, or ``auto`` for on unless they would take more than a fifth of the run.
        diagnostics: whether the report gets what a page shows beyond figures; see ``Report.diagnostics``.
        shard: which share of the images is read, where the others are read elsewhere.
        resume: the folder of checkpoints that are written on the way and gone on from; None for neither.
    """

    extractor: str | None = None
    weights: Mapping[str, Path] = field(default_factory=dict)
    device: str = "auto"
    precision: Precision = "exact"
    backend: BackendChoice = "auto"
    batch_size: int | None = None
    workers: int | None = None
    num: int | None = None
    seed: int = 2020
    alpha: AlphaPolicy = "drop"
    on_bad_image: BadImagePolicy = "error"
    crop: str | None = None
    decode: DecodePolicy = "pillow"
    labels: str | Path | Mapping[Stage, str | Path] = "auto"
    captions: CaptionsLike | None = None
    cache: bool | Path = True
    force: bool = False
    error_bars: ErrorBars = "auto"
    diagnostics: bool = False
    shard: Shard = field(default_factory=Shard)
    resume: Path | None = None

    def labels_of(self, stage: Stage) -> str | Path:
        """Where the classes of a side's images come from."""
        return self.labels if isinstance(self.labels, str | Path) else self.labels.get(stage, "auto")

    def batch_size_on(self, device: torch.device) -> int:
        """How many images go through a network at once on a device."""
        return self.batch_size or (_ON_CUDA if device.type == "cuda" else _ON_CPU)

    def __post_init__(self) -> None:
        _check_choice("precision", self.precision, typing.get_args(Precision))
        _check_choice("backend", self.backend, typing.get_args(BackendChoice))
        _check_choice("alpha", self.alpha, typing.get_args(AlphaPolicy))
        _check_choice("on_bad_image", self.on_bad_image, typing.get_args(BadImagePolicy))
        _check_choice("decode", self.decode, typing.get_args(DecodePolicy))
        _check_choice("error_bars", self.error_bars, typing.get_args(ErrorBars))
        if self.decode == "gpu":
            check_gpu_decode()
        _check_number("seed", self.seed, 0, 2**32 - 1)
        if self.batch_size is not None:
            _check_number("batch_size", self.batch_size, 1, None)
        if self.workers is not None:
            _check_number("workers", self.workers, 0, None)
        if self.num is not None:
            _check_number("num", self.num, 1, None)
        if self.crop is not None:
            parse_crop(self.crop)
        if isinstance(self.labels, Mapping):
            for side, labels in self.labels.items():
                _check_choice("labels of side", side, typing.get_args(Stage))
                check_labels(labels, f"labels of side {side!r}")
        else:
            check_labels(self.labels)


#: What may be another on every rank: it changes no number, or has to be the same by its content and not by its name.
_OWN = ("device", "batch_size", "workers", "cache", "weights", "captions", "resume")


def told_alike(metrics: MetricsLike | None, options: Options) -> dict[str, str]:
    """What all ranks of a run must be told alike, as text by name; of the device its kind, for each has its own."""
    asked = [metrics] if isinstance(metrics, str) else metrics
    told = {
        "metrics": "the default" if asked is None else ",".join(map(str, asked)),
        "device": options.device.partition(":")[0],
    }
    told["resume"] = "off" if options.resume is None else "on"
    for setting in fields(options):
        value = getattr(options, setting.name)
        if setting.name not in _OWN:
            told[setting.name] = str(sorted(value.items()) if isinstance(value, Mapping) else value)
    return told


@dataclass(frozen=True)
class RayOptions:
    """How a Ray cluster is used.

    Attributes:
        actors: how many processes read; None takes what the cluster has room for, and grows to that.
        cpus: cores that each of them takes; None takes ``workers``, else 4, and of a small cluster half.
        gpus: GPUs that each of them takes, or a part of one; None takes 1 where there are any and the device allows.
        images_per_unit: how many images are read, and after a failure read again, at once.
    """

    actors: int | None = None
    cpus: float | int | None = None
    gpus: float | int | None = None
    images_per_unit: int = 2048

    def __post_init__(self) -> None:
        if self.actors is not None:
            _check_number("actors", self.actors, 1, None)
        _check_number("images_per_unit", self.images_per_unit, 1, None)
        if self.cpus is not None and not self.cpus > 0:
            raise UsageError(f"cpus {self.cpus}: expected more than 0")
        if self.gpus is not None and not self.gpus >= 0:
            raise UsageError(f"gpus {self.gpus}: expected 0 or more")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(f"{name} {value!r}: {did_you_mean(str(value), list(choices))}")


def _check_number(name: str, value: object, least: int, most: int | None) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise UsageError(f"{name} {value!r}: expected a whole number")
    if not least <= value or (most is not None and value > most):
        upper = "" if most is None else f" and at most {most}"
        raise UsageError(f"{name} {value}: expected at least {least}{upper}")
