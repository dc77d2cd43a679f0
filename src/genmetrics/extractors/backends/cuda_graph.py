"""Torch on a CUDA device, each network launched as a whole.

Inception is some three hundred small kernels; launched one by one from Python they take as long as a fast GPU needs to
run them. A CUDA graph records the launches once, on tensors at fixed places, and repeats them in one call. So batches
are copied into a fixed input, a batch with fewer images is filled up with zeros, and what comes of these is cut off
before anybody sees it: an image's features do not depend on what else is in its batch.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from jaxtyping import Float32
from torch import Tensor

from genmetrics.errors import GenmetricsWarning
from genmetrics.extractors.backends.base import Backend, MakeNetwork, Pending
from genmetrics.extractors.backends.torch_backend import TorchBackend
from genmetrics.precision import choosing_algorithms
from genmetrics.types import Precision

__all__ = ["Capture", "CudaCapture", "CudaGraphBackend", "Recorded"]

#: Shapes and choices of outputs that are recorded at most; each keeps the memory of a batch.
_MOST_GRAPHS = 4
#: Runs before the recording, in which libraries choose algorithms and set themselves up.
_WARMUP = 3

Run = Callable[[], dict[str, Tensor]]


class Recorded(ABC):
    """A function on tensors at fixed places that was recorded.

    Attributes:
        outputs: where it puts what it gives.
    """

    outputs: Mapping[str, Tensor]

    @abstractmethod
    def begin(self) -> None:
        """Before its tensors are touched: what uses them now comes after what used them last, on whatever stream."""

    @abstractmethod
    def replay(self) -> None:
        """Do it again."""

    @abstractmethod
    def end(self) -> None:
        """After all that touches its tensors is launched."""


class Capture(ABC):
    """Records functions."""

    @abstractmethod
    def record(self, run: Run) -> Recorded:
        """Record a function.

        Args:
            run: launches the same each time, on the same tensors.

        Raises:
            RuntimeError: if it does what cannot be recorded.
        """


class CudaGraphBackend(Backend):
    """``TorchBackend`` with its launches recorded.

    The first batch of a shape and of a choice of outputs runs plainly: a set that ends with it is through before
    anything could be recorded. The second is recorded. A larger batch than the recorded one is recorded anew.
    """

    name: ClassVar[str] = "torch"

    def __init__(
        self, make: MakeNetwork, device: torch.device, precision: Precision, capture: Capture | None = None
    ) -> None:
        """Prepare the network.

        Args:
            make: makes it.
            device: a CUDA device; any, if ``capture`` is given.
            precision: how exactly it computes.
            capture: what records; None is a CUDA graph, with the fastest algorithms that cuDNN finds where numbers
                need not be exact.
        """
        self._plain = TorchBackend(make, device, precision)
        self._capture = CudaCapture(device, search=precision != "exact") if capture is None else capture
        self._exact = precision == "exact"
        self._seen: set[tuple[tuple[str, ...], torch.Size]] = set()
        self._fixed: dict[tuple[tuple[str, ...], torch.Size], _Fixed] = {}
        self._notes: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """That the network could not be recorded, and why."""
        return self._notes

    def start(self, inputs: Float32[Tensor, "n c h w"], wanted: tuple[str, ...]) -> Pending:
        """Put the batch into the current stream.

        Raises:
            GenmetricsWarning: as a warning, if the network cannot be recorded; it then runs plainly.
        """
        # Batches that run plainly, too: the first of each shape, and all where nothing can be recorded.
        with choosing_algorithms(False if self._exact else None):
            return self._started(inputs, wanted)

    def _started(self, inputs: Tensor, wanted: tuple[str, ...]) -> Pending:
        key = (wanted, inputs.shape[1:])
        if key not in self._seen or self._notes or len(inputs) == 0:
            self._seen.add(key)
            return self._plain.start(inputs, wanted)
        fixed = self._fixed.get(key)
        if fixed is None or fixed.size < len(inputs):
            fixed = self._recorded(inputs, wanted)
            if fixed is None:
                return self._plain.start(inputs, wanted)
            self._fixed[key] = fixed
        outputs = fixed.run(inputs)
        return lambda: outputs

    def _recorded(self, inputs: Tensor, wanted: tuple[str, ...]) -> _Fixed | None:
        key = (wanted, inputs.shape[1:])
        self._fixed.pop(key, None)  # its memory is free for the larger one
        if len(self._fixed) >= _MOST_GRAPHS:
            return None
        try:
            return _Fixed(self._plain, self._capture, inputs, wanted)
        except RuntimeError as error:
            reason = (str(error).strip() or repr(error)).splitlines()[0]
            note = (
                f"the network's launches could not be recorded as a CUDA graph ({reason}); it ran launch by launch, "
                "which gives the same features and takes longer"
            )
            self._notes = (note,)
            warnings.warn(note, GenmetricsWarning, stacklevel=2)
            return None


class _Fixed:
    """The network for batches of at most so many images of one shape.

    Attributes:
        size: how many images.
    """

    def __init__(self, plain: TorchBackend, capture: Capture, inputs: Tensor, wanted: tuple[str, ...]) -> None:
        self.size = len(inputs)
        with torch.inference_mode(mode=False):  # batches that come outside of it are copied here too
            self._inputs = torch.zeros_like(inputs, memory_format=torch.channels_last)
        # Not zeros: libraries may find other algorithms the fastest on them.
        self._inputs.copy_(inputs)

        def run() -> dict[str, Tensor]:
            return plain.start(self._inputs, wanted)()

        self._recorded = capture.record(run)

    def run(self, inputs: Tensor) -> dict[str, Tensor]:
        count = len(inputs)
        self._recorded.begin()
        self._inputs[:count].copy_(inputs)
        if count < self.size:
            self._inputs[count:].zero_()
        self._recorded.replay()
        # Copies: the next batch is put in the same places.
        outputs = {name: values[:count].clone() for name, values in self._recorded.outputs.items()}
        self._recorded.end()
        return outputs


class CudaCapture(Capture):
    """Records CUDA graphs.

    Source: the notes on CUDA semantics in PyTorch's documentation, CUDA graphs: warm up on a side stream, record on it,
    replay on fixed inputs.
    """

    def __init__(self, device: torch.device, *, search: bool) -> None:
        """Choose a device.

        Args:
            device: a CUDA device.
            search: let cuDNN try out its algorithms for each shape and take the fastest, which rounds in its own way.
        """
        self._device = device
        self._search = search

    def record(self, run: Run) -> Recorded:
        """Record what the function launches."""
        with torch.cuda.device(self._device), choosing_algorithms(self._search):
            before = torch.cuda.current_stream()
            aside: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            aside.wait_stream(before)
            graph = torch.cuda.CUDAGraph()
            try:
                with torch.cuda.stream(aside):
                    for _ in range(_WARMUP):
                        run()
                # Other threads may go on: those that decode lock pages, and a training loop has streams of its own.
                with torch.cuda.graph(graph, stream=aside, capture_error_mode="thread_local"):
                    outputs = run()
            finally:
                # Where recording fails, torch may leave the side stream as the current one.
                torch.cuda.set_stream(before)
            before.wait_stream(aside)
        return _CudaGraph(graph, outputs, self._device)


class _CudaGraph(Recorded):
    def __init__(self, graph: torch.cuda.CUDAGraph, outputs: Mapping[str, Tensor], device: torch.device) -> None:
        self.outputs = outputs
        self._graph = graph
        self._device = device
        self._done: torch.cuda.Event | None = None

    def begin(self) -> None:
        if self._done is not None:
            torch.cuda.current_stream(self._device).wait_event(self._done)

    def replay(self) -> None:
        with torch.cuda.device(self._device):
            self._graph.replay()

    def end(self) -> None:
        self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._done.record(torch.cuda.current_stream(self._device))
