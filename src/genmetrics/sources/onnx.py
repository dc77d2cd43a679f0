"""Generators in ONNX files, run by ONNX Runtime."""

from __future__ import annotations

import mmap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genmetrics.errors import DependencyError, DeviceError, SourceError, UsageError
from genmetrics.sources.model_file import Loaded, ModelFileSource

__all__ = ["OnnxNetwork", "OnnxSource", "open_session"]

_TYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
}
_ERRORS_ONLY = 3
#: The key by which a model names files that hold its weights, as protobuf writes it.
_EXTERNAL = b"\x0a\x08location"


class OnnxSource(ModelFileSource):
    """An ONNX model: its first input is the noise, its second the labels, its first output the images.

    A model whose batch size is fixed is run with batches of that size; what is too much of the last one is left out.
    """

    kind = "onnx"
    _what = "ONNX"

    def _load(self, path: Path, shown: str, device: torch.device, options: Mapping[str, Any]) -> Loaded:
        session = open_session(path, shown, device, required=options.get("device", "auto") != "auto")
        import onnxruntime

        network = OnnxNetwork(session, f"'{self.description}'", options)
        runs_on = session.get_providers()[0]
        if _names_other_files(path):
            note = "the model keeps weights in other files, whose content is not looked at: it is never cached"
            return Loaded(network, torch.device("cpu"), None, network.batch_size, (note,))
        version = f"onnxruntime {onnxruntime.__version__} {runs_on}"
        return Loaded(network, torch.device("cpu"), version, network.batch_size)


def open_session(path: Path, shown: str, device: torch.device, required: bool) -> Any:
    """An ONNX Runtime session of a model.

    Args:
        path: where it is.
        shown: the path as given.
        device: where it is to run, if ONNX Runtime can.
        required: whether it is an error if it cannot.

    Raises:
        SourceError: if the file is no model.
        DeviceError: if ONNX Runtime cannot run there.
        DependencyError: if it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise DependencyError(
            f"'{shown}' is run by ONNX Runtime, which is not installed: pip install 'genmetrics[onnx]'"
        ) from error
    available = onnxruntime.get_available_providers()
    provider: Any = "CPUExecutionProvider"
    if device.type == "cuda" and "CUDAExecutionProvider" in available:
        provider = ("CUDAExecutionProvider", {"device_id": device.index or 0})
    elif device.type != "cpu" and required:
        raise DeviceError(
            f"device={device} was given, and this ONNX Runtime has {', '.join(available)}; give "
            "device=cpu, or install onnxruntime-gpu"
        )
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = _ERRORS_ONLY
    try:
        return onnxruntime.InferenceSession(str(path), settings, providers=[provider])
    except Exception as error:
        raise SourceError(f"'{shown}' cannot be loaded as an ONNX model: {error}; it may be damaged") from error


class OnnxNetwork:
    """A session as a function of tensors on the CPU."""

    def __init__(self, session: Any, what: str, options: Mapping[str, Any]) -> None:
        """Check the model's inputs against the options.

        Args:
            session: the ONNX Runtime session.
            what: the source in messages.
            options: those of the generator.

        Raises:
            UsageError: if they do not fit.
        """
        self._session = session
        inputs = session.get_inputs()
        classes = options.get("num_classes", 0)
        expected = 2 if classes else 1
        shown = ", ".join(f"'{one.name}' {one.type.removeprefix('tensor')} {_shape_text(one.shape)}" for one in inputs)
        if len(inputs) != expected:
            hint = "give num_classes=… for its labels" if len(inputs) == 2 else "expected noise, and labels at most"
            if len(inputs) < expected:
                hint = "it takes no labels: leave num_classes out"
            raise UsageError(f"{what}: the model has {len(inputs)} inputs, {shown}, expected {expected}; {hint}")
        unknown = [one.name for one in inputs if one.type not in _TYPES]
        if unknown:
            raise UsageError(f"{what}: the model's inputs are {shown}, expected types {', '.join(_TYPES)}")
        size = options["z_size"]
        wanted = (size,) if isinstance(size, int) else tuple(size)
        shape = inputs[0].shape[1:]
        if len(shape) != len(wanted) or any(isinstance(a, int) and a != b for a, b in zip(shape, wanted, strict=True)):
            raise UsageError(
                f"{what}: the model's noise is {_shape_text(inputs[0].shape)}, which z_size={_size_text(wanted)} does "
                f"not fit; give z_size={_size_text(shape)}"
            )
        first = inputs[0].shape[0]
        self.batch_size = first if isinstance(first, int) else None
        if self.batch_size is not None and options.get("batch_size", self.batch_size) != self.batch_size:
            raise UsageError(
                f"{what}: the model runs with batches of {self.batch_size} only; leave "
                f"batch_size={options['batch_size']} out"
            )
        self._inputs = [(one.name, _TYPES[one.type]) for one in inputs]
        self._output = session.get_outputs()[0].name

    def __call__(self, *tensors: Tensor) -> Tensor:
        """The images of noise, and of labels if the model takes them; all on the CPU."""
        number = len(tensors[0])
        arrays = [self._padded(tensor.numpy()) for tensor in tensors]
        given = {name: array.astype(kind) for (name, kind), array in zip(self._inputs, arrays, strict=True)}
        [images] = self._session.run([self._output], given)
        if not isinstance(images, np.ndarray):
            raise TypeError(f"its first output is a {type(images).__name__}, expected a tensor")
        found = torch.from_numpy(images if images.flags.writeable else images.copy())
        # Of a batch that was filled up; any other number of images is noticed by the source.
        return found[:number] if self.batch_size == len(found) else found

    def _padded(self, array: np.ndarray) -> np.ndarray:
        if self.batch_size is None or len(array) == self.batch_size:
            return array
        return np.concatenate([array, np.repeat(array[-1:], self.batch_size - len(array), axis=0)])


def _names_other_files(path: Path) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(_EXTERNAL) >= 0


def _shape_text(shape: Sequence[Any]) -> str:
    return f"({', '.join(str(size) if isinstance(size, int) else '?' for size in shape)})"


def _size_text(shape: Sequence[Any]) -> str:
    return "x".join(str(size) if isinstance(size, int) else "?" for size in shape)
