"""The options of torch-fidelity's ``calculate_metrics`` and what each is unless it is given."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from genmetrics.compat.torch_fidelity.settings import Settings

__all__ = ["DEFAULTS"]

DEFAULTS: Mapping[str, Any] = MappingProxyType(Settings().as_dict())
