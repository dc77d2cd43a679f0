"""Perceptual lengths of small steps in a generator's input, through float images unless a protocol says otherwise."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from genmetrics.accumulators.base import Accumulator
from genmetrics.accumulators.build import PATHS, build_accumulator
from genmetrics.engine.networks import Networks
from genmetrics.errors import SourceError, UsageError
from genmetrics.extractors.pairs import PairExtractor
from genmetrics.sources.base import ImageSource
from genmetrics.sources.generator import GeneratorSource
from genmetrics.sources.labels import LabelledSource
from genmetrics.sources.noise import NoiseSpec, sampled
from genmetrics.sources.python_source import PythonSource
from genmetrics.sources.quantise import floats_to_unit, quantise
from genmetrics.types import Need, Shard

__all__ = ["check_paths", "read_paths", "steps"]


@dataclass(frozen=True)
class _Step:
    """How a path is taken: the options of a need.

    Attributes:
        seed: of all draws.
        inverse_epsilon: 1/ε of the step.
        size: height and width at which images are compared.
        uint8: whether images are quantised first, as torch-fidelity does by default.
    """

    seed: int
    inverse_epsilon: int
    size: int
    uint8: bool

    @classmethod
    def of(cls, need: Need) -> _Step:
        options = dict(need.options)
        return cls(options["seed"], options["inverse_epsilon"], options["size"], bool(options["uint8"]))


def generator_of(source: ImageSource) -> GeneratorSource:
    """The generator behind a source.

    Raises:
        UsageError: if its images come from something else.
    """
    while isinstance(source, LabelledSource | PythonSource):
        source = source.unlabelled if isinstance(source, LabelledSource) else source.made
    if not isinstance(source, GeneratorSource):
        article = "an" if source.kind[0] in "aeiou" else "a"
        raise UsageError(
            f"'{source.description}' is {article} {source.kind}, and a path length is of a generator: give a model "
            "file such as 'torchscript:G.pt?z_size=128', a function that makes one, such as "
            "'python:file.py:make?z_size=128', or a GeneratorSource in Python"
        )
    return source


def steps(
    spec: NoiseSpec, num_samples: int, epsilon: float, seed: int, unit_as_torch_fidelity: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Start and end of each step, and the labels: z₀ and z₀ + ε·(z₁ − z₀), all float32.

    Drawn by NumPy's ``RandomState(seed)``: all z₀, then all z₁, then the labels, torch-fidelity's order.

    Args:
        spec: what the generator is given.
        num_samples: how many steps.
        epsilon: how far.
        seed: of the draws.
        unit_as_torch_fidelity: whether noise of type ``unit`` covers only the part of the sphere where all
            coordinates are positive, as there.

    Matches: torch-fidelity 0.4.0 bit for bit; tests/conformance/test_peers_perceptual.py.
    """
    rng = np.random.RandomState(seed)

    def draw() -> Tensor:
        shape = (num_samples, *spec.z_size)
        if callable(spec.z_type):
            return sampled(spec.z_type, rng, shape)
        positive = spec.z_type == "uniform" or (spec.z_type == "unit" and unit_as_torch_fidelity)
        z = torch.from_numpy(rng.rand(*shape) if positive else rng.randn(*shape)).float()
        if spec.z_type == "unit":
            norms = z.flatten(1).square().sum(dim=1).sqrt().clamp_min(1e-7)
            z = z / norms.reshape(-1, *[1] * len(spec.z_size))
        return z

    start, other = draw(), draw()
    end = start + (other - start) * epsilon
    labels = None
    if spec.num_classes:
        labels = torch.from_numpy(rng.randint(0, spec.num_classes, (num_samples,))).to(torch.int64)
    return start, end, labels


def read_paths(
    source: ImageSource, needs: Iterable[Need], networks: Networks, num_steps: int, shard: Shard, batch_size: int
) -> Generator[tuple[int, int], None, dict[Need, Accumulator]]:
    """Take this process's share of the steps; yields how many are done, and of how many.

    Steps are taken in blocks of the generator's own batch size, whole ones by one process each, so that what a
    generator draws itself does not depend on batches or processes.

    Args:
        source: a generator.
        needs: what is to be filled.
        networks: the extractors that the needs name.
        num_steps: how many steps all processes take together.
        shard: the share.
        batch_size: pairs of images that go through a network at once.

    Raises:
        UsageError: if the source is no generator, or gives uint8 images where floats are needed.
    """
    needs = tuple(needs)
    generator = generator_of(source)
    block = generator.noise.batch_size
    starts = [first * block for first in shard.range(-(-num_steps // block))]
    total = len(needs) * sum(min(block, num_steps - first) for first in starts)
    done = 0
    filled: dict[Need, Accumulator] = {}
    for need in needs:
        how = _Step.of(need)
        check_generator(generator, how.uint8)
        extractor = networks.extractor(need.extractor)
        assert isinstance(extractor, PairExtractor)
        start, end, labels = steps(generator.noise, num_steps, 1 / how.inverse_epsilon, how.seed, how.uint8)
        held = build_accumulator(need, 1, None)
        for first in starts:
            rows = slice(first, min(first + block, num_steps))
            both = torch.cat((start[rows], end[rows]))
            classes = None if labels is None else torch.cat((labels[rows], labels[rows]))
            images = _comparable(generator.raw_images(both, classes, first, how.seed), generator, how)
            before, after = images.to(extractor.device).chunk(2)
            parts = zip(torch.split(before, batch_size), torch.split(after, batch_size), strict=True)
            lengths = torch.cat([extractor.distances(*pair).cpu().to(torch.float64) for pair in parts])
            lengths = lengths * how.inverse_epsilon**2
            held.update(
                torch.stack((lengths, torch.full_like(lengths, -1)), dim=1), torch.arange(rows.start, rows.stop)
            )
            done += len(lengths)
            yield done, total
        filled[need] = held
    return filled


def check_generator(generator: GeneratorSource, through_uint8: bool) -> None:
    """Check that a generator's images are as a path takes them.

    Raises:
        UsageError: if they are uint8 and floats are needed.
    """
    if generator.value_range is None and not through_uint8:
        raise UsageError(
            f"generator '{generator.description}' gives uint8 images, in which so small a step is lost: let it give "
            "floats and say their range (value_range=-1,1), or ask for 'ppl_torch_fidelity', whose number measures the "
            "rounding"
        )


def check_paths(source: ImageSource, needs: Iterable[Need]) -> None:
    """Check before anything is read that the source can give what needs of paths ask for.

    Raises:
        UsageError: if it is no generator, or one whose images are not as they must be.
    """
    for need in needs:
        if need.accumulator == PATHS:
            check_generator(generator_of(source), _Step.of(need).uint8)


def _comparable(images: Tensor, generator: GeneratorSource, how: _Step) -> Tensor:
    """Images as the comparing network takes them: float32 in -1..1 at one size."""
    if images.shape[1] == 1:
        images = images.expand(-1, 3, -1, -1)
    if generator.value_range is None:
        values = images.to(torch.float32) / 127.5 - 1
    elif how.uint8:
        values = quantise(images, generator.value_range, generator.rounding).to(torch.float32) / 127.5 - 1
    else:
        values = floats_to_unit(images, generator.value_range)
    if not bool(torch.isfinite(values).all()):
        raise SourceError(f"generator '{generator.description}' gave NaN or infinite values")
    height, width = values.shape[2:]
    if (height, width) == (how.size, how.size):
        return values
    shrinks = height > how.size and width > how.size
    if shrinks:
        return F.interpolate(values, (how.size, how.size), mode="area")
    return F.interpolate(values, (how.size, how.size), mode="bilinear", align_corners=False)
