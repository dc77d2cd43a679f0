"""Weight files: where they are looked for, how they are fetched, and what is accepted as official."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from genmetrics.download import DownloadError, download
from genmetrics.errors import MissingWeightsError, OutputError, WeightsError
from genmetrics.extractors.hub_files import HubFile
from genmetrics.extractors.script_archive import is_script_archive, script_state_dict
from genmetrics.files import file_digest

__all__ = [
    "PublishedWeights",
    "WeightsFile",
    "fetch_weights",
    "file_sha256",
    "find_weights",
    "fresh_module",
    "load_state_dict",
    "search_folders",
]

ALLOW_UNOFFICIAL = "GENMETRICS_ALLOW_UNOFFICIAL_WEIGHTS"
FOLDER = "GENMETRICS_WEIGHTS"


@dataclass(frozen=True)
class PublishedWeights:
    """A published weight file.

    Attributes:
        extractor: the id of the extractor that it belongs to.
        urls: where it can be had, by file name; all are the same bytes.
        sha256: of the file's bytes; its first eight digits or more where the publisher tells no others, which is what
            torch's hub compares.
        packaged: finds the file inside an installed package, or gives None; None if no package has it.
        hub: the file of the hub that it is; None if it is none.
        others: the sha256 of other published files that hold the same tensors, by file name; they are taken where
            they are found, and never fetched.
    """

    extractor: str
    urls: Mapping[str, str]
    sha256: str
    packaged: Callable[[], Path | None] | None = None
    hub: HubFile | None = None
    others: Mapping[str, str] = field(default_factory=dict)

    def expected(self, name: str) -> str:
        """The sha256 of the published file of that name, or its beginning."""
        return self.others.get(name, self.sha256)

    def is_official(self, sha256: str) -> bool:
        """Whether a file of that sha256 is a published one."""
        return sha256.startswith(self.sha256) or sha256 in self.others.values()


@dataclass(frozen=True)
class WeightsFile:
    """A weight file that was found.

    Attributes:
        path: where it is.
        sha256: of its bytes; None where what decides on the features cannot be told.
        official: whether it is the published file; None where nothing is published under the extractor's name.
    """

    path: Path
    sha256: str | None
    official: bool | None


def search_folders() -> list[Path]:
    """Where weight files are looked for, first to last; fetched ones go to the first.

    ``GENMETRICS_WEIGHTS`` if it is set, then the checkpoint folder of torch's hub, where pytorch-fid and
    torch-fidelity put the same file.

    Raises:
        WeightsError: if ``GENMETRICS_WEIGHTS`` names a file.
    """
    folders = [Path(torch.hub.get_dir()).expanduser() / "checkpoints"]
    if os.environ.get(FOLDER):
        folder = Path(os.environ[FOLDER]).expanduser()
        if folder.is_file():
            raise WeightsError(
                f"{FOLDER}='{folder}' is a file; expected its folder (a file is given with --weights PATH)"
            )
        folders.insert(0, folder)
    return folders


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes, 64 hexadecimal digits.

    Raises:
        WeightsError: if it cannot be read.
    """
    try:
        state = path.stat()
        return _sha256_of_state(path, (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns))
    except OSError as error:
        raise WeightsError(f"'{path}' cannot be read: {error.strerror or error}") from error


@lru_cache(maxsize=64)
def _sha256_of_state(path: Path, state: tuple[int, ...]) -> str:
    """Once for each state of a file: a run asks for the weights' hash before and when it builds the network."""
    return file_digest(path, "sha256")


def find_weights(published: PublishedWeights, given: Path | None = None) -> WeightsFile | None:
    """The weight file to use, without any network; None if there is none.

    Args:
        published: the file that is wanted.
        given: a file to take instead, whatever its content.

    Raises:
        WeightsError: if ``given`` is no file, or a file of a published name has other content.
    """
    if given is not None:
        path = given.expanduser()
        if not path.is_file():
            raise WeightsError(
                f"weights '{given}' for extractor {published.extractor!r}: no such file; expected "
                f"{' or '.join(published.urls) or 'a weight file'} (.pth or .safetensors)"
            )
        sha256 = file_sha256(path)
        return WeightsFile(path, sha256, published.is_official(sha256))
    candidates = [folder / name for folder in search_folders() for name in (*published.urls, *published.others)]
    if published.hub is not None:
        candidates.append(published.hub.cached)
    if published.packaged is not None and (packaged := published.packaged()) is not None:
        candidates.append(packaged)
    for path in candidates:
        if path.is_file():
            return _checked(path, published)
    return None


def _checked(path: Path, published: PublishedWeights) -> WeightsFile:
    sha256 = file_sha256(path)
    official = published.is_official(sha256)
    if not official and os.environ.get(ALLOW_UNOFFICIAL) != "1":
        raise WeightsError(
            f"'{path}' has the published name of the weights of {published.extractor!r} but other content "
            f"(sha256 {sha256[:12]}…, published {published.expected(path.name)[:12]}…); it may be a broken download. "
            f"Delete it, or use it knowingly with '--weights {path}' or {ALLOW_UNOFFICIAL}=1"
        )
    return WeightsFile(path, sha256, official)


def fetch_weights(
    published: PublishedWeights, progress: Callable[[int, int | None], None] | None = None
) -> WeightsFile:
    """Download the published file to the first search folder.

    The file appears under its name only when it is whole and its sha256 is right.

    Args:
        published: the file that is wanted.
        progress: called with the bytes done and the bytes in all (None if unknown).

    Raises:
        MissingWeightsError: if no address answers, or the content is not the published one.
        OutputError: if the folder cannot be written.
    """
    folder = search_folders()[0]
    reasons: list[str] = []
    for name, url in published.urls.items():
        try:
            sha256 = download(url, folder / name, "sha256", published.sha256, progress)
        except DownloadError as error:
            reasons.append(str(error))
            continue
        except OSError as error:
            raise OutputError(
                f"cannot write weights to '{folder}': {error.strerror or error}; set {FOLDER} to a folder that "
                "can be written"
            ) from error
        return WeightsFile(folder / name, sha256, official=True)
    raise _missing(published, "; ".join(dict.fromkeys(reasons)) or "no address is known")


def _missing(published: PublishedWeights, reason: str) -> MissingWeightsError:
    names = " or ".join(published.urls)
    folders = " and ".join(f"'{folder}'" for folder in search_folders())
    if published.hub is not None:
        folders += f", and for '{published.hub.cached}'"
    return MissingWeightsError(
        f"extractor {published.extractor!r} has no weights here: looked for {names} in {folders}; downloading "
        f"failed: {reason}\n"
        f"  give the file:        --weights PATH, or put it into '{search_folders()[0]}'  (published at "
        f"{next(iter(published.urls.values()), '-')})"
    )


def load_state_dict(path: Path, extractor: str) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` or torch file, or of a TorchScript archive; code in a file is never run.

    Raises:
        WeightsError: if the file is damaged or holds anything but tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if is_script_archive(path):
            return script_state_dict(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle fails in whatever it makes the unpickler do
        hint = ""
        if path.suffix == ".pb":
            hint = f"; a TensorFlow graph is made usable by 'genmetrics weights convert {path}'"
        raise WeightsError(
            f"weights '{path}' for extractor {extractor!r} cannot be read as a torch or safetensors state dict "
            f"(it is damaged, or holds more than tensors, which is never loaded){hint}"
        ) from error
    if not isinstance(loaded, Mapping) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise WeightsError(
            f"weights '{path}' for extractor {extractor!r} hold a {type(loaded).__name__}; expected a state dict "
            "(names to tensors)"
        )
    return dict(loaded)


def fresh_module(module: Callable[[], nn.Module], state: dict[str, Tensor], path: Path, extractor: str) -> nn.Module:
    """A network in evaluation mode with the given weights.

    Args:
        module: makes the network; called without arguments.
        state: its state dict; ``num_batches_tracked`` may be absent, for it plays no part here.
        path: where the state came from, for messages.
        extractor: the extractor's id, for messages.

    Raises:
        WeightsError: if names or shapes do not fit.
    """
    with torch.device("meta"):
        network = module()
    expected = network.state_dict()
    for name, tensor in expected.items():
        if name.endswith("num_batches_tracked"):
            state.setdefault(name, torch.zeros((), dtype=tensor.dtype))
    problems = [f"missing {name}" for name in expected.keys() - state.keys()]
    problems += [f"unexpected {name}" for name in state.keys() - expected.keys()]
    problems += [
        f"{name} is {tuple(state[name].shape)}, expected {tuple(expected[name].shape)}"
        for name in expected.keys() & state.keys()
        if state[name].shape != expected[name].shape
    ]
    if problems:
        shown = "; ".join(sorted(problems)[:5])
        raise WeightsError(
            f"weights '{path}' do not fit extractor {extractor!r} ({len(problems)} differences: {shown}"
            f"{'; …' if len(problems) > 5 else ''})"
        )
    cast = {name: tensor.to(expected[name].dtype) for name, tensor in state.items()}
    network.load_state_dict(cast, assign=True)
    return network.eval().requires_grad_(False)
