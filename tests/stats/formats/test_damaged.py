"""Files in which some bytes are wrong, missing or too many: read or refused, and never anything else."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from genmetrics.errors import StatisticsError
from genmetrics.stats.formats import is_statistics, load_stats, write_npz
from support.foreign_stats import draw, gan_metrics_npy, mean_and_cov, stylegan_pkl

FEATURES = draw(20, 4)
MU, SIGMA = mean_and_cov(FEATURES)
TENSORS = {"mu": torch.from_numpy(MU), "sigma": torch.from_numpy(SIGMA)}


def own(path: Path) -> None:
    np.save(path.with_suffix(".npy"), FEATURES)
    write_npz(load_stats(path.with_suffix(".npy")), path)


WRITERS: dict[str, Callable[[Path], object]] = {
    "npz": lambda path: np.savez(path, mu=MU, sigma=SIGMA),
    "npz_deflated": lambda path: np.savez_compressed(path, feats=FEATURES),
    "npz_own": own,
    "npy": lambda path: np.save(path, FEATURES),
    "npy_dict": lambda path: gan_metrics_npy(path, FEATURES),
    "pkl0": lambda path: stylegan_pkl(path, FEATURES, capture_all=True, protocol=0),
    "pkl2": lambda path: stylegan_pkl(path, FEATURES, capture_all=True, protocol=2),
    "pkl5": lambda path: stylegan_pkl(path, FEATURES, capture_all=True, protocol=5),
    "pkl_edm2": lambda path: path.write_bytes(pickle.dumps({"num_images": 20, "fid": {"mu": MU, "sigma": SIGMA}})),
    "pt": lambda path: torch.save(TENSORS, path),
    "pt_arrays": lambda path: torch.save({"mu": MU, "sigma": SIGMA}, path),
    "pt_legacy": lambda path: torch.save(TENSORS, path, _use_new_zipfile_serialization=False),
}


def damaged(data: bytes, rng: random.Random) -> bytes:
    spoiled = bytearray(data)
    place = rng.randrange(len(spoiled))
    kind = rng.randrange(3)
    if kind == 0:
        for _ in range(rng.randint(1, 4)):
            spoiled[rng.randrange(len(spoiled))] = rng.randrange(256)
    elif kind == 1:
        del spoiled[place : place + rng.randint(1, 20)]
    else:
        spoiled[place:place] = rng.randbytes(rng.randint(1, 9))
    return bytes(spoiled)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", WRITERS)
def test_read_or_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{kind.partition('_')[0].rstrip('025')}"
    WRITERS[kind](path)
    data, rng = path.read_bytes(), random.Random(0)
    messages = []
    for _ in range(80):
        path.write_bytes(damaged(data, rng))
        is_statistics(path)
        try:
            load_stats(path)
        except StatisticsError as error:
            messages.append(str(error))
    assert len(messages) > 5
    assert all(str(path) in message for message in messages)
