"""Code that a person names: ``python:file.py:name`` or ``python:package.module:name``. It is run as it is imported.

Only names that were typed come here, never ones out of files.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from genmetrics.errors import SourceError, UsageError

__all__ = ["code_digest", "import_code", "split_code_name", "state_of_code"]


def split_code_name(text: str, what: str) -> tuple[str, str]:
    """File or module, and what is meant in it.

    Args:
        text: what stands behind ``python:``.
        what: asks for it, for messages.

    Raises:
        UsageError: if it does not say both.
    """
    module, colon, attribute = text.rpartition(":")
    if not colon or not module or not attribute:
        raise UsageError(
            f"{what}: expected 'python:file.py:name' or 'python:package.module:name', as in 'python:my_model.py:make'"
        )
    return module, attribute


def state_of_code(module: str) -> str | None:
    """The sha256 of a file as it is now; None of a module, which Python imports once, and of a file that is not."""
    try:
        return hashlib.sha256(_path(module).read_bytes()).hexdigest() if _is_file(module) else None
    except OSError:
        return None


def import_code(module: str, what: str, error: type[UsageError] | type[SourceError]) -> ModuleType:
    """The module of a file, which is run once for each content that it has, or the one of a name.

    Args:
        module: a path that ends in ``.py``, or the name of a module that is installed or on ``PYTHONPATH``.
        what: asks for it, for messages.
        error: what to raise.

    Raises:
        UsageError, SourceError: if there is no such file or module, or running it fails.
    """
    try:
        return _run(_path(module)) if _is_file(module) else importlib.import_module(module)
    except ModuleNotFoundError as missing:
        raise error(
            f"{what}: there is no module '{missing.name}'; install it, or put its folder on PYTHONPATH"
        ) from missing
    except FileNotFoundError as missing:
        if _is_file(module) and not _path(module).exists():
            raise error(f"{what}: there is no file '{module}'") from missing
        raise _failed(module, what, error, missing) from missing
    except Exception as failure:
        raise _failed(module, what, error, failure) from failure


def code_digest(module: ModuleType) -> str | None:
    """The sha256 of the source file of a module; None if it has none."""
    spec = module.__spec__
    if spec is not None and module.__name__.startswith(_ALIAS):
        return str(spec.loader_state)
    try:
        return hashlib.sha256(Path(str(module.__file__)).read_bytes()).hexdigest()
    except (AttributeError, OSError):
        return None


_ALIAS = "genmetrics_python_"


def _is_file(module: str) -> bool:
    return module.endswith(".py")


def _path(module: str) -> Path:
    return Path(module).expanduser().resolve()


def _run(path: Path) -> ModuleType:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    alias = _ALIAS + hashlib.sha256(f"{path}\0{digest}".encode()).hexdigest()[:16]
    if alias in sys.modules:
        return sys.modules[alias]
    spec = importlib.util.spec_from_file_location(alias, path)
    assert spec is not None
    spec.loader_state = digest
    module = importlib.util.module_from_spec(spec)
    # What a module does as it runs may look it up by its name, as dataclasses do.
    sys.modules[alias] = module
    try:
        # Not through the loader: bytecode that it keeps is known by a time in seconds, and may be of another content.
        exec(compile(content, str(path), "exec"), module.__dict__)
    except BaseException:
        sys.modules.pop(alias, None)
        raise
    return module


def _failed(
    module: str, what: str, error: type[UsageError] | type[SourceError], failure: Exception
) -> UsageError | SourceError:
    return error(f"{what}: importing '{module}' failed: {type(failure).__name__}: {failure}")
