"""Images that a generator makes: any callable from noise, and labels if it is conditional, to a batch of images."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn

from genmetrics.errors import DeviceError, GenmetricsError, SourceError, UsageError
from genmetrics.sources.base import ImageSource, SeededSource
from genmetrics.sources.layout import dtype_name
from genmetrics.sources.loader import Item
from genmetrics.sources.names import count
from genmetrics.sources.noise import Draw, DrawnBatch, LabelDraw, NoiseSampler, NoiseSpec, NoiseType, check_seed, draws
from genmetrics.sources.quantise import QuantisedSource, Quantiser, Rounding, ValueRange
from genmetrics.sources.samples import Sample
from genmetrics.types import Fingerprint

__all__ = ["GeneratorSource", "generator_device"]


class GeneratorSource(QuantisedSource, SeededSource):
    """``num_samples`` images of a generator; sample i always comes from the same noise, see ``sources.noise``.

    The generator runs without gradients. A module runs in evaluation mode, and each of its parts has its former mode
    back after each batch, so that a model can be measured between two steps of its training. What the generator
    itself draws from torch is seeded with the seed and the position of the batch's first sample: equal runs with
    equal batches give equal images, and torch's generators are left as they were.
    """

    kind = "generator"
    #: Of a generator in a file it is known before the generator is.
    description = ""

    #: What decides on the output besides the options; None for Python code, which cannot be known.
    _program: str | None = None

    def __init__(
        self,
        generator: Callable[..., Tensor],
        *,
        z_size: int | Sequence[int],
        num_samples: int,
        z_type: NoiseType | NoiseSampler = "normal",
        num_classes: int = 0,
        labels: LabelDraw = "uniform",
        draw: Draw = "per-sample",
        seed: int | None = None,
        batch_size: int = 64,
        device: str | torch.device = "auto",
        value_range: Sequence[int | float] | None = None,
        rounding: str = "round",
        probe: bool = True,
    ) -> None:
        """Check the options, and the generator with one sample.

        Args:
            generator: ``generator(z)``, or ``generator(z, labels)`` if ``num_classes`` is given: an ``nn.Module`` or
                any callable. It gives (n, 3, h, w) or (n, 1, h, w): uint8, or floats whose range is stated.
            z_size: of the noise of one sample, a number or a shape; z is (n, z_size) float32.
            num_samples: how many images there are.
            z_type: ``normal``, ``unit`` (uniform on the sphere of radius 1) or ``uniform`` (0..1); or, with
                torch-fidelity's stream, a function of a ``numpy.random.RandomState`` and a shape that draws the noise.
            num_classes: of a conditional generator; labels are (n,) int64.
            labels: ``uniform`` draws them; ``balanced`` gives sample i the label i mod ``num_classes``.
            draw: ``per-sample``, or ``torch-fidelity`` for that tool's stream of noise and labels.
            seed: of the noise and labels; None takes the run's, which is another one for each side.
            batch_size: the most samples that are generated at once.
            device: where z and labels are put; ``auto`` is where the module's parameters are, or the CPU. A module is
                never moved.
            value_range: what float images run from and to: (0, 1), (-1, 1) or (0, 255).
            rounding: ``round`` or ``truncate``, see ``sources.quantise``.
            probe: generate one sample now, so that a wrong shape or range is an error before a long run and not
                within it. Each batch is checked in any case.

        Raises:
            UsageError: if options cannot be meant.
            SourceError: if the generator fails, or gives something else than images.
            DeviceError: if the device is not there.
        """
        super().__init__(Quantiser(value_range, rounding))
        if not callable(generator):
            raise UsageError(
                f"the generator is a {type(generator).__name__}, expected an nn.Module or a function of the noise"
            )
        size = (z_size,) if isinstance(z_size, int) else tuple(z_size)
        self._noise = NoiseSpec(size, z_type, num_classes, labels, draw, batch_size)
        if num_samples < 1:
            raise UsageError(f"num_samples is {num_samples}, expected at least 1")
        if seed is not None:
            check_seed(seed, draw)
        self._generator = generator
        self._num_samples = num_samples
        self._seed = seed
        self._device = generator_device(device) if str(device) != "auto" else _home(generator)
        self.description = self.description or f"{type(generator).__name__}, {count(num_samples, 'sample')}"
        if probe:
            for _ in self._items(range(1), seed or 0):
                pass
            self._quantiser.restart()

    def __len__(self) -> int:
        return self._num_samples

    @property
    def noise(self) -> NoiseSpec:
        """What the generator is given."""
        return self._noise

    @property
    def value_range(self) -> ValueRange | None:
        """What its float images run from and to; None if they are uint8."""
        return self._quantiser.value_range

    @property
    def rounding(self) -> Rounding:
        """How its float images become uint8."""
        return self._quantiser.rounding

    def raw_images(
        self, noise: Float32[Tensor, "n ..."], labels: Int64[Tensor, " n"] | None, position: int, seed: int
    ) -> Tensor:
        """The images of given noise as the generator gives them, (n, 3, h, w) or (n, 1, h, w), on its device.

        Args:
            noise: (n, ...) float32.
            labels: (n,) int64 of a conditional generator, else None.
            position: seeds what the generator itself draws, together with the seed.
            seed: of the run.

        Raises:
            SourceError: if the generator fails, or gives something else than images.
        """
        return self._generate(DrawnBatch((position,) * noise.shape[0], noise, labels), seed)

    def fingerprint(self) -> Fingerprint:
        """The program, all options and the seed; no digest without a seed, or for code, which cannot be known."""
        digest = None
        if self._program is not None and self._seed is not None and not callable(self._noise.z_type):
            parts = (self._program, self._noise, self._num_samples, self._seed, self._quantiser.text)
            digest = _sha256(repr((*parts, self._device.type)))
        return Fingerprint(self.kind, self.description, digest)

    def seeded(self, seed: int) -> ImageSource:
        """The same set drawn with this seed, unless it has its own."""
        if self._seed is not None:
            return self
        check_seed(seed, self._noise.draw)
        other = self._copy()
        other._seed = seed
        return other

    def names(self) -> Sequence[str]:
        """The position of each image, which needs none to be generated."""
        return [self._name(position) for position in range(self._num_samples)]

    def items(self, wanted: Sequence[int]) -> Iterator[Item]:
        """The wanted images, generated here batch by batch."""
        if self._seed is None:
            raise UsageError(f"{self.kind} '{self.description}' has no seed; give seed=…, or read source.seeded(seed)")
        return self._items(wanted, self._seed)

    def _items_after(self, wanted: Sequence[int], count: int) -> Iterator[Item]:
        if self._seed is None or count == 0:
            return super()._items_after(wanted, count)
        return self._items(wanted, self._seed, count)

    def _items(self, wanted: Sequence[int], seed: int, after: int = 0) -> Iterator[Item]:
        over = 0
        for drawn in draws(self._noise, seed, wanted, self._num_samples):
            over += len(drawn.positions)
            if over <= after:
                continue  # drawn, since later ones may depend on it, and not generated
            images = self._generate(drawn, seed)
            labels = [None] * len(images) if drawn.labels is None else drawn.labels.tolist()
            sample = Sample(images, tuple(labels))
            positions = drawn.positions
            named = partial(self._name_in, positions)
            first = max(0, after - (over - len(positions)))
            for row, item in enumerate(sample.items(range(first, len(images)), 0, named, self._quantiser), first):
                yield Item(positions[row], item.name, item.load, item.label)

    def _name(self, position: int) -> str:
        return f"sample {position} of the {self.kind}"

    def _name_in(self, positions: Sequence[int], row: int) -> str:
        return self._name(positions[row])

    def _generate(self, drawn: DrawnBatch, seed: int) -> Tensor:
        inputs = [drawn.noise.to(self._device)]
        if drawn.labels is not None:
            inputs.append(drawn.labels.to(self._device))
        given = " and ".join(f"{name} {tuple(x.shape)}" for name, x in zip(("z", "labels"), inputs, strict=False))
        try:
            with torch.no_grad(), _evaluating(self._generator), _seeded(seed, drawn.positions[0], self._device):
                images: Any = self._generator(*inputs)
        except GenmetricsError:
            raise
        except Exception as error:
            raise SourceError(
                f"{self.kind} '{self.description}' failed when it was called with {given} on {self._device}: "
                f"{type(error).__name__}: {error}"
            ) from error
        self._check(images, len(drawn.positions), given)
        return images  # type: ignore[no-any-return]

    def _check(self, images: object, number: int, given: str) -> None:
        """That this is a batch of images; its type and range are looked at when it is made uint8."""
        said = f"{self.kind} '{self.description}', called with {given},"
        expected = f"expected a tensor ({number}, 3, h, w) or ({number}, 1, h, w)"
        if not isinstance(images, Tensor):
            raise SourceError(
                f"{said} gave a {type(images).__name__}, {expected}; wrap it in a function that returns the images"
            )
        shape = tuple(images.shape)
        if len(shape) != 4 or shape[0] != number or shape[1] not in (1, 3) or 0 in shape:
            mend = ""
            if len(shape) == 4 and shape[0] == number and shape[3] in (1, 3):
                mend = "; its channels seem to come last: let it return `x.permute(0, 3, 1, 2)`"
            raise SourceError(f"{said} gave {dtype_name(images.dtype)} {shape}, {expected}{mend}")

    def _copy(self) -> GeneratorSource:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._quantiser = Quantiser(self._quantiser.value_range, self._quantiser.rounding)
        return other


def generator_device(device: str | torch.device) -> torch.device:
    """A device that is there; ``auto`` is the first GPU, or the CPU.

    Raises:
        DeviceError: if it is not there.
    """
    if str(device) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise DeviceError(
            f"the generator's device is {str(device)!r}, which this machine does not have "
            f"({str(error).splitlines()[0]}); give device='cpu' or leave it out"
        ) from error
    return found


def _home(generator: object) -> torch.device:
    """Where a module's parameters are."""
    if isinstance(generator, nn.Module):
        for tensor in itertools.chain(generator.parameters(), generator.buffers()):
            return tensor.device
    return torch.device("cpu")


def _evaluating(generator: object) -> AbstractContextManager[None]:
    return _evaluation_mode(generator) if isinstance(generator, nn.Module) else nullcontext()


@contextmanager
def _evaluation_mode(module: nn.Module) -> Iterator[None]:
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


@contextmanager
def _seeded(seed: int, position: int, device: torch.device) -> Iterator[None]:
    """What torch draws inside is decided by seed and position; outside it goes on as if nothing had been drawn."""
    value = int(_sha256(f"{seed} {position}")[:15], 16)
    on_gpu = device.type == "cuda"
    index = (torch.cuda.current_device() if device.index is None else device.index) if on_gpu else 0
    with torch.random.fork_rng(devices=[index] if on_gpu else []):
        torch.default_generator.manual_seed(value)
        if on_gpu:
            torch.cuda.default_generators[index].manual_seed(value)
        yield


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
