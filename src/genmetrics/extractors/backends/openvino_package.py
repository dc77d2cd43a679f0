"""The package openvino without its reports to the maker.

Importing it sends an event to a web service and writes an identifier to the home folder, if the package
openvino-telemetry, which comes with it, can be imported. A library that is used on clusters and on other people's data
has no business doing so: here that package cannot be imported while openvino is. Where openvino was imported before,
its importer has decided.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

__all__ = ["openvino", "operations"]

_TELEMETRY = "openvino_telemetry"


def _quietly_imported() -> Any:
    if "openvino" in sys.modules or _TELEMETRY in sys.modules:
        return importlib.import_module("openvino")
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # what makes importing it an ImportError
    try:
        return importlib.import_module("openvino")
    finally:
        del sys.modules[_TELEMETRY]


openvino: Any = _quietly_imported()
#: One version of its operations, whose meaning does not change with the package's.
operations: Any = importlib.import_module("openvino.opset13")
