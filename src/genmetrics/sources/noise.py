"""The noise and the labels that a generator is given.

``draw="per-sample"``, the default: sample i of seed s has a random stream of its own, numpy's
``Philox(key=s, counter=[0, i, d, 0])`` with d = 0 for the noise and d = 1 for the label, so that it depends on
nothing but (s, i): neither on the batch size nor on shards, the device or the other samples. Values are drawn in
float64 and rounded to float32.

``draw="torch-fidelity"``: one stream for all, ``numpy.random.RandomState(s)``, drawn batch by batch as torch-fidelity
0.4.0 does it (noise of a batch, then its labels), so that its numbers can be had again. Its ``unit`` noise covers
only the part of the sphere where all coordinates are positive; that is kept here, and only here. A function in place
of a type of noise is called with that stream and a shape, as torch-fidelity calls its registered noise sources.

Matches: torch-fidelity's draws bit for bit, tests/sources/test_noise.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from genmetrics.errors import UsageError

__all__ = [
    "Draw",
    "DrawnBatch",
    "LabelDraw",
    "NoiseSampler",
    "NoiseSpec",
    "NoiseType",
    "check_seed",
    "draws",
    "sampled",
]

NoiseType = Literal["normal", "unit", "uniform"]
LabelDraw = Literal["uniform", "balanced"]
Draw = Literal["per-sample", "torch-fidelity"]
#: Draws noise of a shape, (n, size), from a stream.
NoiseSampler = Callable[[np.random.RandomState, tuple[int, ...]], Tensor]

_NOISE_STREAM, _LABEL_STREAM = 0, 1
#: torch-fidelity's guard against division by zero.
_TORCH_FIDELITY_EPS = 1e-7


@dataclass(frozen=True)
class NoiseSpec:
    """What a generator is given.

    Attributes:
        z_size: the shape of the noise of one sample.
        z_type: ``normal``: independent standard normal; ``unit``: uniform on the sphere of radius 1;
            ``uniform``: independent, uniform in [0, 1]. Or a function that draws it, for torch-fidelity's stream.
        num_classes: how many classes labels are drawn from; 0 if the generator takes no labels.
        labels: ``uniform``: drawn; ``balanced``: sample i has label i mod ``num_classes``.
        draw: from which streams.
        batch_size: how many samples are generated at once.
    """

    z_size: tuple[int, ...]
    z_type: NoiseType | NoiseSampler = "normal"
    num_classes: int = 0
    labels: LabelDraw = "uniform"
    draw: Draw = "per-sample"
    batch_size: int = 64

    def __post_init__(self) -> None:
        for name, kind in (("z_type", NoiseType), ("labels", LabelDraw), ("draw", Draw)):
            if callable(getattr(self, name)) and name == "z_type":
                continue
            if getattr(self, name) not in get_args(kind):
                also = "; torch-fidelity's 'uniform_0_1' is 'uniform' here" if name == "z_type" else ""
                raise UsageError(
                    f"{name} is {getattr(self, name)!r}, expected one of {', '.join(get_args(kind))}{also}"
                )
        if not self.z_size or min(self.z_size) < 1:
            raise UsageError(f"z_size is {self.z_size}, expected a number such as 128, or a shape such as (4, 64, 64)")
        if self.num_classes < 0:
            raise UsageError(f"num_classes is {self.num_classes}, expected 0 (no labels) or more")
        if self.batch_size < 1:
            raise UsageError(f"batch_size is {self.batch_size}, expected at least 1")
        if self.labels == "balanced" and self.num_classes == 0:
            raise UsageError("labels='balanced' was given without num_classes; give how many classes there are")
        if self.labels == "balanced" and self.draw == "torch-fidelity":
            raise UsageError("labels='balanced' does not go with draw='torch-fidelity', which draws labels uniformly")
        if callable(self.z_type) and self.draw != "torch-fidelity":
            raise UsageError("a function as z_type draws from torch-fidelity's stream; give draw='torch-fidelity' too")
        if self.draw == "torch-fidelity" and len(self.z_size) != 1:
            raise UsageError(f"draw='torch-fidelity' takes a number as z_size, not the shape {self.z_size}")


@dataclass(frozen=True)
class DrawnBatch:
    """The inputs of some samples.

    Attributes:
        positions: which samples, ascending.
        noise: (n, …) float32, the shape of z_size behind n.
        labels: (n,) int64, or None.
    """

    positions: tuple[int, ...]
    noise: Float32[Tensor, "n ..."]
    labels: Int64[Tensor, " n"] | None


def check_seed(seed: int, draw: Draw) -> None:
    """Check that a seed is one.

    Raises:
        UsageError: if it is negative or has too many bits: 64, or the 32 that torch-fidelity's generator takes.
    """
    most = 2**64 - 1 if draw == "per-sample" else 2**32 - 1
    if not 0 <= seed <= most:
        raise UsageError(f"seed is {seed}, expected 0 to {most}")


def draws(spec: NoiseSpec, seed: int, wanted: Sequence[int], num_samples: int) -> Iterator[DrawnBatch]:
    """The inputs of the wanted samples, in batches of at most ``spec.batch_size``.

    Args:
        spec: what is drawn.
        seed: the seed.
        wanted: positions, ascending.
        num_samples: how many samples there are in all.
    """
    if spec.draw == "torch-fidelity":
        yield from _torch_fidelity_draws(spec, seed, wanted, num_samples)
        return
    for start in range(0, len(wanted), spec.batch_size):
        positions = tuple(wanted[start : start + spec.batch_size])
        noise = np.stack([_noise(spec, seed, position) for position in positions]).astype(np.float32)
        yield DrawnBatch(positions, torch.from_numpy(noise), _labels(spec, seed, positions))


def _stream(seed: int, position: int, stream: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, position, stream, 0]))


def _noise(spec: NoiseSpec, seed: int, position: int) -> np.ndarray:
    """The noise of one sample, float64."""
    stream = _stream(seed, position, _NOISE_STREAM)
    if spec.z_type == "uniform":
        return stream.random(spec.z_size)
    values = stream.standard_normal(spec.z_size)
    if spec.z_type == "unit":
        values = values / math.sqrt(float(np.square(values).sum()))
    return values


def _labels(spec: NoiseSpec, seed: int, positions: Sequence[int]) -> Int64[Tensor, " n"] | None:
    if spec.num_classes == 0:
        return None
    if spec.labels == "balanced":
        found = [position % spec.num_classes for position in positions]
    else:
        found = [int(_stream(seed, position, _LABEL_STREAM).integers(spec.num_classes)) for position in positions]
    return torch.tensor(found, dtype=torch.int64)


def sampled(sampler: NoiseSampler, stream: np.random.RandomState, shape: tuple[int, ...]) -> Float32[Tensor, "*shape"]:
    """The noise that a function draws, checked.

    Raises:
        UsageError: if it gives something else than numbers of that shape.
    """
    noise: object = sampler(stream, shape)
    if not isinstance(noise, Tensor) or tuple(noise.shape) != shape or not noise.is_floating_point():
        given = f"{noise.dtype} {tuple(noise.shape)}" if isinstance(noise, Tensor) else f"a {type(noise).__name__}"
        raise UsageError(
            f"the function that draws the noise gave {given.removeprefix('torch.')}; expected float32 {shape}"
        )
    return noise.to(torch.float32)


def _torch_fidelity_draws(spec: NoiseSpec, seed: int, wanted: Sequence[int], num_samples: int) -> Iterator[DrawnBatch]:
    """Everything before the last wanted sample is drawn, wanted or not."""
    chosen = wanted if isinstance(wanted, range) else frozenset(wanted)
    stream = np.random.RandomState(seed)
    for start in range(0, wanted[-1] + 1 if wanted else 0, spec.batch_size):
        size = min(spec.batch_size, num_samples - start)
        shape = (size, *spec.z_size)
        if callable(spec.z_type):
            noise = sampled(spec.z_type, stream, shape)
        else:
            values = stream.randn(*shape) if spec.z_type == "normal" else stream.rand(*shape)
            noise = torch.from_numpy(values).float()
        if spec.z_type == "unit":
            noise = noise / (noise**2).sum(dim=-1, keepdim=True).sqrt().clamp_min(_TORCH_FIDELITY_EPS)
        labels = None
        if spec.num_classes:
            labels = torch.from_numpy(stream.randint(0, spec.num_classes, size=size, dtype=np.int64))
        rows = [row for row in range(size) if start + row in chosen]
        if rows:
            positions = tuple(start + row for row in rows)
            yield DrawnBatch(positions, noise[rows], None if labels is None else labels[rows])
