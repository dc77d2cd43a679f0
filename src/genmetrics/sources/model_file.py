"""Generators in files: TorchScript archives and ONNX models.

Both are programs. They run in this process without a sandbox, so that files from strangers deserve the caution that
their executables do; loading one does not run Python code that is in it.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genmetrics.errors import SourceError
from genmetrics.file_kinds import are_torchscript, zip_names
from genmetrics.files import file_digest
from genmetrics.paths import require_file
from genmetrics.sources.file_state import FileState, file_state
from genmetrics.sources.generator import GeneratorSource, generator_device
from genmetrics.sources.names import extension
from genmetrics.sources.query import generator_options, require_noise_options, split_query

__all__ = ["Loaded", "ModelFileSource", "TorchScriptSource", "holds_torchscript", "model_kind"]


@dataclass(frozen=True)
class Loaded:
    """A generator that was loaded from a file.

    Attributes:
        generator: a function of noise and labels.
        device: where it takes them.
        version: of what runs it; None if the file alone does not say what it makes.
        batch_size: the one that it runs with; None for any.
        notes: what must be known of it.
    """

    generator: Callable[..., Tensor]
    device: torch.device
    version: str | None
    batch_size: int | None = None
    notes: tuple[str, ...] = ()


class ModelFileSource(GeneratorSource):
    """A generator in a file, with its options behind a ``?``; see ``GeneratorSource`` for what they mean."""

    def __init__(
        self, text: str, value_range: Sequence[int | float] | None = None, rounding: str | None = None
    ) -> None:
        """Load the file, and generate one sample unless ``probe=false`` is among the options.

        Args:
            text: ``PATH?z_size=…&num_samples=…``.
            value_range: in place of the option of the same name.
            rounding: likewise.

        Raises:
            UsageError: if an option is missing, unknown or cannot be meant.
            SourceError: if there is no such file, it is damaged, or gives no images.
            DeviceError: if the device is not there.
            DependencyError: if the package that runs such files is not installed.
        """
        self.description = f"{self.kind}:{text}"
        what = f"'{self.description}'"
        path_text, parameters = _path_and_parameters(text, what)
        options = generator_options(parameters, what, {"value_range": value_range, "rounding": rounding})
        require_noise_options(options, what, f"{self.kind}:{path_text}")
        path = require_file(path_text, f"a {self._what} file")
        device = generator_device(options.get("device", "auto"))
        state, content = _state_and_content(path)
        loaded = self._load(path, path_text, device, options)
        if _state_and_content(path, hashed=False)[0] != state:
            raise SourceError(f"'{path_text}' changed while it was loaded; open it again when it is written")
        if loaded.version is not None:
            self._program = f"{self.kind} {content} {loaded.version}"
        if loaded.batch_size is not None:
            options["batch_size"] = loaded.batch_size
        super().__init__(loaded.generator, **{**options, "device": loaded.device})
        self.notes = self._fixed_notes = loaded.notes

    #: What such a file is, in messages.
    _what: str

    @abstractmethod
    def _load(self, path: Path, shown: str, device: torch.device, options: Mapping[str, Any]) -> Loaded:
        """Load the file.

        Args:
            path: where it is.
            shown: the path as given.
            device: where it is to run.
            options: all that was given.
        """


class TorchScriptSource(ModelFileSource):
    """A TorchScript archive, as ``torch.jit.save`` writes it."""

    kind = "torchscript"
    _what = "TorchScript"

    def _load(self, path: Path, shown: str, device: torch.device, options: Mapping[str, Any]) -> Loaded:
        if not holds_torchscript(path):
            raise SourceError(
                f"'{shown}' is no TorchScript archive, which torch.jit.save writes; a file of weights alone does not "
                "say how images are made of them: build the module in Python and give "
                "`gm.GeneratorSource(module, z_size=…, num_samples=…)`"
            )
        try:
            with warnings.catch_warnings():
                # Newer torch tells everybody who loads such a file that they should have made another.
                warnings.simplefilter("ignore", DeprecationWarning)
                module: torch.jit.ScriptModule = torch.jit.load(path, map_location=device)  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise SourceError(
                f"'{shown}' cannot be loaded as TorchScript: {str(error).strip().splitlines()[0]}; it may be damaged, "
                "or made by a newer torch"
            ) from error
        return Loaded(module.eval(), device, f"torch {torch.__version__}")


def holds_torchscript(path: Path) -> bool:
    """Whether a file is a zip archive in which there is TorchScript code; weights alone have none."""
    return are_torchscript(zip_names(path))


def model_kind(path: Path) -> str | None:
    """The kind of a generator's file; None if it is none."""
    suffix = extension(path.name)
    if suffix == ".onnx":
        return "onnx"
    if suffix in (".zip", ".npz"):
        return None  # whose directory may be long and need not be read twice
    return "torchscript" if holds_torchscript(path) else None


def _path_and_parameters(text: str, what: str) -> tuple[str, dict[str, str]]:
    """A path may have a ``?`` in it, if there is such a file."""
    if Path(text).expanduser().is_file():
        return text, {}
    return split_query(text, what)


def _state_and_content(path: Path, hashed: bool = True) -> tuple[FileState, str]:
    """The state of a file, and then what is in it."""
    try:
        return file_state(path), file_digest(path, "sha256") if hashed else ""
    except OSError as error:
        raise SourceError(f"'{path}' cannot be read: {error.strerror or error}; make it readable") from error
