"""What holds for every test: shapes are enforced, nothing outside temporary folders is touched, no internet."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch
from PIL import Image

# Annotated shapes and types are checked in every call, which users never pay for. The hook acts on modules that
# are imported after it, so it stands before anything that imports genmetrics.
assert "genmetrics" not in sys.modules, "genmetrics was imported before its shapes could be enforced"
jaxtyping.install_import_hook("genmetrics", "beartype.beartype")

_SELECTABLE = {
    "slow": "takes minutes; `make test-slow` runs it (pytest --run-slow -m slow)",
    "gpu": "needs a CUDA device; `make test-gpu` runs it (pytest --run-gpu -m gpu)",
    "network": "needs the internet; `make test-network` runs it (pytest --run-network -m network)",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    for marker, reason in _SELECTABLE.items():
        parser.addoption(f"--run-{marker}", action="store_true", help=f"run what {reason.partition(';')[0]}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for marker, reason in _SELECTABLE.items():
        if not config.getoption(f"--run-{marker}"):
            skip = pytest.mark.skip(reason=reason)
        elif marker == "gpu" and not torch.cuda.is_available():
            skip = pytest.mark.skip(reason="needs a CUDA device, and torch finds none on this machine")
        else:
            continue
        for item in items:
            if item.get_closest_marker(marker):
                item.add_marker(skip)


@pytest.fixture(scope="session", autouse=True)
def _importable_torchvision() -> None:
    """torchvision, which transformers and the peers import, beside any torch; whichever test comes first."""
    from support.peers import declare_torchvision_operators

    declare_torchvision_operators()


@pytest.fixture(scope="session", autouse=True)
def _can_be_interrupted() -> None:
    """What a shell starts in the background ignores interrupts, and so would all processes that tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Weights and caches of the person who runs the tests are neither used nor touched."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("GENMETRICS_")]:
            patch.delenv(name)
        for name in ("HF_HOME", "HF_HUB_CACHE"):
            patch.delenv(name, raising=False)
        patch.setenv("TORCH_HOME", str(tmp_path_factory.mktemp("torch_home")))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        # A test that computes something twice means to; tests of the cache give it a folder.
        patch.setenv("GENMETRICS_CACHE", "off")
        yield


@pytest.fixture(autouse=True)
def _offline(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test but those marked ``network`` sees a machine that reaches only itself."""
    if request.node.get_closest_marker("network"):
        return
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def connect_at_home(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            raise ConnectionRefusedError(f"no internet in tests: connection to {address[0]}")
        connect(self, address)

    def resolve_at_home(host: str | bytes | None, *args: object, **kwargs: object) -> list[tuple]:
        if host is not None and not _is_loopback(host):
            raise socket.gaierror(socket.EAI_NONAME, f"no internet in tests: {host}")
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", connect_at_home)
    monkeypatch.setattr(socket, "getaddrinfo", resolve_at_home)
    # Processes that a test starts: nothing listens at the discard port.
    for scheme in ("http", "https", "ftp", "all"):
        for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper()):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "localhost,127.0.0.1,::1")


def _is_loopback(host: str | bytes) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name in ("localhost", socket.gethostname())


@pytest.fixture(scope="session")
def inception_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of seeded random weights in the published layout; see ``support.weights``."""
    from support.weights import random_inception_state_dict

    path = tmp_path_factory.mktemp("weights") / "random-inception.pth"
    torch.save(random_inception_state_dict(), path)
    return path


@pytest.fixture(scope="session")
def inception_torchvision_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Likewise in torchvision's layout of Inception-v3, without its auxiliary head."""
    from support.weights import random_inception_torchvision_state_dict

    path = tmp_path_factory.mktemp("weights") / "random-inception-torchvision.pth"
    torch.save(random_inception_torchvision_state_dict(), path)
    return path


@pytest.fixture(scope="session")
def vgg16_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Likewise in torchvision's layout of VGG16."""
    from support.weights import random_state_dict, vgg16_shapes

    path = tmp_path_factory.mktemp("weights") / "random-vgg16.pth"
    torch.save(random_state_dict(vgg16_shapes()), path)
    return path


@pytest.fixture(scope="session")
def smooth_images() -> Callable[..., np.ndarray]:
    """Makes seeded images that are neither noise nor alike, so that no resizer passes for another's.

    ``smooth_images(count, height, width, seed, warmth=0.0)`` gives (count, height, width, 3) uint8: waves of random
    direction on a random colour. ``warmth`` shifts the colours of a set towards red, without pulling it clear of one
    that is not shifted.
    """
    return _smooth_images


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes a set of ``smooth_images`` as PNG files: ``image_folder(count, height, width, seed, warmth)``."""

    def make(count: int, height: int, width: int, seed: int, warmth: float = 0.0) -> Path:
        folder = tmp_path_factory.mktemp(f"images-{height}x{width}")
        for number, image in enumerate(_smooth_images(count, height, width, seed, warmth)):
            Image.fromarray(image).save(folder / f"{number:05d}.png")
        return folder

    return make


def _smooth_images(count: int, height: int, width: int, seed: int, warmth: float = 0.0) -> np.ndarray:
    rng = np.random.RandomState(seed)
    rows, columns = np.mgrid[:height, :width]
    images = np.empty((count, height, width, 3), dtype=np.uint8)
    for image in images:
        for channel in range(3):
            pixels = rng.uniform(64, 192) + 20 * warmth * (1 - channel) + rng.normal(0, 6, (height, width))
            for _ in range(4):
                down, right = rng.uniform(-0.35, 0.35, 2)
                phase, amplitude = rng.uniform(0, 2 * np.pi), rng.uniform(10, 50)
                pixels += amplitude * np.sin(rows * down + columns * right + phase)
            image[..., channel] = np.clip(pixels, 0, 255)
    return images
