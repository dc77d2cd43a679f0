"""The contract of an extractor: images in, named features out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from genmetrics.errors import UsageError
from genmetrics.extractors import EXTRACTORS
from genmetrics.extractors.backends.base import Pending
from genmetrics.extractors.weights import WeightsFile
from genmetrics.precision import choosing_algorithms, computing_at
from genmetrics.preprocess.spec import Preprocess, get_preprocess
from genmetrics.registry import load_target
from genmetrics.types import BackendChoice, ExtractorInfo, Precision

__all__ = ["Extractor", "ExtractorByName", "has_backends", "load_extractor", "locate_weights", "packages_of"]


class Extractor(ABC):
    """A network with named feature outputs, fixed weights and its own published preprocessing.

    A subclass is made by calling it with the path of a weight file, or with None for its published one; it
    sets ``info`` and ``weights`` and holds its modules in ``network``.

    Attributes:
        packages: the optional packages that its network runs on, whose versions decide on the features too.
        has_backends: whether its network may run on another engine than torch.
    """

    packages: ClassVar[tuple[str, ...]] = ()
    has_backends: ClassVar[bool] = False
    info: ExtractorInfo
    weights: WeightsFile
    network: torch.nn.Module

    def __init__(self, weights: Path | None) -> None:
        self.device = torch.device("cpu")
        self.precision: Precision = "exact"

    @classmethod
    def locate(cls, weights: Path | None) -> WeightsFile | None:
        """The weight file that ``cls(weights)`` would use, found without building the network.

        Implementing it is a promise: equal ids and equal weight files give equal features, so that what was
        computed may be kept. None promises nothing; the network is then built for every run.

        Raises:
            WeightsError: if there is none, or it is refused.
        """
        return None

    @property
    def id(self) -> str:
        """``architecture.tag``."""
        return self.info.id

    @property
    def preprocess(self) -> Preprocess:
        """The extractor's own published preprocessing."""
        return get_preprocess(self.info.preprocess)

    @property
    def features(self) -> Mapping[str, int]:
        """The width of each named output."""
        return self.info.features

    @property
    def largest_batch(self) -> int | None:
        """The most images for which a larger batch is faster where it runs now; None where larger is better."""
        return None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of a record must know of how the network ran so far."""
        return ()

    @property
    def weights_sha256(self) -> str | None:
        """The sha256 of the weight file's bytes; None where what decides on the features cannot be told."""
        return self.weights.sha256

    def to(self, device: torch.device, precision: Precision, backend: BackendChoice = "auto") -> None:
        """Move the network to a device, and choose how exactly it computes and on what.

        Args:
            device: where it runs.
            precision: ``exact``, ``tf32`` or ``bf16``.
            backend: of extractors that have several; others run on torch.

        Raises:
            UsageError: if the backend cannot be had for this device or precision.
            DependencyError: if it is not installed.
        """
        self.network.to(device)
        self.device = device
        self.precision = precision

    def __call__(self, images: UInt8[Tensor, "n 3 h w"], wanted: Collection[str]) -> dict[str, Float32[Tensor, "n _"]]:
        """The wanted features of images, with the extractor's own preprocessing.

        Args:
            images: (n, 3, h, w) uint8 RGB, 0..255, on any device.
            wanted: names from ``features``.

        Raises:
            UsageError: if an output does not exist.
        """
        return self.run(self.preprocess(images.to(self.device)), wanted)

    def run(self, inputs: Float32[Tensor, "n 3 h w"], wanted: Collection[str]) -> dict[str, Float32[Tensor, "n _"]]:
        """The wanted features of inputs that are preprocessed already, on the extractor's device.

        Raises:
            UsageError: if an output does not exist.
        """
        return self.start(inputs, wanted)()

    def start(self, inputs: Float32[Tensor, "n 3 h w"], wanted: Collection[str]) -> Pending:
        """Begin to compute what ``run`` gives; the answer is had by calling what comes back, once.

        Args:
            inputs: as for ``run``; they may not be changed before the answer is there.
            wanted: names from ``features``.

        Raises:
            UsageError: if an output does not exist.
        """
        self._check_wanted(wanted)
        search = False if self.precision == "exact" else None
        with torch.inference_mode(), computing_at(self.precision, self.device), choosing_algorithms(search):
            outputs = self.forward(inputs, wanted)
        found = {name: outputs[name].to(torch.float32) for name in wanted}
        return lambda: found

    def _check_wanted(self, wanted: Collection[str]) -> None:
        unknown = [name for name in wanted if name not in self.features]
        if unknown:
            raise UsageError(
                f"extractor {self.id!r} has no output {unknown[0]!r}; its outputs: {', '.join(self.features)}"
            )

    @abstractmethod
    def forward(self, inputs: Float32[Tensor, "n 3 h w"], wanted: Collection[str]) -> dict[str, Tensor]:
        """Run the network on preprocessed inputs; called without gradients and at the chosen precision."""


class ExtractorByName(Extractor):
    """An extractor of which one class serves many ids, each of which says what it is made of: ``hf:…``.

    Attributes:
        name: the id, which ``of`` sets.
    """

    name: ClassVar[str] = ""

    @classmethod
    def of(cls, name: str) -> type[ExtractorByName]:
        """The class of one id, made as any extractor is."""
        return type(cls.__name__, (cls,), {"name": name, "__module__": cls.__module__})


def _class_of(name: str) -> Any:
    found = load_target(EXTRACTORS.get(name).target)
    return found.of(name) if isinstance(found, type) and issubclass(found, ExtractorByName) else found


def locate_weights(name: str, weights: Path | None = None) -> WeightsFile | None:
    """The weight file that ``load_extractor`` would use, without building anything; None if that cannot be told.

    Raises:
        UnknownNameError: if no extractor has that id.
        WeightsError: if the weights are missing or refused.
    """
    located: WeightsFile | None = _class_of(name).locate(weights)
    return located


def packages_of(name: str) -> tuple[str, ...]:
    """The optional packages that an extractor's network runs on.

    Raises:
        UnknownNameError: if no extractor has that id.
    """
    packages: tuple[str, ...] = _class_of(name).packages
    return packages


def has_backends(name: str) -> bool:
    """Whether an extractor's network may run on another engine than torch.

    Raises:
        UnknownNameError: if no extractor has that id.
    """
    several: bool = _class_of(name).has_backends
    return several


def load_extractor(name: str, weights: Path | None = None) -> Extractor:
    """Build an extractor with its weights, on the CPU.

    Args:
        name: the extractor's id.
        weights: a weight file in place of the published one.

    Raises:
        UnknownNameError: if no extractor has that id.
        MissingWeightsError: if there are no weights and none can be fetched.
        WeightsError: if the weights are damaged, do not fit, or are refused.
    """
    extractor: Extractor = _class_of(name)(weights)
    return extractor
