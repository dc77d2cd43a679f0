"""A device without values, which stands for one that computes later: torch's ``meta``.

Its tensors have a shape, a type and a device. An operation on tensors of two devices is an error as it would be on a
GPU, and so is a question about values, for which a GPU would have to be waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from genmetrics import devices
from genmetrics.accumulators import feature_bank, on_device, softmax_sums
from genmetrics.extractors.backends import torch_backend
from genmetrics.preprocess import resize_pil, spec
from genmetrics.preprocess.resize_tf1 import resize_tf1_bilinear_by_torch

__all__ = ["META", "CopyError", "shapes_only"]

META = torch.device("meta")


class CopyError(Exception):
    """A copy between devices for which the caller would wait."""


class _NoCopies(TorchDispatchMode):
    """Copies between devices are errors: those that nobody waits for are made by functions that are replaced."""

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func.overloadpacket is torch.ops.aten._to_copy:
            target = (kwargs or {}).get("device")
            if target is not None and target != args[0].device:
                raise CopyError(f"from {args[0].device} to {target}")
        if func.overloadpacket is torch.ops.aten.copy_ and args[0].device != args[1].device:
            raise CopyError(f"from {args[1].device} to {args[0].device}")
        return func(*args, **(kwargs or {}))


class _Fetched:
    """A copy that is on its way."""

    def __init__(self, values: Tensor) -> None:
        assert values.device == META
        self._like = values

    def ready(self) -> bool:
        return False

    def take(self) -> Tensor:
        return torch.zeros(self._like.shape, dtype=self._like.dtype)


def _sent(values: Tensor, device: torch.device) -> Tensor:
    assert values.device.type == "cpu"
    return torch.empty(values.shape, dtype=values.dtype, device=device)


@contextmanager
def shapes_only() -> Iterator[None]:
    """Inside, ``meta`` goes the ways of a CUDA device."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (devices, softmax_sums, resize_pil, spec):
            patch.setattr(module, "sent", _sent)
        for module in (on_device, feature_bank):
            patch.setattr(module, "Fetched", _Fetched)
            patch.setattr(module, "is_late", lambda values: values.device == META)
        patch.setitem(spec.RESIZERS, "tf1-bilinear", resize_tf1_bilinear_by_torch)
        patch.setattr(torch_backend, "computing_at", lambda precision, device: nullcontext())
        with _NoCopies():
            yield
