"""The files of a model of the transformers library: in a folder, or in one state of a repository of the hub."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genmetrics.errors import DependencyError, MissingWeightsError, UsageError, WeightsError
from genmetrics.extractors.hub_files import hub_cache
from genmetrics.extractors.weights import file_sha256

__all__ = ["Snapshot", "open_snapshot"]

CONFIG, PROCESSOR = "config.json", "preprocessor_config.json"
_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
#: What the hub allows: no name, and no part of a revision, is or begins as a step through folders.
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_REPOSITORY = re.compile(rf"({_NAME}/{_NAME})(?:@({_NAME}(?:/{_NAME})*))?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Snapshot:
    """A folder with a model's configuration and its weights as safetensors.

    Attributes:
        name: as it was typed, for messages.
        folder: where it is.
    """

    name: str
    folder: Path

    def read_json(self, filename: str) -> dict[str, Any]:
        """A file of settings.

        Raises:
            WeightsError: if it is missing or damaged.
        """
        path = self.folder / filename
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise WeightsError(
                f"extractor {self.name!r}: '{self.folder}' has no {filename}; expected what the transformers library's "
                "save_pretrained writes, of the model and of its image processor"
            ) from error
        except (OSError, ValueError) as error:
            raise WeightsError(f"extractor {self.name!r}: '{path}' cannot be read: {error}") from error
        if not isinstance(settings, dict):
            raise WeightsError(f"extractor {self.name!r}: '{path}' holds no settings")
        return settings

    @property
    def weights(self) -> tuple[Path, ...]:
        """The weight files.

        Raises:
            WeightsError: if there are none that are safetensors.
        """
        if (self.folder / _WEIGHTS).is_file():
            return (self.folder / _WEIGHTS,)
        if (self.folder / _INDEX).is_file():
            named = self.read_json(_INDEX).get("weight_map", {})
            return tuple(self.folder / Path(name).name for name in sorted(set(named.values())))
        raise WeightsError(
            f"extractor {self.name!r}: '{self.folder}' has no {_WEIGHTS}; pickled weights (pytorch_model.bin) are not "
            "loaded, for they are code: load the model once where you trust it and save it with save_pretrained"
        )

    @property
    def sha256(self) -> str:
        """Of the names and contents of the settings and the weight files, which decide on the features.

        Raises:
            WeightsError: if one is missing.
        """
        files = [self.folder / CONFIG, self.folder / PROCESSOR, *self.weights]
        lines = "".join(f"{path.name} {file_sha256(path)}\n" for path in files)
        return hashlib.sha256(lines.encode()).hexdigest()


def open_snapshot(name: str) -> Snapshot:
    """The model that ``hf:/folder``, ``hf:./folder`` or ``hf:owner/name[@revision]`` stands for.

    A repository is looked for in the cache of the hub's own library first, and fetched into it otherwise. Without a
    revision it is what is in the cache as ``main``, or ``main`` as it is now.

    Raises:
        UsageError: if the name means nothing, or two things.
        WeightsError: if the folder does not exist.
        MissingWeightsError: if the repository is not here and cannot be fetched.
        DependencyError: if it has to be fetched and the package huggingface_hub is not installed.
    """
    text = name.removeprefix("hf:")
    if text.startswith(("/", ".", "~")):
        folder = Path(text).expanduser()
        if not folder.is_dir():
            raise WeightsError(f"extractor {name!r}: there is no folder '{folder}'")
        return Snapshot(name, folder)
    match = _REPOSITORY.fullmatch(text)
    if match is None:
        raise UsageError(
            f"extractor {name!r}: expected 'hf:owner/name[@revision]', or a folder as 'hf:/folder' or 'hf:./folder'"
        )
    if Path(text).is_dir():
        raise UsageError(
            f"extractor {name!r} is a folder here and may be a repository of the hub; write 'hf:./{text}' for the "
            f"folder, or 'hf:{text}@main' for the repository"
        )
    repository, revision = match[1], match[2] or "main"
    found = _cached(repository, revision)
    if found is not None and _is_complete(cached := Snapshot(name, found)):
        return cached
    return Snapshot(name, _fetched(name, repository, revision))


def _cached(repository: str, revision: str) -> Path | None:
    """Where the hub's library keeps a revision, whether or not it is there; None if it does not know its commit."""
    folder = hub_cache() / f"models--{repository.replace('/', '--')}"
    reference = folder / "refs" / revision
    commit = reference.read_text(errors="replace").strip() if reference.is_file() else revision
    return folder / "snapshots" / commit if _COMMIT.fullmatch(commit) else None


def _is_complete(snapshot: Snapshot) -> bool:
    try:
        files = (snapshot.folder / CONFIG, snapshot.folder / PROCESSOR, *snapshot.weights)
    except WeightsError:
        return False
    return all(path.is_file() for path in files)


def _fetched(name: str, repository: str, revision: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise DependencyError(
            f"extractor {name!r} has to be fetched with the package huggingface_hub; install it with "
            "\"pip install 'genmetrics[hf]'\""
        ) from error
    patterns = [CONFIG, PROCESSOR, _WEIGHTS, _INDEX, "model-*.safetensors"]
    try:
        folder = snapshot_download(repository, revision=revision, allow_patterns=patterns, cache_dir=hub_cache())
    except Exception as error:  # the library raises whatever its transports do
        raise MissingWeightsError(
            f"extractor {name!r}: the repository '{repository}' (revision {revision}) is not in '{hub_cache()}' and "
            f"could not be fetched: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}. Check "
            "the name, or give a folder that holds it: 'hf:/folder'"
        ) from error
    found = Path(folder)
    # The library believes whatever its cache has as a reference.
    if found.parent.name != "snapshots" or not _COMMIT.fullmatch(found.name):
        raise MissingWeightsError(
            f"extractor {name!r}: the cache '{hub_cache()}' does not hold the commit of the repository '{repository}' "
            f"(revision {revision}), and it could not be fetched; delete the repository from there, or give a folder "
            "that holds it: 'hf:/folder'"
        )
    return found
