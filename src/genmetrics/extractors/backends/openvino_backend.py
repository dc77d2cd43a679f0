"""OpenVINO on the CPU: near the processor's own limit in float32, and in bfloat16 where it has the instructions.

One request a thread, each with a batch of its own: no thread waits for another, so that decoding may take a core for a
while without holding up the rest. Batches of the compiled network have one size, and the last is filled up; the
features of an image do not depend on what else is in its batch, to the last bit.
"""

from __future__ import annotations

import ctypes
import functools
import os
import weakref
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from genmetrics.errors import DeviceError, StatisticsError
from genmetrics.extractors.backends.base import Backend, MakeNetwork, Pending
from genmetrics.extractors.backends.folding import fold_norms
from genmetrics.extractors.backends.lowering import CannotLowerError, Head, lower
from genmetrics.extractors.backends.openvino_package import openvino
from genmetrics.precision import computing_at
from genmetrics.types import Precision

__all__ = ["OpenVINOBackend", "has_bf16"]

# Which of the examples comes in which place: no two neighbours are alike, and torch, which takes longer, runs three.
_PLACES = (0, 1, 2, 0)
# As fast as larger ones for convolutions, and wide layers are not starved.
_BATCH = 4
_MOST_REQUESTS = 16
# How far the two engines may be apart on an example, relative to the norm of its output. Outputs of two examples are
# further apart than either, so that an image's features in the place of another's are noticed.
_TOLERANCE: Mapping[Precision, float] = MappingProxyType({"exact": 1e-4, "bf16": 0.15})


@functools.cache
def has_bf16() -> bool:
    """Whether this processor computes in bfloat16."""
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVINOBackend(Backend):
    """Compiles the network when the first batch of a shape comes, and then lets go of torch's.

    It uses as many threads as torch would (``OMP_NUM_THREADS``, ``torch.set_num_threads``).
    """

    name: ClassVar[str] = "openvino"

    def __init__(self, make: MakeNetwork, precision: Precision) -> None:
        self._make = make
        self._precision = precision
        # Enough for each request to have its next part waiting; more would only take memory.
        self.largest_batch = 2 * _BATCH * _num_requests()
        self._compiled: dict[tuple[tuple[str, ...], torch.Size], _Compiled] = {}

    def start(self, inputs: Float32[Tensor, "n c h w"], wanted: tuple[str, ...]) -> Pending:
        """Hand the batch over; returns when there is room for more.

        Raises:
            DeviceError: if what OpenVINO made of the network does not give the network's features, or the process was
                forked from one in which OpenVINO has run.
            StatisticsError: if the network gives NaN or infinity, as with damaged weights.
        """
        _check_not_forked()
        key = (wanted, inputs.shape[1:])
        if key not in self._compiled:
            self._compiled[key] = _Compiled(self._make(), inputs.shape[1:], wanted, self._precision)
            _give_back_freed_memory()
        return self._compiled[key].start(inputs)


@functools.cache
def _core() -> Any:
    """The one engine of this process.

    Each gives the thread that makes it an alternate stack for signals, and when it ends puts back the one before, even
    if that was another engine's and is freed: the next signal that Python or torch has a handler for, such as the end
    of a data loader's worker, would kill the process.
    """
    return openvino.Core()


@functools.cache
def _first_process() -> int:
    """The process in which OpenVINO ran first: this one, or one that it was forked from."""
    return os.getpid()


def _check_not_forked() -> None:
    """OpenVINO's threads are not forked with a process: it would wait for them for ever."""
    if _first_process() != os.getpid():
        raise DeviceError(
            "backend 'openvino' cannot run in a process that was forked from one in which it has run already; start "
            'processes by the method "spawn" (multiprocessing.get_context("spawn")), or before the first network runs'
        )


def _num_requests() -> int:
    return min(torch.get_num_threads(), _MOST_REQUESTS)


def _give_back_freed_memory() -> None:
    """Torch's copy of the weights has just been freed, in pieces that glibc would keep for the rest of the run."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library; Windows has no program of that name
        return
    trim(0)


class _Compiled:
    """The network for one shape of images and one choice of outputs."""

    def __init__(self, network: nn.Module, shape: torch.Size, wanted: tuple[str, ...], precision: Precision) -> None:
        requests = _num_requests()
        example = _examples(shape)
        with computing_at("exact", torch.device("cpu")):
            try:
                # OpenVINO would round the layers after pooling to bfloat16, and the means before them too.
                bf16 = precision == "bf16"
                model, expected, self._heads = lower(fold_norms(network), example, _BATCH, wanted, heads_in_torch=bf16)
            except CannotLowerError as error:
                raise DeviceError(
                    f"backend 'openvino' cannot run this network ({error}); use '--backend torch'"
                ) from None
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "EXECUTION_MODE_HINT": "PERFORMANCE" if precision == "bf16" else "ACCURACY",
            "NUM_STREAMS": requests,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            # Several processes on one machine would all be bound to its first cores.
            "ENABLE_CPU_PINNING": False,
        }
        self._model = _core().compile_model(model, "CPU", settings)
        self._queue = openvino.AsyncInferQueue(self._model, requests)
        self._queue.set_callback(_take)
        # Batches that nobody waits for any more: were the interpreter or the queue gone when their features come, the
        # engine's threads would take the process down with them.
        weakref.finalize(self, _wait_for, self._queue, os.getpid())
        self._wanted = wanted
        self._widths = [int(output.shape[1]) for output in self._model.outputs]
        self._check(example, expected, precision)

    def start(self, inputs: Tensor) -> Pending:
        batch = _Batch(inputs.shape[0], self._widths)
        values = inputs.contiguous().numpy()
        for begin in range(0, len(values), _BATCH):
            part = values[begin : begin + _BATCH]
            if len(part) < _BATCH:
                part = np.concatenate((part, np.zeros((_BATCH - len(part), *part.shape[1:]), part.dtype)))
            batch.parts.append(part)
            self._queue.start_async({0: part}, (batch, begin), share_inputs=True)
        return functools.partial(self._result, batch)

    def _result(self, batch: _Batch) -> dict[str, Tensor]:
        _check_not_forked()
        # This waits for later batches too, of which there is one at most.
        if batch.missing and batch.error is None:
            self._queue.wait_all()
        if batch.error is not None:
            raise batch.error
        if batch.missing:
            raise DeviceError(
                f"backend 'openvino' (openvino {openvino.__version__}) gave no features for {batch.missing} of "
                f"{batch.count} images; use '--backend torch'"
            )
        found = [torch.from_numpy(values) for values in batch.outputs]
        return {
            name: found[place] if head is None else _headed(head, found[place])
            for name, (place, head) in zip(self._wanted, self._heads, strict=True)
        }

    def _check(self, example: Tensor, expected: Sequence[Tensor], precision: Precision) -> None:
        places = list(_PLACES)
        found = self.start(example[places])()
        for name, of_examples in zip(self._wanted, expected, strict=True):
            reference = of_examples[places]
            if not bool(reference.isfinite().all()):
                # OpenVINO's rectifiers make 0 of NaN: there the features would look sound.
                raise StatisticsError(
                    f"the features {name!r} of a test image contain NaN or infinity with these weights; no number "
                    "computed from them would mean anything. Look at the weights"
                )
            apart = (found[name] - reference).norm(dim=1) / reference.norm(dim=1).clamp(min=1e-30)
            error = float(apart.max())
            if not error <= _TOLERANCE[precision]:
                raise DeviceError(
                    f"backend 'openvino' (openvino {openvino.__version__}) gave other features {name!r} than torch on "
                    f"a test image (relative difference {error:.2g}, at most {_TOLERANCE[precision]:g} is allowed); "
                    "use '--backend torch'"
                )


class _Batch:
    """Where the features of a batch go, part by part.

    They are NumPy's until all are there: a tensor that is made in inference mode cannot be filled by another thread.
    """

    def __init__(self, count: int, widths: Sequence[int]) -> None:
        self.count = count
        self.outputs = [np.empty((count, width), dtype=np.float32) for width in widths]
        #: How many images each part was of whose features are there; each thread appends, which needs no lock.
        self.done: list[int] = []
        self.error: Exception | None = None
        # The engine reads its inputs where they are.
        self.parts: list[np.ndarray] = []

    @property
    def missing(self) -> int:
        """How many images' features are not there."""
        return self.count - sum(self.done)


def _headed(head: Head, values: Tensor) -> Tensor:
    """The last layers, always of as many images at once: torch rounds in another way for other numbers of them."""
    padded = nn.functional.pad(values, (0, 0, 0, -len(values) % _BATCH or (0 if len(values) else _BATCH)))
    with torch.no_grad(), computing_at("exact", torch.device("cpu")):
        return torch.cat([head(part) for part in torch.split(padded, _BATCH)])[: len(values)]


def _take(request: Any, userdata: tuple[_Batch, int]) -> None:
    """Called by a thread of the engine's, in which an exception would end the process."""
    batch, begin = userdata
    count = min(_BATCH, batch.count - begin)
    try:
        for position, output in enumerate(batch.outputs):
            output[begin : begin + count] = request.get_output_tensor(position).data[:count]
    except Exception as error:
        batch.error = error
    else:
        batch.done.append(count)


def _wait_for(queue: Any, process: int) -> None:
    """Let a queue come to rest, in the process that it is of."""
    if os.getpid() == process:
        queue.wait_all()


def _examples(shape: torch.Size) -> Tensor:
    """Images that are unlike for a network. Channels last is what torch's convolutions take the least time with."""
    coarse = torch.randn((3, shape[0], 6, 6), generator=torch.Generator().manual_seed(0))
    images = nn.functional.interpolate(coarse, shape[1:], mode="bilinear")
    return images.contiguous(memory_format=torch.channels_last)
