"""Small functions that extractors written for torch-fidelity import from its module of this name."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch

from genmetrics.compat.torch_fidelity.defaults import DEFAULTS
from genmetrics.errors import UsageError
from genmetrics.registry import did_you_mean

__all__ = ["check_settings", "get_kwarg", "internal_dtype", "text_to_dtype", "vassert", "vprint"]

_DTYPES: Mapping[str, torch.dtype] = MappingProxyType(
    {"uint8": torch.uint8, "float32": torch.float32, "float64": torch.float64}
)


def vassert(truecond: object, message: str) -> None:
    """Raise if something does not hold.

    Raises:
        UsageError: with the message; it is a ``ValueError``.
    """
    if not truecond:
        raise UsageError(message)


def vprint(verbose: bool, message: str) -> None:
    """Write a line to standard error, if it is wanted."""
    if verbose:
        print(message, file=sys.stderr)


def get_kwarg(name: str, kwargs: Mapping[str, Any]) -> Any:
    """An option among those that were given, or its default.

    Raises:
        UsageError: if there is no option of that name.
    """
    check_settings({name: None})
    return kwargs.get(name, DEFAULTS[name])


def text_to_dtype(name: str | None, default: str | torch.dtype | None = None) -> torch.dtype | None:
    """The type of that name, ``uint8``, ``float32`` or ``float64``; the default if it is another or None.

    torch-fidelity's gives float32 for ``float64``.
    """
    other = _DTYPES.get(default) if isinstance(default, str) else default
    return other if name is None else _DTYPES.get(name, other)


def internal_dtype(name: str | None) -> torch.dtype:
    """The type that ``feature_extractor_internal_dtype`` names; float32 for None.

    Raises:
        UsageError: if extractors do not compute in it.
    """
    if name not in ("float32", "float64", None):
        raise UsageError(f"feature_extractor_internal_dtype is {name!r}; expected 'float32' (the default) or 'float64'")
    return torch.float64 if name == "float64" else torch.float32


def check_settings(settings: Mapping[str, object]) -> None:
    """Check that names are options of ``calculate_metrics``, which gives all of its own to what it makes.

    Raises:
        UsageError: if one is not.
    """
    for name in settings:
        if name not in DEFAULTS:
            raise UsageError(f"unknown option {name!r}; {did_you_mean(name, list(DEFAULTS))}")
