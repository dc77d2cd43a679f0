"""A loop in the style of EDM2's ``calculate_metrics.py``, written from a description of it: one GPU, FID alone.

Files are decoded by Pillow in the worker processes of a ``DataLoader`` with page-locked memory, 64 images a batch. The
network is float32 with torch's own switches, which is TF32 in convolutions on a GPU that has it. Sums of the features
and of their outer products are kept in float64 on the device, and the number of images comes back to the CPU at every
batch, as it does there for the progress bar. The distance is SciPy's square root of the product of both covariances.
The network itself is torch-fidelity's, which takes the same weights and resizes as the 2015 graph does.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from inputs import TESTS

__all__ = ["Edm2Style"]

BATCH = 64


class _Files(Dataset[Tensor]):
    def __init__(self, folder: Path) -> None:
        self._paths = sorted(folder.iterdir())

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Tensor:
        pixels = np.array(Image.open(self._paths[index]).convert("RGB"))
        return torch.from_numpy(pixels.transpose(2, 0, 1))


class Edm2Style:
    """The reference's mean and covariance are computed when it is made."""

    def __init__(self, gen: Path, ref: Path, weights: Path, device: str, workers: int) -> None:
        if str(TESTS) not in sys.path:
            sys.path.insert(0, str(TESTS))
        from support.peers import import_peer

        module = import_peer("torch_fidelity.feature_extractor_inceptionv3")
        self._network = module.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(weights)).to(device)
        self._gen, self._device, self._workers = gen, device, workers
        self._mu, self._sigma = self._moments(ref)

    def fid(self) -> dict[str, float]:
        """One pass over the generated set and the distance."""
        from scipy.linalg import sqrtm

        mu, sigma = self._moments(self._gen)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sqrtm, about matrices of less than full rank
            root = sqrtm(sigma @ self._sigma)
        shift = float(np.square(mu - self._mu).sum())
        return {"fid": shift + float(np.trace(sigma + self._sigma - 2 * np.real(root)))}

    def _moments(self, folder: Path) -> tuple[np.ndarray, np.ndarray]:
        device = self._device
        loader = DataLoader(_Files(folder), BATCH, num_workers=self._workers, pin_memory=device == "cuda")
        total = torch.zeros(2048, dtype=torch.float64, device=device)
        outer = torch.zeros((2048, 2048), dtype=torch.float64, device=device)
        count = torch.zeros((), dtype=torch.int64, device=device)
        with torch.inference_mode():
            for images in loader:
                features = self._network(images.to(device))[0].to(torch.float64)
                total += features.sum(0)
                outer += features.T @ features
                count += len(features)
                done = int(count.cpu())
        mu = total / done
        sigma = (outer - torch.outer(mu, mu) * done) / (done - 1)
        return mu.cpu().numpy(), sigma.cpu().numpy()
