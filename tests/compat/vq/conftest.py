"""vq and todd, transcribed where they measure, and a folder as a checkout of vq leaves it."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

import genmetrics as gm
from support.peers import import_peer
from support.ranks import run_together

Network = Callable[[Tensor], np.ndarray]

# With the two below, seven: a number that two processes cannot share evenly.
REAL = ((70, 90), (300, 261), (256, 256), (33, 129), (256, 300))
GEN = ((64, 64), (256, 256), (100, 70), (48, 64))


def waves(height: int, width: int, seed: int) -> np.ndarray:
    """(height, width, 3) uint8, coloured waves with some noise."""
    rng = np.random.RandomState(seed)
    rows, columns = np.mgrid[:height, :width]
    image = np.empty((height, width, 3))
    for channel in range(3):
        down, right, phase = rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.3), rng.uniform(0, 6)
        noise = rng.normal(0, 8, (height, width))
        image[..., channel] = rng.uniform(60, 190) + 60 * np.sin(rows * down + columns * right + phase) + noise
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def vq_home(tmp_path_factory: pytest.TempPathFactory, inception_weights: Path) -> Path:
    """The folder in which vq's commands run: weights where todd has them, ``data/real`` and ``samples``."""
    home = tmp_path_factory.mktemp("vq")
    (home / "pretrained/pytorch-fid").mkdir(parents=True)
    (home / "pretrained/pytorch-fid/pt_inception.pth").symlink_to(inception_weights)
    for folder, sizes, seed in ((home / "data/real", REAL, 0), (home / "samples", GEN, 100)):
        folder.mkdir(parents=True)
        for number, (height, width) in enumerate(sizes):
            Image.fromarray(waves(height, width, seed + number)).save(folder / f"{number:03d}.png")
    (home / "few").mkdir()
    for path in sorted((home / "samples").iterdir())[:2]:
        (home / "few" / path.name).symlink_to(path)
    alpha = np.linspace(0, 255, 64 * 64).reshape(64, 64, 1).astype(np.uint8)
    Image.fromarray(np.concatenate([waves(64, 64, 7), alpha], axis=2)).save(home / "data/real/alpha.png")
    Image.fromarray(waves(80, 64, 8)[..., 0]).save(home / "data/real/grey.png")
    return home


@pytest.fixture
def home(vq_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh folder of the same content, as the current one; statistics are kept over the tests, as for a person."""
    (tmp_path / "pretrained").mkdir()
    (tmp_path / "pretrained/pytorch-fid").symlink_to(vq_home / "pretrained/pytorch-fid")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/real").symlink_to(vq_home / "data/real")
    for name in ("samples", "few"):
        (tmp_path / name).symlink_to(vq_home / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENMETRICS_CACHE", str(vq_home / "cache"))
    monkeypatch.delenv("nproc_per_node", raising=False)
    return tmp_path


def todd_rgb(image: Image.Image) -> Image.Image:
    """LutingWang/todd at e4ce698, todd/patches/pil/image.py: what a PNG's transparency becomes."""
    if image.format != "PNG":
        return image.convert("RGB")
    image = image.convert("RGBA")
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(image, mask=image.getchannel("A"))
    return white


def vq_image(path: Path) -> Tensor:
    """(3, 256, 256) uint8: configs/datasets/transforms/none.py of vq at 3650302, by torchvision on Pillow images."""
    transforms = import_peer("torchvision.transforms")
    bicubic = transforms.InterpolationMode.BICUBIC
    steps = transforms.Compose([transforms.Resize(256, interpolation=bicubic), transforms.CenterCrop(256)])
    with Image.open(path) as image:
        return torch.from_numpy(np.array(steps(todd_rgb(image)))).permute(2, 0, 1)


def todd_statistics(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """todd/tasks/image_generation/fid.py, ``Statistician.summarize``."""
    return torch.from_numpy(features).mean(0).numpy(), np.cov(features, rowvar=False)


def todd_fid(gt: tuple[np.ndarray, np.ndarray], pred: tuple[np.ndarray, np.ndarray]) -> float:
    """The same file, ``fid``, without the retry, which cannot work there; SciPy's root by hand, as ``disp`` is gone."""
    linalg = pytest.importorskip("scipy.linalg")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Matrix is singular", RuntimeWarning)
        root = linalg.sqrtm(gt[1].dot(pred[1]))
    root = root.real if np.iscomplexobj(root) else root
    shift = gt[0] - pred[0]
    return float(shift.dot(shift) + np.trace(gt[1]) + np.trace(pred[1]) - 2 * np.trace(root))


def exact_fid(gt: np.ndarray, pred: np.ndarray) -> float:
    """The distance of two sets of fewer samples than dimensions, by the nuclear norm of their cross-Gram matrix."""
    sides = [rows.astype(np.float64) for rows in (gt, pred)]
    centred = [(rows - rows.mean(axis=0)) / np.sqrt(len(rows) - 1) for rows in sides]
    shift = sides[0].mean(axis=0) - sides[1].mean(axis=0)
    overlap = np.linalg.svd(centred[0] @ centred[1].T, compute_uv=False).sum()
    return float(shift @ shift + sum(np.square(rows).sum() for rows in centred) - 2 * overlap)


@pytest.fixture(scope="session")
def todd_network(inception_weights: Path) -> Network:
    """todd's ``Inception.forward`` on pytorch-fid 0.3.0's network, whose pooling is what todd's patches make of
    torchvision's; (n, 3, h, w) of 0..255 to (n, 2048) float32."""
    peer = import_peer("pytorch_fid.inception")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peer, "load_state_dict_from_url", lambda *_, **__: torch.load(inception_weights))
        network = peer.InceptionV3([3], resize_input=False, normalize_input=False).eval()

    def run(images: Tensor) -> np.ndarray:
        with torch.no_grad():
            inputs = F.interpolate((images - 127.5) / 127.5, size=(299, 299), mode="bilinear")
            return network(inputs)[0].flatten(1).numpy()

    return run


@pytest.fixture(scope="session")
def todd_features(vq_home: Path, todd_network: Network) -> dict[str, np.ndarray]:
    """Features of ``data/real`` and of ``samples`` as vq and todd make them."""
    folders = {"real": vq_home / "data/real", "gen": vq_home / "samples"}
    return {
        name: todd_network(torch.stack([vq_image(path) for path in sorted(folder.glob("*.png"))]))
        for name, folder in folders.items()
    }


@pytest.fixture(scope="session")
def real_statistics(vq_home: Path) -> Path:
    """What one process under ``auto_torchrun`` writes for ``vq.fid data/real``, an image a batch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(vq_home)
        (ended,) = run_together([vq_fid_command(1)], [child_environment(GENMETRICS_CACHE=str(vq_home / "cache"))], 180)
    assert ended.code == 0, ended.log
    return vq_home / "pretrained/fid/real.pth"


@pytest.fixture(scope="session")
def real_rows(vq_home: Path, real_statistics: Path) -> Path:
    """The same in our own format, which keeps so few images' features as they are: distances take no time."""
    weights, path = vq_home / "pretrained/pytorch-fid/pt_inception.pth", vq_home / "real.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(vq_home)
        patch.setenv("GENMETRICS_CACHE", str(vq_home / "cache"))
        options = {"weights": weights, "device": "cpu", "alpha": "white", "crop": "pil-bicubic-256"}
        gm.compute_stats("data/real", ["fid_pytorch"], **options).save(path)
    return path


@pytest.fixture
def cached(home: Path, real_statistics: Path) -> Path:
    """The same in the current folder, which is one's own."""
    (home / "pretrained/fid").mkdir()
    link = Path("pretrained/fid/real.pth")
    link.symlink_to(real_statistics)
    return link


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], tuple[str, str]]:
    """What was printed since the last call: standard output and standard error."""

    def read() -> tuple[str, str]:
        captured = capsys.readouterr()
        return captured.out, captured.err

    return read


def vq_fid_command(count: int) -> list[str]:
    """``vq.fid data/real`` as so many processes, an image a batch, so that none depends on what is beside it."""
    start = [sys.executable, "-m", "genmetrics.compat.vq.auto_torchrun", "--nproc", str(count)]
    batches = ["--override", ".dataloader.batch_size:1", ".dataloader.num_workers:0"]
    return [*start, "-m", "genmetrics.compat.vq.fid", "data/real", "--strategy", "cpu", *batches]


def child_environment(**more: str) -> dict[str, str]:
    """For processes that a test starts: one thread each, and no cache, so that all is computed."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "GENMETRICS_CACHE": "off", **more}
