"""The package openvino without its reports to the maker.

Importing it sends an event to a web service and writes an identifier to the home folder, if the package
openvino-telemetry, which comes with it, can be imported. A library that is used on clusters and on other people's data
has no business doing so: here that package cannot be imported while openvino is. Where openvino was imported before,
its importer has decided.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import sys
from typing import Any

from genmetrics.errors import DependencyError

__all__ = ["openvino", "operations"]

_TELEMETRY = "openvino_telemetry"
_NEEDED = (2025, 0)


def _quietly_imported() -> Any:
    if "openvino" in sys.modules or _TELEMETRY in sys.modules:
        return importlib.import_module("openvino")
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # what makes importing it an ImportError
    try:
        return importlib.import_module("openvino")
    finally:
        del sys.modules[_TELEMETRY]


def _needed() -> tuple[Any, Any]:
    """The package and its operations.

    Raises:
        DependencyError: if what is installed is too old, or cannot be imported.
    """
    try:
        package = _quietly_imported()
        if _release(package.__version__) < _NEEDED:
            raise ImportError("it is too old")
        return package, importlib.import_module("openvino.opset13")
    except Exception as error:  # a package that is half there fails in whatever it misses
        raise DependencyError(
            f"the installed openvino {_found_version()} cannot be used ({type(error).__name__}: {error}); needed is "
            f"openvino>={_NEEDED[0]}.{_NEEDED[1]}: install it with \"pip install 'genmetrics[openvino]'\", or use "
            "'--backend torch'"
        ) from error


def _release(version: str) -> tuple[int, int]:
    year, month, *_ = re.findall(r"\d+", version)
    return int(year), int(month)


def _found_version() -> str:
    version = getattr(sys.modules.get("openvino"), "__version__", None)
    if version is not None:
        return str(version)
    try:
        return importlib.metadata.version("openvino")
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"


openvino, operations = _needed()
