"""Statistics files exactly as other tools write them, without those tools.

Each writer has the lines of its tool that make the file: the keys, the types and the way of saving. Features are
drawn here; no network is run.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch

__all__ = [
    "adm_npz",
    "draw",
    "edm2_pkl",
    "gan_metrics_npy",
    "mean_and_cov",
    "stylegan_pkl",
    "todd_importable",
    "todd_pth",
]


def draw(count: int, width: int, seed: int = 0) -> np.ndarray:
    """(count, width) float32 features that are correlated and not negative."""
    rng = np.random.default_rng(seed)
    scales = np.linspace(0.5, 1.5, width)
    common = rng.standard_normal((count, 3)) @ rng.standard_normal((3, width))
    return np.abs(common + scales * rng.standard_normal((count, width))).astype(np.float32)


def mean_and_cov(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As most tools compute them; the mean has the features' own type."""
    return np.mean(features, axis=0), np.cov(features, rowvar=False)


def adm_npz(path: Path) -> dict[str, np.ndarray]:
    """A reference file of guided-diffusion: images beside the statistics of all of them and of others."""
    mu, sigma = mean_and_cov(draw(8, 2048, 1).astype(np.float64))
    mu_s, sigma_s = mean_and_cov(draw(8, 2023, 2).astype(np.float64))
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    arrays = {"arr_0": images, "mu": mu, "sigma": sigma, "mu_s": mu_s, "sigma_s": sigma_s}
    np.savez(path, **arrays)
    return arrays


def gan_metrics_npy(path: Path, features: np.ndarray) -> None:
    """The other file that pytorch-gan-metrics reads: a dict in an array without dimensions."""
    mu, sigma = mean_and_cov(features.astype(np.float64))
    np.save(path, {"mu": mu, "sigma": sigma}, allow_pickle=True)


def stylegan_pkl(
    path: Path, features: np.ndarray, *, capture_all: bool = False, capture_mean_cov: bool = True, protocol: int = 4
) -> None:
    """``FeatureStats`` of StyleGAN2-ADA and StyleGAN3, fed in batches of 16 and saved as its ``__dict__``."""
    state: dict[str, Any] = {
        "capture_all": capture_all,
        "capture_mean_cov": capture_mean_cov,
        "max_items": None,
        "num_items": 0,
        "num_features": features.shape[1],
        "all_features": [] if capture_all else None,
        "raw_mean": np.zeros(features.shape[1], dtype=np.float64) if capture_mean_cov else None,
        "raw_cov": np.zeros([features.shape[1]] * 2, dtype=np.float64) if capture_mean_cov else None,
    }
    for start in range(0, len(features), 16):
        batch = np.asarray(features[start : start + 16], dtype=np.float32)
        state["num_items"] += batch.shape[0]
        if capture_all:
            state["all_features"].append(batch)
        if capture_mean_cov:
            wide = batch.astype(np.float64)
            state["raw_mean"] += wide.sum(axis=0)
            state["raw_cov"] += wide.T @ wide
    with path.open("wb") as file:
        pickle.dump(state, file, protocol)


def edm2_pkl(path: Path, count: int = 50_000, **parts: np.ndarray) -> dict[str, Any]:
    """Reference statistics of EDM2: of each network a dict of mean and covariance, float64."""
    data: dict[str, Any] = {"num_images": count}
    for name, features in parts.items():
        mu, sigma = mean_and_cov(features.astype(np.float64))
        data[name] = {"mu": mu, "sigma": sigma}
    with path.open("wb") as file:
        pickle.dump(data, file)
    return data


@contextmanager
def todd_importable() -> Iterator[type]:
    """As if todd were installed: its named tuple ``todd.tasks.image_generation.fid.Statistics``."""
    names = ["todd", "todd.tasks", "todd.tasks.image_generation", "todd.tasks.image_generation.fid"]
    assert not sys.modules.keys() & set(names)

    class Statistics(NamedTuple):
        mu: Any
        sigma: Any

    Statistics.__module__ = names[-1]
    Statistics.__qualname__ = "Statistics"
    modules = {name: ModuleType(name) for name in names}
    modules[names[-1]].Statistics = Statistics
    sys.modules.update(modules)
    try:
        yield Statistics
    finally:
        for name in names:
            del sys.modules[name]


def todd_pth(path: Path, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What ``vq.fid`` saves: the named tuple, mean in float32 and covariance in float64."""
    mu, sigma = mean_and_cov(features)
    with todd_importable() as statistics:
        torch.save(statistics(mu, sigma), path)
    return mu, sigma
