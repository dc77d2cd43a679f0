"""OpenVINO on the CPU: near the processor's own limit in float32, and in bfloat16 where it has the instructions.

One request a thread, each with a batch of its own: no thread waits for another, so that decoding may take a core for a
while without holding up the rest. Batches of the compiled network have one size, and the last is filled up; the
features of an image do not depend on what else is in its batch, to the last bit.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from genmetrics.errors import DeviceError, StatisticsError
from genmetrics.extractors.backends.base import Backend, MakeNetwork, Pending
from genmetrics.extractors.backends.folding import fold_norms
from genmetrics.extractors.backends.lowering import CannotLowerError, lower
from genmetrics.extractors.backends.openvino_package import openvino
from genmetrics.precision import computing_at
from genmetrics.types import Precision

__all__ = ["OpenVINOBackend", "has_bf16"]

# As fast as larger ones for convolutions, and wide layers are not starved.
_BATCH = 4
_MOST_REQUESTS = 16
# How far the two engines may be apart on the example, relative to the norm of an output.
_TOLERANCE: dict[Precision, float] = {"exact": 1e-4, "bf16": 0.3}


@functools.cache
def has_bf16() -> bool:
    """Whether this processor computes in bfloat16."""
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


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
            DeviceError: if what OpenVINO made of the network does not give the network's features.
            StatisticsError: if the network gives NaN or infinity, as with damaged weights.
        """
        key = (wanted, inputs.shape[1:])
        if key not in self._compiled:
            self._compiled[key] = _Compiled(self._make(), inputs.shape[1:], wanted, self._precision)
            _give_back_freed_memory()
        return self._compiled[key].start(inputs)


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
        example = torch.randn((1, *shape), generator=torch.Generator().manual_seed(0))
        with computing_at("exact", torch.device("cpu")):
            try:
                model, expected = lower(fold_norms(network), example, _BATCH, wanted)
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
        self._model = openvino.Core().compile_model(model, "CPU", settings)
        self._queue = openvino.AsyncInferQueue(self._model, requests)
        self._queue.set_callback(_take)
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
        # This waits for later batches too, of which there is one at most.
        if batch.missing:
            self._queue.wait_all()
        return {name: torch.from_numpy(values) for name, values in zip(self._wanted, batch.outputs, strict=True)}

    def _check(self, example: Tensor, expected: Sequence[Tensor], precision: Precision) -> None:
        found = self.start(example)()
        for name, reference in zip(self._wanted, expected, strict=True):
            if not bool(reference.isfinite().all()):
                # OpenVINO's rectifiers make 0 of NaN: there the features would look sound.
                raise StatisticsError(
                    f"the features {name!r} of a test image contain NaN or infinity with these weights; no number "
                    "computed from them would mean anything. Look at the weights"
                )
            error = float((found[name] - reference).norm() / reference.norm().clamp(min=1e-30))
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
        self.outputs = [np.empty((count, width), dtype=np.float32) for width in widths]
        self.missing = count
        # The engine reads its inputs where they are.
        self.parts: list[np.ndarray] = []


def _take(request: Any, userdata: tuple[_Batch, int]) -> None:
    batch, begin = userdata
    for position, output in enumerate(batch.outputs):
        values = request.get_output_tensor(position).data
        count = min(len(values), len(output) - begin)
        output[begin : begin + count] = values[:count]
    batch.missing -= count
