"""Extractors whose networks are convolutions, and may therefore run on a faster engine than torch."""

from __future__ import annotations

import weakref
from collections.abc import Collection
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from genmetrics.extractors.backends.base import Backend, MakeNetwork, Pending
from genmetrics.extractors.backends.choose import backend_name, make_backend
from genmetrics.extractors.published import PublishedExtractor
from genmetrics.types import BackendChoice, Precision

__all__ = ["ConvolutionalExtractor"]


class ConvolutionalExtractor(PublishedExtractor):
    """A published extractor that runs on a backend; see ``genmetrics.extractors.backends``.

    The network as it was published is there until the first batch is computed, and is read from its file again where it
    is asked for after that: it is in memory once.

    Attributes:
        free_together: outputs that cost nothing once one of them is computed. They are computed together, so that a
            backend that compiles the network does so once for a run whose two sides do not want the same.
    """

    has_backends: ClassVar[bool] = True
    free_together: ClassVar[tuple[str, ...]]

    def __init__(self, weights: Path | None) -> None:
        self._network: nn.Module | None = None
        self._backend: Backend | None = None
        super().__init__(weights)

    @property
    def network(self) -> nn.Module:
        """The published network in torch, on the CPU, batch normalisation and all."""
        if self._network is None:
            self._network = self.read_network()
        return self._network

    @network.setter
    def network(self, network: nn.Module) -> None:
        self._network = network

    @property
    def largest_batch(self) -> int | None:
        """The backend's; None before one is chosen."""
        return None if self._backend is None else self._backend.largest_batch

    @property
    def notes(self) -> tuple[str, ...]:
        """The backend's; none before one is chosen."""
        return () if self._backend is None else self._backend.notes

    def to(self, device: torch.device, precision: Precision, backend: BackendChoice = "auto") -> None:
        """Choose where, how exactly and on what the network computes.

        Raises:
            UsageError: if the backend cannot be had for this device or precision.
            DependencyError: if it is not installed.
        """
        name = backend_name(backend, device, precision)
        self.device, self.precision = device, precision
        self._backend = make_backend(name, _taking(weakref.ref(self)), device, precision)

    def start(self, inputs: Float32[Tensor, "n 3 h w"], wanted: Collection[str]) -> Pending:
        """Begin to compute the wanted features on the backend."""
        self._check_wanted(wanted)
        if self._backend is None:
            self.to(self.device, self.precision)
        assert self._backend is not None
        wanted = tuple(wanted)
        computed = dict.fromkeys(wanted)
        if not computed.keys().isdisjoint(self.free_together):
            computed |= dict.fromkeys(self.free_together)
        pending = self._backend.start(inputs, tuple(name for name in self.features if name in computed))
        return lambda: _chosen(pending(), wanted)

    def _take_network(self) -> nn.Module:
        """The network, which is the backend's from here on."""
        network = self.network
        self._network = None
        return network


def _taking(of: weakref.ref[ConvolutionalExtractor]) -> MakeNetwork:
    """The backend's way to the network; it does not hold the extractor, whose memory would wait for the collector."""

    def take() -> nn.Module:
        extractor = of()
        assert extractor is not None
        return extractor._take_network()

    return take


def _chosen(found: dict[str, Tensor], wanted: tuple[str, ...]) -> dict[str, Tensor]:
    return {name: found[name] for name in wanted}
