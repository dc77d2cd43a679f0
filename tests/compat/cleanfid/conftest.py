"""One seeded random Inception for clean-fid 0.1.35 and for us, and a small network for everything that needs none.

clean-fid's TorchScript file cannot be had here. In its place stands the published network in PyTorch, as clean-fid has
it for its mode ``legacy_pytorch``, behind the same steps: TensorFlow 1's resize (torch-fidelity's, which is
TensorFlow's bit for bit) where the file would resize, and (x - 128) / 128.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from support.clean_fid import CPU, MODES
from support.peers import import_peer

cleanfid = import_peer("cleanfid")
their_fid = import_peer("cleanfid.fid")
their_features = import_peer("cleanfid.features")
their_network = import_peer("cleanfid.inception_pytorch")
their_wrappers = import_peer("cleanfid.wrappers")
fidelity = import_peer("torch_fidelity.interpolate_compat_tensorflow")

from genmetrics.compat.cleanfid import (  # noqa: E402
    custom_stats,
    fid,
    network,
    passes,
    statistics,
    wrappers,
)
from genmetrics.compat.cleanfid.network import Network  # noqa: E402

WEIGHTS = "pt_inception-2015-12-05-6726825d.pth"


UNOFFICIAL = "the weights of .* are not the published ones"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The random weights are told of wherever they are used; one test is of that."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings(f"ignore:{UNOFFICIAL}"))


@pytest.fixture(scope="session")
def published_folder(tmp_path_factory: pytest.TempPathFactory, inception_weights: Path) -> Path:
    """A folder with the random weights under the published name."""
    folder = tmp_path_factory.mktemp("published")
    (folder / WEIGHTS).symlink_to(inception_weights)
    return folder


@contextmanager
def found_in(folder: Path) -> Iterator[None]:
    """Ours are looked for there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENMETRICS_WEIGHTS", str(folder))
        patch.setenv("GENMETRICS_ALLOW_UNOFFICIAL_WEIGHTS", "1")
        yield


@pytest.fixture(scope="module", autouse=True)
def _weights(published_folder: Path) -> Iterator[None]:
    """In the tests of this folder, and of no other."""
    with found_in(published_folder):
        yield


@pytest.fixture(scope="session")
def published(inception_weights: Path) -> nn.Module:
    """clean-fid's own copy of pytorch-fid's network, with the random weights."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr(their_network, "load_state_dict_from_url", lambda *_, **__: torch.load(inception_weights))
        return their_network.InceptionV3([3], resize_input=False).eval()


@pytest.fixture
def theirs(published: nn.Module, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """clean-fid's modules, whose networks have the random weights."""

    class TorchScript(nn.Module):
        def __init__(self, path: str, download: bool = True, resize_inside: bool = False) -> None:
            super().__init__()
            self.resize_inside = resize_inside

        def forward(self, x: Tensor) -> Tensor:
            if self.resize_inside:
                x = fidelity.interpolate_bilinear_2d_like_tensorflow1x(x, size=(299, 299), align_corners=False)
            # The network's own 2x - 1 makes (x - 128) / 128 of this.
            return published(((x - 128) / 128 + 1) / 2)[0].flatten(1)

    monkeypatch.setattr(their_features, "InceptionV3W", TorchScript)
    monkeypatch.setattr(their_features, "InceptionV3", lambda **_: published)
    return SimpleNamespace(fid=their_fid, features=their_features, wrappers=their_wrappers)


@pytest.fixture(scope="session")
def networks(published_folder: Path) -> dict[str, Network]:
    """Ours by mode, on one extractor, which is compiled once."""
    with found_in(published_folder), warnings.catch_warnings():
        warnings.filterwarnings("ignore", UNOFFICIAL)
        made = {mode: fid.build_feature_extractor(mode, "cpu") for mode in MODES}
    for one in made.values():
        one.networks = made["clean"].networks
    return made


@pytest.fixture
def shared_networks(networks: dict[str, Network], monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes a mode's network gives those of ``networks``."""
    whole = network.network_of

    def network_of(mode: str, model_name: str = "inception_v3", device: object = "auto") -> Network:
        if model_name == "inception_v3" and mode in networks:
            return networks[mode]
        return whole(mode, model_name, device)

    for module in (passes, custom_stats, wrappers):
        monkeypatch.setattr(module, "network_of", network_of)


@pytest.fixture
def stats_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package folder of clean-fid's for both, so that both find their statistics in its folder ``stats``."""
    package = tmp_path / "cleanfid"
    (package / "stats").mkdir(parents=True)
    monkeypatch.setattr(cleanfid, "__file__", str(package / "__init__.py"))
    monkeypatch.setattr(statistics, "_package_folder", lambda: package)
    monkeypatch.setenv("GENMETRICS_CACHE", str(tmp_path / "ours"))
    return package / "stats"


@pytest.fixture(scope="session")
def small_network() -> Callable[[Tensor], Tensor]:
    """From images of any size to 16 features, of which few images are of full rank."""
    generator = torch.Generator().manual_seed(5)
    kernels = torch.randn(16, 3, 7, 7, generator=generator) / 12

    def run(images: Tensor) -> Tensor:
        assert images.dtype == torch.float32
        found = torch.nn.functional.conv2d(images / 64 - 2, kernels, stride=5)
        return found.relu().mean(dim=(2, 3))

    return run


@pytest.fixture(scope="session")
def folders(image_folder: Callable[..., Path]) -> tuple[Path, Path]:
    """24 and 26 images of two sizes, at both of which every Pillow begins with the rows."""
    return image_folder(24, 64, 64, seed=11, warmth=1.0), image_folder(26, 97, 60, seed=12)


def exact_frechet(gen: np.ndarray, ref: np.ndarray) -> float:
    """By the nuclear norm of the samples' cross-Gram matrix, in NumPy alone."""
    gen, ref = gen.astype(np.float64), ref.astype(np.float64)
    rows = [(side - side.mean(axis=0)) / np.sqrt(len(side) - 1) for side in (gen, ref)]
    overlap = np.linalg.svd(rows[0] @ rows[1].T, compute_uv=False).sum()
    shift = gen.mean(axis=0) - ref.mean(axis=0)
    return float(shift @ shift + sum(np.square(side).sum() for side in rows) - 2 * overlap)


@pytest.fixture(scope="session")
def exact() -> Callable[[np.ndarray, np.ndarray], float]:
    """The Fréchet distance of two sets of features without any covariance."""
    return exact_frechet


@pytest.fixture
def custom_set(theirs, folders, stats_folder, small_network, monkeypatch) -> str:
    """Statistics of the second folder under a name, of the small network, as clean-fid writes them."""
    for mode in MODES:
        with monkeypatch.context() as patch:
            patch.setattr(theirs.fid, "build_feature_extractor", lambda *_, **__: small_network)
            theirs.fid.make_custom_stats("Mine", str(folders[1]), mode=mode, device=CPU, verbose=False)
    return "Mine"
