"""Which backend a convolutional network runs on."""

from __future__ import annotations

import importlib.util
import platform
from typing import TYPE_CHECKING

from genmetrics.errors import DependencyError, UsageError
from genmetrics.types import BackendChoice, Precision

if TYPE_CHECKING:
    import torch

    from genmetrics.extractors.backends.base import Backend, MakeNetwork

__all__ = ["backend_name", "make_backend"]

# Where OpenVINO was measured to be faster than torch; elsewhere it runs if asked for.
_MEASURED_ON = ("x86_64", "AMD64")


def backend_name(choice: BackendChoice, device: torch.device, precision: Precision) -> str:
    """The backend that ``choice`` comes to, without building anything.

    Args:
        choice: ``auto``, ``openvino``, ``torch`` or ``reference``. ``auto`` takes OpenVINO on the CPU where it is
            installed, has been measured to be faster (x86-64) and has what the precision needs; else torch.
        device: where the network runs.
        precision: how exactly.

    Raises:
        DependencyError: if OpenVINO is asked for and not installed, or is taken and too old or broken.
        UsageError: if it is asked for on another device than the CPU, or at a precision that it does not have here.
    """
    if choice in ("torch", "reference"):
        return choice
    installed = importlib.util.find_spec("openvino") is not None
    if choice == "auto":
        fits = device.type == "cpu" and installed and platform.machine() in _MEASURED_ON and precision != "tf32"
        return "openvino" if fits and (precision != "bf16" or _openvino_has_bf16()) else "torch"
    if device.type != "cpu":
        raise UsageError(
            f"backend 'openvino' runs on the CPU, and the device is {str(device)!r}; leave '--backend' out, or add "
            "'--device cpu'"
        )
    if not installed:
        raise DependencyError(
            "backend 'openvino' needs the package openvino; install it with \"pip install 'genmetrics[openvino]'\", or "
            "use '--backend torch'"
        )
    if precision == "tf32":
        raise UsageError("backend 'openvino' has no precision 'tf32', which is of GPUs; use exact or bf16")
    if precision == "bf16" and not _openvino_has_bf16():
        raise UsageError(
            "precision 'bf16' was asked for of backend 'openvino', and this processor has no bfloat16 instructions; "
            "use '--precision exact', which is no slower here"
        )
    return "openvino"


def make_backend(name: str, make: MakeNetwork, device: torch.device, precision: Precision) -> Backend:
    """The backend of that name.

    Args:
        name: from ``backend_name``.
        make: makes the network.
        device: where it runs.
        precision: how exactly.

    Raises:
        DependencyError: if the installed OpenVINO is too old or broken.
    """
    if name == "openvino":
        from genmetrics.extractors.backends.openvino_backend import OpenVINOBackend

        return OpenVINOBackend(make, precision)
    if name == "torch" and device.type == "cuda":
        from genmetrics.extractors.backends.cuda_graph import CudaGraphBackend

        return CudaGraphBackend(make, device, precision)
    from genmetrics.extractors.backends.torch_backend import ReferenceBackend, TorchBackend

    return (ReferenceBackend if name == "reference" else TorchBackend)(make, device, precision)


def _openvino_has_bf16() -> bool:
    from genmetrics.extractors.backends.openvino_backend import has_bf16

    return has_bf16()
