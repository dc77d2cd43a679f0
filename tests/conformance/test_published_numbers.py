"""Numbers that torch-fidelity published, from the official weights and CIFAR-10; run with `make test-network`.

Sources, in the repository toshas/torch-fidelity: README (Inception Score of the training split);
tests/torch_versions_ge_1_13_0/test_versions.py (5,000 against 5,000 images, made by the Dockerfile beside it);
.circleci/smoke_tests.py (256 against 256). Their subsets come from utils/util_dump_dataset_as_images.py: the first
draw of ``RandomState(2020).choice(len(split), limit, replace=False)``, saved under the images' indices, so that
they are read in ascending order. Each tolerance is that of the peer's own test, and that of the printed digits
where it has none. The numbers of 5,000 and 50,000 images were made on GPUs.

The downloads are kept in pytest's cache folder. On a CPU the 50,000 images take more than an hour.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import genmetrics
from genmetrics.report.report import Report

pytestmark = pytest.mark.network

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
MD5 = "c58f30108f718f92721af3b95e74349a"
SPLITS = {"train": [f"data_batch_{number}" for number in range(1, 6)], "valid": ["test_batch"]}


@pytest.fixture(scope="module")
def downloads(request: pytest.FixtureRequest) -> Path:
    return Path(request.config.cache.mkdir("downloads"))


@pytest.fixture(scope="module")
def official_weights(downloads: Path) -> Path:
    from genmetrics.extractors.builtin import PUBLISHED
    from genmetrics.extractors.weights import fetch_weights, find_weights

    published = PUBLISHED["inception-v3.tf2015"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENMETRICS_WEIGHTS", str(downloads))
        found = find_weights(published) or fetch_weights(published)
    assert found.official
    return found.path


@pytest.fixture(scope="module")
def cifar10(downloads: Path) -> dict[str, np.ndarray]:
    """Both splits, (n, 32, 32, 3) uint8 in the order of the archive."""
    path = downloads / "cifar-10-python.tar.gz"
    if not path.exists():
        with urllib.request.urlopen(URL, timeout=60) as response:
            content = response.read()
        assert hashlib.md5(content, usedforsecurity=False).hexdigest() == MD5
        path.write_bytes(content)
    assert hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() == MD5
    with tarfile.open(path) as archive:
        return {
            split: np.concatenate(
                [read_batch(archive.extractfile(f"cifar-10-batches-py/{name}").read()) for name in names]
            )
            for split, names in SPLITS.items()
        }


class _ArraysOnly(pickle.Unpickler):
    """Admits the names that a pickled array of NumPy consists of, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy.core.multiarray", "_reconstruct"):
            return np.empty(0).__reduce__()[0]
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        raise pickle.UnpicklingError(f"{module}.{name} is no part of an array")


def read_batch(content: bytes) -> np.ndarray:
    """The images of one file of the archive, (n, 32, 32, 3) uint8."""
    rows = _ArraysOnly(io.BytesIO(content), encoding="latin1").load()["data"]
    assert rows.dtype == np.uint8 and rows.shape[1] == 3072
    return np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def subset(images: np.ndarray, limit: int) -> np.ndarray:
    """The subset that the peer's utility dumps, in the order of its file names."""
    return images[np.sort(np.random.RandomState(2020).choice(len(images), limit, replace=False))]


def measure(gen: np.ndarray, ref: np.ndarray | None, metrics: list[str], weights: Path) -> Report:
    report = genmetrics.evaluate(gen, ref, metrics, weights=weights)
    assert all(record.official for record in report.extractors.values())
    print({name: (result.value, dict(result.extra)) for name, result in report.metrics.items()})
    return report


def test_inception_score_of_cifar10(cifar10, official_weights):
    """11.23678 ± 0.09514061 by torch-fidelity's README; tolerance 1e-5 relative, and 1e-4 on the spread."""
    assert len(cifar10["train"]) == 50_000
    result = measure(cifar10["train"], None, ["isc"], official_weights)["isc"]
    assert result.value == pytest.approx(11.23678, rel=1e-5)
    assert result.extra["std"] == pytest.approx(0.09514061, rel=1e-4)


def test_5000_against_5000(cifar10, official_weights):
    gen, ref = subset(cifar10["train"], 5000), subset(cifar10["valid"], 5000)
    report = measure(gen, ref, ["isc", "fid", "kid"], official_weights)
    assert report["isc"].value == pytest.approx(10.75051, abs=1e-2)
    assert report["isc"].extra["std"] == pytest.approx(0.5778723, abs=1e-3)
    assert report["fid"].value == pytest.approx(10.32333, abs=1e-2)
    # Theirs is float32, and so are its differences from run to run: the tolerance is wider than their 1e-7.
    assert report["kid"].value == pytest.approx(-2.907863e-05, abs=1e-6)
    assert report["kid"].extra["std"] == pytest.approx(1.023118e-04, abs=1e-6)

    # Told apart: without their subset, no number is theirs.
    other = measure(cifar10["train"][:5000], ref, ["isc", "fid", "kid"], official_weights)
    assert abs(other["isc"].value - 10.75051) > 1e-2
    assert abs(other["fid"].value - 10.32333) > 1e-2
    assert abs(other["kid"].value + 2.907863e-05) > 1e-6


def test_256_against_256(cifar10, official_weights):
    """Below full rank, where torch-fidelity's FID carries its own noise; their subsets of KID have 64 images."""
    gen, ref = subset(cifar10["train"], 256), subset(cifar10["valid"], 256)
    report = measure(gen, ref, ["isc", "fid"], official_weights)
    assert report["isc"].value == pytest.approx(6.675409920681458, abs=1e-3)
    assert report["isc"].extra["std"] == pytest.approx(0.9399683668381174, abs=1e-3)
    assert report["fid"].value == pytest.approx(110.28082617202443, abs=1e-2)
    assert kid_of_64(gen, ref, official_weights) == pytest.approx(
        (-0.0006792521855187905, 0.0017778231588294379), abs=1e-5
    )


def kid_of_64(gen: np.ndarray, ref: np.ndarray, weights: Path) -> tuple[float, float]:
    """Mean and spread of KID over 100 subsets of 64."""
    from genmetrics.metrics.kernel import kernel_distances

    sides = [genmetrics.compute_stats(images, ["kid"], weights=weights) for images in (gen, ref)]
    banks = [accumulator.rows() for side in sides for accumulator in side.accumulators.values()]
    distances = kernel_distances(*banks, num_subsets=100, subset_size=64, seed=2020)
    return float(distances.mean()), float(distances.std(correction=0))
